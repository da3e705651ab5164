#!/usr/bin/env python3
"""The names that were given up do not come back, and no comment of the library begins with "What".

    retired_words.py ROOT            reads retired_words.txt beside it, and every text file of the tree
    retired_words.py ROOT --broken   the check itself: it must object to a text in which each of these is wrong

Prints FILE:LINE: WORD and what replaced it.
"""
import os
import pathlib
import re
import subprocess
import sys

LIST = "tests/build/retired_words.txt"
HISTORY = {"CHANGELOG.md", "docs/words.md", LIST}  # they tell which name replaced which
# Texts that others or a model wrote, and bytes that the fuzzer keeps.
FOREIGN = re.compile(r"tests/fuzz/corpus/|(.*/)?recordings/|examples/train/(data|adapters)/|examples/train/questions/.*jsonl")
SOURCE = re.compile(r"(include|src|capi)/")
WHAT = re.compile(r"(^|\s)(///?<?|/\*\*?<?|#) *What\b")


def read_list(text):
    """{retired name: its replacement}."""
    lines = (line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return {word: replacement.strip() for word, replacement in lines}


def files_of(root):
    """Every file that belongs to the tree, by name."""
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return [name for name in listed.stdout.splitlines() if (root / name).is_file()]
    names = []
    for folder, below, found in os.walk(root):
        below[:] = [name for name in below if name not in ("build", ".git")]
        names += [str((pathlib.Path(folder) / name).relative_to(root)) for name in found]
    return names


def text_of(path):
    """None for what is no text."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return None


def find(name, text, retired, pattern):
    """What is wrong with one text, a line each."""
    for number, line in enumerate(text.splitlines(), 1):
        for word in pattern.findall(line):
            yield f"{name}:{number}: {word}: retired, say {retired[word]}"
        if SOURCE.match(name) and WHAT.search(line):
            yield f"{name}:{number}: the comment begins with \"What\": name the thing first"


def pattern_of(retired):
    return re.compile(r"(?<!\w)(" + "|".join(map(re.escape, sorted(retired, key=len, reverse=True))) + r")(?!\w)")


def check_the_check(retired):
    pattern = pattern_of(retired)
    missed = [word for word in retired if not list(find("a.md", f"a {word}, b", retired, pattern))]
    missed += [f"{sign} What" for sign in ("//", "///", "///<", "/*", "#")
               if not list(find("src/a.cpp", f"x; {sign} What it is", {}, pattern))]
    false = [text for text in ("deadline_ids", "slabstone", "outline") if list(find("a.md", text, retired, pattern))]
    return [f"not found: {word}" for word in missed] + [f"wrongly found: {text}" for text in false]


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    retired = read_list(pathlib.Path(__file__).with_name("retired_words.txt").read_text())
    if "--broken" in sys.argv:
        wrong = check_the_check(retired)
    else:
        pattern = pattern_of(retired)
        texts = ((name, text_of(root / name)) for name in sorted(files_of(root))
                 if name not in HISTORY and not FOREIGN.match(name))
        wrong = [line for name, text in texts if text is not None for line in find(name, text, retired, pattern)]
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
