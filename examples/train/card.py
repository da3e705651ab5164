#!/usr/bin/env python3
"""Writes the adapters' model card: card.py WORK_FOLDER > README.md

WORK_FOLDER is what `examples/train/run` filled: tables come from its report.md, the answers that are shown from shown.jsonl,
where `run card` has the first questions of our own answered. Prose stands in card/page.md, and what the adapters cannot do
in card/limits.md.
"""
import argparse
import collections
import json
import re
import string
from pathlib import Path

from report import ONE_BY_ONE, examples
from select_samples import branches_of, read

PROSE = Path(__file__).parent / "card"
SETS = {"questions/nine_kinds": "Questions of our own", "questions/serial": "Questions whose answers have no parts",
        "vicuna_bench/question": "Questions of Vicuna Bench", "mt_bench/question": "Questions of MT-Bench"}


def number(n):
    return f"{n:,}"


def listed(counts):
    return ", ".join(f"{name} {number(n)}" for name, n in sorted(counts.items(), key=lambda pair: -pair[1]))


def n_branches(samples):
    return sum(len(list(branches_of(s["parts"]))) for s in samples)


def branching(samples):
    return [s for s in samples if any(branches_of(s["parts"]))]


def corpus_counts(report):
    """Rows of examples/train/corpus's tables: name -> number."""
    rows = re.findall(r"^\| ([^|]+) \| (\d+) \|", report, re.MULTILINE)
    return {name.strip(): int(n) for name, n in rows}


def data(work):
    prompts = {p["prompt"] for p in read(work / "prompts.jsonl")}
    counts = corpus_counts((work / "candidates.txt").read_text())
    totals = ("read", "rejected", "samples with branches", "serial samples", "serial answers left out")
    reasons = {name.replace("_", " "): n for name, n in counts.items() if name not in totals and n > 0}
    best = read(work / "best/train.jsonl") + read(work / "best/validation.jsonl")
    best_counts = json.loads((work / "best/counts.json").read_text())
    independent = n_branches(read(work / "samples.jsonl"))
    train, validation = read(work / "data/train.jsonl"), read(work / "data/validation.jsonl")
    chosen = train + validation
    with_branches = branching(chosen)
    kinds = collections.Counter(s["kind"] for s in with_branches)
    serial = collections.Counter(s["kind"].removeprefix("serial-") for s in chosen if s not in with_branches)
    before = n_branches(best)
    return {
        "prompts": number(len(prompts)), "answers": number(counts["read"]),
        "taken": number(counts["samples with branches"] + counts["serial samples"]),
        "taken_branching": number(counts["samples with branches"]), "taken_serial": number(counts["serial samples"]),
        "rejected": number(counts["rejected"]), "rejections": listed(reasons),
        "best": number(len(best)), "best_branching": number(len(branching(best))), "best_branches": number(before),
        "best_serial": number(len(best) - len(branching(best))), "best_rejections": listed(best_counts["rejected"]),
        "independent": number(independent), "merged": number(before - independent),
        "merged_share": f"{(before - independent) / before:.1%}",
        "chosen": number(len(chosen)), "chosen_branching": number(len(with_branches)),
        "chosen_branches": number(n_branches(with_branches)), "chosen_serial": number(len(chosen) - len(with_branches)),
        "n_train": number(len(train)), "n_validation": number(len(validation)),
        "kinds_branching": listed(kinds), "kinds_serial": listed(serial),
    }


def training_row(log):
    lines = read(log)
    steps = {l["step"]: l for l in lines if "tokens" in l}.values()  # those done again after a stop count once
    measured = [l for l in lines if "validation" in l]
    end = ", ".join(f"{name.replace('_', ' ')} {loss:.3f}" for name, loss in measured[-1]["losses"].items())
    return (f"{len(steps)} | {number(sum(l['tokens'] for l in steps))} | {number(sum(l['targets'] for l in steps))} | "
            f"{measured[0]['validation']:.3f} | {measured[-1]['validation']:.3f} ({end}) | "
            f"{sum(l['seconds'] for l in [*steps, *measured]) / 60:.0f}")


def training(work):
    rows = [f"| {way} | {training_row(work / way / 'log.jsonl')} |" for way in ("aspd", "v-seq")]
    head = "| | steps | tokens | to learn | validation loss before | at the end | minutes |"
    return "\n".join([head, "|---|---|---|---|---|---|---|", *rows])


def evaluation(report):
    """The report one level lower, without answers: they quote their questions, which may be a benchmark's."""
    out = []
    for part in re.split(r"^(?=#{2,3} )", report, flags=re.MULTILINE):
        if part.startswith("## "):
            head, _, rest = part.partition("\n")
            name, comma, way = head.removeprefix("## ").partition(",")
            part = f"## {SETS.get(name, name)}{comma}{way}\n{rest}"
        if part.strip() and not part.startswith("### First answers"):
            out.append("#" + part)
    return "".join(out)


def answers(results):
    """Answers to questions of our own, set by set, in every way."""
    by_set = collections.defaultdict(lambda: collections.defaultdict(list))
    for line in results:
        by_set[line["set"]][line["way"]].append(line)
    return "".join(f"## The first answers, unpicked: {way}, {SETS[name]}\n\n{examples(lines, len(lines))}\n"
                   for name, by_way in by_set.items() for way, lines in by_way.items() if way != ONE_BY_ONE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    work = parser.parse_args().work
    size = (work / "aspd/adapter_model.safetensors").stat().st_size / 1e6
    fields = {**data(work), "training": training(work), "evaluation": evaluation((work / "report.md").read_text()),
              "examples": answers(read(work / "shown.jsonl")), "size": f"{size:.1f}",
              "limits": (PROSE / "limits.md").read_text().strip()}
    print(string.Template((PROSE / "page.md").read_text()).substitute(fields).rstrip())


if __name__ == "__main__":
    main()
