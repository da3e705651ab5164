#!/usr/bin/env python3
"""Tables of what examples/train/evaluate measured: report.py RESULTS.jsonl [--sampled MORE.jsonl] [--examples N] > report.md

evaluate measured each answer; the tables are means. PPD: share of answers with a block; ABN: branches per block; APD:
branch tokens / text tokens; APE: branch tokens that titles do not repeat / branch tokens (ABN, APD, APE over answers
with a block). Repeated titles: of all titles, those with the words of an earlier one of their answer. Repeated 4-grams: of
an answer's groups of four words, those that occurred before. Well-formed: every tag where it belongs.
Ended by a limit: answers, or branches of theirs, that reached their limit of tokens; the decoder closes such a branch.
Tokens: of the text, without tags and titles written twice. Relevance: cosine of question and line (a branch is one);
redundancy: cosine between two lines. Speed: the same answer with its branches one after another against all at once,
wall clock with prefill, question by question.
"""
import argparse
import collections
import json
import statistics
from pathlib import Path

import embeddings as sentence

CUT = {"the answer is cut", "a branch is cut"}  # as evaluate names them
PARALLEL, ONE_BY_ONE = "aspd", "aspd one after another"


def mean(values, form):
    """The mean as text; a dash for nothing."""
    values = list(values)
    return format(statistics.fmean(values), form) if values else "-"


def points_of(line):
    """What is compared with the question: the answer's lines, which branches are too; the same for every way."""
    return [p.strip() for p in line["text"].split("\n") if len(p.split()) >= 4] or [line["text"].strip() or "-"]


def structure(lines):
    parallel = [l for l in lines if l["n_blocks"] > 0]
    n_titles = sum(l["n_titles"] for l in parallel)
    return {
        "answers": len(lines),
        "PPD": mean((l['n_blocks'] > 0 for l in lines), ".0%"),
        "ABN": mean((l['branches_per_block'] for l in parallel), ".1f"),
        "APD": mean((l['branch_share'] for l in parallel), ".0%"),
        "APE": mean((l['branch_efficiency'] for l in parallel), ".0%"),
        "well-formed": mean((not set(l.get('faults', [])) - CUT for l in lines), ".1%"),
        "ended by a limit": sum(bool(CUT & set(l.get('faults', []))) for l in lines),
        "repeated titles": f"{sum(l['n_repeated_titles'] for l in parallel) / max(1, n_titles):.1%}",
    }


def quality(lines, embeddings):
    return {
        "tokens": mean((l['text_tokens'] for l in lines), ".0f"),
        "per second": mean((l['text_tokens'] / l['seconds'] for l in lines), ".0f"),
        "loss under the untouched model": mean((l['loss'] for l in lines), ".3f"),
        "repeated 4-grams": mean((l['repetition'] for l in lines), ".1%"),
        "relevance": mean((sentence.relevance(embeddings, l['question'], points_of(l)) for l in lines), ".3f"),
        "redundancy": mean((sentence.redundancy(embeddings, points_of(l)) for l in lines), ".3f"),
    }


def pairs(by_way):
    """(parallel, one after another) of every question that has both."""
    slow = {(l["set"], l["id"]): l for l in by_way.get(ONE_BY_ONE, [])}
    return [(l, slow[l["set"], l["id"]]) for l in by_way.get(PARALLEL, []) if (l["set"], l["id"]) in slow]


def speed(of_set):
    n = len(of_set)
    return {
        "questions": n,
        "faster": mean((s['seconds'] / f['seconds'] for f, s in of_set), ".2f") + "x",
        "median": f"{statistics.median(s['seconds'] / f['seconds'] for f, s in of_set):.2f}x",
        "fewer passes": mean((s['passes'] / f['passes'] for f, s in of_set), ".2f") + "x",
        "same text": f"{sum(f['text'] == s['text'] for f, s in of_set)} of {n}",
    }


def table(rows):
    """rows: name -> {column: text}."""
    columns = list(next(iter(rows.values())))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    lines += [f"| {name} | " + " | ".join(str(row[c]) for c in columns) + " |" for name, row in rows.items()]
    return "\n".join(lines) + "\n"


def examples(lines, n):
    out = []
    for line in lines[:n]:
        quoted = "\n".join("> " + text for text in line["text"].strip().split("\n"))
        out.append(f"**{line['question']}** ({line['n_branches']} branches, {line['passes']} passes)\n\n{quoted}\n")
    return "\n".join(out)


def read(file):
    return [json.loads(line) for line in Path(file).read_text().splitlines() if line]


def print_tables(results, title, embeddings, n_examples):
    """`title`: of a set of questions, with {} for its name."""
    by_set = collections.defaultdict(lambda: collections.defaultdict(list))
    for line in read(results):
        by_set[line["set"]][line["way"]].append(line)
    for name, by_way in by_set.items():
        print(f"## {title.format(name)}\n\n### Structure\n")
        print(table({way: structure(lines) for way, lines in by_way.items() if way.startswith("aspd")}))
        print("### Text\n")
        print(table({way: quality(lines, embeddings) for way, lines in by_way.items() if way != ONE_BY_ONE}))
        both = pairs(by_way)
        if both:
            print("### Speed: branches at once against one after another\n")
            categories = collections.defaultdict(list)
            for pair in both:
                categories[pair[0]["category"]].append(pair)
            print(table({"all": speed(both), **{c: speed(p) for c, p in categories.items()}}))
        for way, lines in by_way.items():
            if n_examples and way != ONE_BY_ONE:
                print(f"### First answers: {way}\n\n{examples(lines, n_examples)}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", help="greedy answers")
    parser.add_argument("--sampled", help="answers to the same questions, sampled")
    parser.add_argument("--embeddings", help="folder of the sentence model; default: the installed package's")
    parser.add_argument("--examples", type=int, default=0, help="print the first so many answers of every set and way")
    arguments = parser.parse_args()
    if arguments.examples < 0:
        parser.error(f"--examples is {arguments.examples}; it must be 0 or more")
    sentence.default_threads()
    embeddings = sentence.Embeddings(arguments.embeddings)

    print_tables(arguments.results, "{}", embeddings, arguments.examples)
    if arguments.sampled:
        print_tables(arguments.sampled, "{}, sampled", embeddings, 0)


if __name__ == "__main__":
    main()
