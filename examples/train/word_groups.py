#!/usr/bin/env python3
"""Keeps training prompts away from questions that a model is measured with, without the questions' text.

    word_groups.py OUT.groups QUESTIONS.jsonl ...    writes the hashes of the questions' groups of words

The words of a text are its runs of a-z, 0-9 and the apostrophe, in lower case. A group is some words in a row, joined by
spaces. Its hash is the first 8 bytes of the SHA-256 of that text, read as a big-endian number.

A file of hashes begins with one line, "anabranch word groups: N of 3 words, M of 6 words", and goes on with N + M hashes
of 8 bytes, big-endian: both lists ascending and without repeats. Groups of a question do not cross from one turn to the
next. Two groups get the same hash once in 10^19 pairs, so what is kept is what comparing the words would keep.
"""
import argparse
import array
import hashlib
import json
import re
import sys
from pathlib import Path

SHORT, LONG = 3, 6  # words in a group
SHARED_PART = 0.5  # more than this part of a text's short groups, or one long group: too alike
HEAD = re.compile(rf"anabranch word groups: (\d+) of {SHORT} words, (\d+) of {LONG} words\n")
WANTED = 'a JSON object with a text "prompt" or a list of texts "turns"'


class BadFile(Exception):
    """A file that cannot be used: its name, the line, and what is wanted there."""


def read_questions(file):
    """The turns of every question of a file of JSON lines: ours, or FastChat's question.jsonl."""
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(f"{file}: cannot be read as questions, one JSON object a line ({error})") from error
    questions = [turns_of(f"{file}, line {i}", line) for i, line in enumerate(lines, 1) if line.strip()]
    if not questions:
        raise BadFile(f"{file}: expected questions, one JSON object a line; found none")
    return questions


def turns_of(where, line):
    try:
        question = json.loads(line)
    except ValueError as error:
        raise BadFile(f"{where}: expected {WANTED}; {error}") from error
    turns = question.get("turns", [question.get("prompt")]) if isinstance(question, dict) else []
    if not isinstance(turns, list) or not turns or not all(isinstance(turn, str) for turn in turns):
        raise BadFile(f"{where}: expected {WANTED}; found {line[:80]}")
    return turns


def groups(text, n):
    """Hashes of the groups of n words of a text."""
    words = re.findall(r"[a-z0-9']+", text.lower())
    texts = {" ".join(words[i : i + n]) for i in range(len(words) - n + 1)}
    return {int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big") for group in texts}


def numbers_to_bytes(numbers):
    packed = array.array("Q", sorted(numbers))
    if sys.byteorder == "little":
        packed.byteswap()
    return packed.tobytes()


def bytes_to_numbers(content):
    packed = array.array("Q", content)
    if sys.byteorder == "little":
        packed.byteswap()
    return packed.tolist()


class KeepAway:
    """Questions that no prompt may resemble, as hashes of their groups of words."""

    def __init__(self, files=()):
        """`files`: questions as JSON lines, or files that `write` made."""
        self.short, self.long = set(), set()
        for file in files:
            self.add(file)

    def add(self, file):
        if Path(file).suffix == ".groups":
            return self.add_groups(file)
        for turns in read_questions(file):
            for text in turns:
                self.short |= groups(text, SHORT)
                self.long |= groups(text, LONG)

    def add_groups(self, file):
        try:
            head, newline, content = Path(file).read_bytes().partition(b"\n")
        except OSError as error:
            raise BadFile(f"{file}: cannot be read as hashes of word groups ({error})") from error
        counts = HEAD.fullmatch((head + newline).decode("ascii", "replace"))
        if not counts:
            raise BadFile(f"{file}, line 1: expected \"anabranch word groups: N of {SHORT} words, M of {LONG} words\"")
        n_short, n_long = map(int, counts.groups())
        if len(content) != 8 * (n_short + n_long):
            raise BadFile(f"{file}: expected {n_short + n_long} hashes of 8 bytes, found {len(content)} bytes")
        hashes = bytes_to_numbers(content)
        for numbers in (hashes[:n_short], hashes[n_short:]):
            if any(a >= b for a, b in zip(numbers, numbers[1:])):
                raise BadFile(f"{file}: expected hashes in ascending order, without repeats")
        self.short.update(hashes[:n_short])
        self.long.update(hashes[n_short:])

    def write(self, file):
        head = f"anabranch word groups: {len(self.short)} of {SHORT} words, {len(self.long)} of {LONG} words\n"
        Path(file).write_bytes(head.encode() + numbers_to_bytes(self.short) + numbers_to_bytes(self.long))

    def shared_part(self, text):
        """The part of the text's short groups that a question has too."""
        short = groups(text, SHORT)
        return len(short & self.short) / max(1, len(short))

    def alike(self, text):
        return bool(groups(text, LONG) & self.long) or self.shared_part(text) > SHARED_PART


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("questions", nargs="+", metavar="QUESTIONS.jsonl")
    arguments = parser.parse_args()
    if Path(arguments.out).suffix != ".groups":
        parser.error(f"the name of a file of hashes ends in .groups, not as {arguments.out}")
    try:
        away = KeepAway(arguments.questions)
    except BadFile as error:
        sys.exit(f"error: {error}")
    away.write(arguments.out)
    print(f"{len(away.short)} groups of {SHORT} words and {len(away.long)} of {LONG}", file=sys.stderr)


if __name__ == "__main__":
    main()
