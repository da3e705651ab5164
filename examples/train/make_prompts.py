#!/usr/bin/env python3
"""Writes the prompts of the training data: forms times topics, each with the ways its answer may begin.

    make_prompts.py OUT.jsonl [--keep-away-from FILE ...]

A line is {"id", "kind", "prompt"}; a prompt whose answer is to have points comes twice, once to be written in points
that do not see each other ("points": most of them) and once as one text ("opening" ends with the first number). Some
come once more, with many points that are long ("least_tokens" each).
Prompts that share their wording with a question of the files to keep away from are left out, and counted: six words in a
row, or half of a prompt's groups of three words. A file holds questions (.jsonl) or hashes of their words (.groups); see
word_groups.py.
"""
import argparse
import json
import random
import sys
import zlib
from pathlib import Path

from word_groups import BadFile, KeepAway

HERE = Path(__file__).parent / "prompts"
AT_LENGTH = {"knowledge": 60, "generic": 35, "common-sense": 45, "counterfactual": 70, "roleplay": 55, "estimation": 70}  # of 100 prompts


def topics(name):
    return [line.strip() for line in (HERE / f"{name}.txt").read_text().splitlines() if line.strip()]


def fill(form, topic):
    return form.replace("{t}", topic).replace("{T}", topic[0].upper() + topic[1:])


def number_of(text):
    """The same whatever else is in the lists: answers that are there keep their prompts."""
    return zlib.crc32(text.encode())


def from_forms():
    for kind, group in json.loads((HERE / "forms.json").read_text()).items():
        for topic in topics(group["topics"]):
            for form, openings in group["forms"]:
                text = fill(form, topic)
                opening = fill(openings[number_of(text) % len(openings)], topic) if openings else ""
                yield kind, text, opening


def sums():
    rng, asked = random.Random(1), set()
    while len(asked) < 160:
        a, b = rng.randint(2, 99), rng.randint(2, 99)
        sign, word = rng.choice([("+", "plus"), ("-", "minus"), ("*", "times")])
        asked.add(rng.choice([f"What is {a} {sign} {b}?", f"How much is {a} {word} {b}?", f"Calculate {a} {sign} {b}.",
                              f"{a} {sign} {b} ="]))
    return [("serial-sum", text, "") for text in sorted(asked)]


def one_sentence():
    forms = ["Explain {t} in one sentence.", "In a single sentence, what is special about {t}?"]
    return [("serial-sentence", fill(forms[number_of(topic) % len(forms)], topic), "") for topic in topics("subjects")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--keep-away-from", nargs="*", default=[], metavar="FILE")
    parser.add_argument("--most", type=int, default=0, help="only so many prompts, of all kinds; 0: all")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.most < 0:
        parser.error(f"--most is {arguments.most}; it must be 0 or more")

    rng = random.Random(arguments.seed)
    try:
        away = KeepAway(arguments.keep_away_from)
    except BadFile as error:
        sys.exit(f"error: {error}")
    prompts = {text: (kind, opening) for kind, text, opening in [*from_forms(), *sums(), *one_sentence()]}
    kept, refused = [], []
    for text, (kind, opening) in prompts.items():
        (refused if away.alike(text) else kept).append((kind, text, opening))
    rng.shuffle(kept)
    if arguments.most:
        kept = kept[: arguments.most]
    parts = [away.shared_part(text) for _, text, _ in kept]
    with open(arguments.out, "w") as out:
        for kind, text, opening in kept:
            number = number_of(text)
            line = {"id": f"{kind}-{number:08x}", "kind": kind, "prompt": text}
            if not opening:
                out.write(json.dumps(line) + "\n")
                continue
            points = {"opening": opening + "\n\n", "points": 4 + number // 100 % 4}
            out.write(json.dumps({**line, **points}) + "\n")
            if number % 100 < AT_LENGTH.get(kind, 0):
                long = {"opening": opening + "\n\n", "points": 8, "least_tokens": 60}
                out.write(json.dumps({**line, "id": line["id"] + "-l", **long}) + "\n")
            out.write(json.dumps({**line, "id": line["id"] + "-s", "opening": opening + "\n\n1. **"}) + "\n")
    print(f"{len(kept)} prompts; {len(refused)} left out because they resemble a question to keep away from; of those "
          f"kept, {sum(p > 0 for p in parts)} share three words in a row with one, at most {max(parts):.0%} of a prompt",
          file=sys.stderr)
    for _, text, _ in refused[:5]:
        print(f"  left out: {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
