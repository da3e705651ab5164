#!/usr/bin/env python3
"""Chooses, for every prompt, the best of its samples, and writes training and validation data.

    select_samples.py SAMPLES.jsonl METRICS.jsonl OUT_FOLDER [--answers ANSWERS.jsonl]

examples/train/corpus wrote the samples, {"id", "kind", "prompt", "parts"}, and how much each repeats itself, {"id",
"repetition"}: the share of its word 4-grams that occurred before. Writes train.jsonl, validation.jsonl (five in
a hundred prompts) and counts.json: how many were left at every stage, and why the others went. With --answers also
answers.jsonl: the lines of that file which the chosen samples were made of, for a check that is dearer than this one.
"""
import argparse
import collections
import json
import re
import sys
import zlib
from pathlib import Path

import embeddings as sentence


def branches_of(parts):
    for part in parts:
        yield from part.get("branches", [])


def text_of(parts):
    """Reading text, without tags."""
    out = []
    for part in parts:
        if "text" in part:
            out.append(part["text"])
        for branch in part.get("branches", []):
            body = branch["text"] if "text" in branch else text_of(branch["parts"])
            out.append(branch["title"] + ":" + body)
    return "".join(out)


def point_of(branch):
    return branch["title"] + ":" + (branch["text"] if "text" in branch else text_of(branch["parts"]))


def length(text):
    """Words and signs: near enough to tokens to compare lengths."""
    return len(re.findall(r"\w+|[^\w\s]", text))


def passes_saved(parts):
    """Passes with one branch after another / with all at once: what the answer gains from its branches."""
    serial = sum(length(part["text"]) for part in parts if "text" in part)
    one_by_one = at_once = 0
    for part in parts:
        if "branches" in part:
            titles = sum(length(b["title"]) + 2 for b in part["branches"])
            points = [length(point_of(b)) for b in part["branches"]]
            one_by_one += titles + sum(points)
            at_once += titles + max(points)
    return (serial + one_by_one) / max(1, serial + at_once)


class Chooser:
    def __init__(self, arguments):
        self.a = arguments
        self.repetition = {line["id"]: line["repetition"] for line in read(arguments.metrics)}
        self.embeddings = sentence.Embeddings(arguments.embeddings)
        self.counts = collections.Counter()

    def judge(self, sample):
        """Score of a sample, or None and the reason counted."""
        points = [point_of(b) for b in branches_of(sample["parts"])]
        repetition = self.repetition[sample["id"]]
        kind = "branching" if points else "serial"
        if repetition > self.a.most_repeated:
            return self.reject(kind, "repeats itself")
        if not points:
            wanted = sample["kind"].startswith("serial")
            return 0.0 if wanted else self.reject(kind, "prompt should split, answer does not")
        if sample["kind"].startswith("serial"):
            return self.reject(kind, "prompt should not split, answer does")
        relevance = sentence.relevance(self.embeddings, sample["prompt"], points)
        redundancy = sentence.redundancy(self.embeddings, points)
        if relevance < self.a.least_relevance:
            return self.reject(kind, "points have too little to do with the question")
        if redundancy > self.a.most_redundancy:
            return self.reject(kind, "points say the same")
        saved = passes_saved(sample["parts"])
        if saved < self.a.least_saved:
            return self.reject(kind, "its branches save too few passes")
        return relevance - 0.5 * redundancy - repetition + self.a.weight_saved * saved

    def reject(self, kind, reason):
        self.counts[f"{kind}: {reason}"] += 1
        return None

    def best(self, samples):
        scored = [(score, sample) for sample in samples if (score := self.judge(sample)) is not None]
        return max(scored, key=lambda pair: (pair[0], pair[1]["id"]), default=None)


def best_of_each_kind(scored, most):
    """So many samples, as many of every kind of prompt as there are, until the others have as many."""
    kinds = collections.defaultdict(list)
    for pair in sorted(scored, key=lambda pair: (-pair[0], pair[1]["id"])):
        kinds[pair[1]["kind"]].append(pair[1])
    ranked = [(i, sample["id"], sample) for group in kinds.values() for i, sample in enumerate(group)]
    return [sample for _, _, sample in sorted(ranked, key=lambda r: r[:2])[:most]]


def read(file):
    return [json.loads(line) for line in Path(file).read_text().splitlines() if line]


def in_validation(prompt):
    return zlib.crc32(prompt.encode()) % 100 < 5


def write(folder, name, samples):
    with open(folder / name, "w") as out:
        for sample in samples:
            out.write(json.dumps({key: sample[key] for key in ("id", "kind", "prompt", "parts")}, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples")
    parser.add_argument("metrics")
    parser.add_argument("out")
    parser.add_argument("--answers", help="the answers that the samples were made of")
    parser.add_argument("--embeddings", help="folder of the sentence model; default: the installed package's")
    parser.add_argument("--least-relevance", type=float, default=0.25)
    parser.add_argument("--most-redundancy", type=float, default=0.65)
    parser.add_argument("--most-repeated", type=float, default=0.12)
    parser.add_argument("--least-saved", type=float, default=1.7, help="passes one by one / passes at once, at least")
    parser.add_argument("--weight-saved", type=float, default=0.15, help="of that ratio in the choice")
    parser.add_argument("--most-branching", type=int, default=10**9, help="so many, the best of each kind")
    parser.add_argument("--most-serial", type=int, default=10**9)
    arguments = parser.parse_args()
    for name in ("most_branching", "most_serial"):
        if getattr(arguments, name) < 0:
            parser.error(f"--{name.replace('_', '-')} is {getattr(arguments, name)}; it must be 0 or more")
    sentence.default_threads()

    chooser = Chooser(arguments)
    samples = read(arguments.samples)
    texts = [s["prompt"] for s in samples] + [point_of(b) for s in samples for b in branches_of(s["parts"])]
    chooser.embeddings.learn(texts, report=lambda done, n: print(f"\rembeddings {done}/{n}", end="", file=sys.stderr))
    print(file=sys.stderr)
    by_prompt = collections.defaultdict(list)
    for sample in samples:
        by_prompt[sample["prompt"]].append(sample)
    chosen = [best for group in by_prompt.values() if (best := chooser.best(group)) is not None]
    branching = best_of_each_kind([c for c in chosen if any(branches_of(c[1]["parts"]))], arguments.most_branching)
    serial = best_of_each_kind([c for c in chosen if not any(branches_of(c[1]["parts"]))], arguments.most_serial)
    kept = sorted(branching + serial, key=lambda s: s["id"])
    folder = Path(arguments.out)
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, "train.jsonl", [s for s in kept if not in_validation(s["prompt"])])
    write(folder, "validation.jsonl", [s for s in kept if in_validation(s["prompt"])])
    if arguments.answers:
        ids = {s["id"] for s in kept}
        lines = [line for line in Path(arguments.answers).read_text().splitlines() if line and json.loads(line)["id"] in ids]
        (folder / "answers.jsonl").write_text("".join(line + "\n" for line in lines))
    counts = {"samples": len(samples), "prompts": len(by_prompt), "rejected": dict(sorted(chooser.counts.items())),
              "branching kept": len(branching), "serial kept": len(serial),
              "branches kept": sum(len(list(branches_of(s["parts"]))) for s in branching)}
    (folder / "counts.json").write_text(json.dumps(counts, indent=2) + "\n")
    print(json.dumps(counts, indent=2))


if __name__ == "__main__":
    main()
