"""Compiles each header as if it were alone, and included twice.

    headers_alone.py INCLUDES SOURCE COMMANDS [--launcher PROGRAM] HEADER...
    headers_alone.py --broken INCLUDES SOURCE COMMANDS

HEADER: a path in the folder INCLUDES. SOURCE is compiled nowhere; in COMMANDS, the compile_commands.json of a build, it
has the command that headers are compiled with. With --broken headers with mistakes must be found.

Most of what a header costs is what it includes. So one file has several of them, in a chain: a header stands behind
others only where it includes, before its own first line of code, all that they are and include, and where none of them
includes it. Then its code sees there what it sees alone, no more. A header that declares a class whose definition it
does not include is the last of its chain: behind it a template could still meet the definition.
"""
import argparse
import functools
import json
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

INCLUDE = re.compile(r"^[ \t]*#[ \t]*include[ \t]*[<\"]([^>\"]+)[>\"]", re.MULTILINE)
CODE = re.compile(r"^(?:namespace|template|class|struct|using|inline|extern) ", re.MULTILINE)
DECLARED = re.compile(r"^[ \t]*(?:template[ \t]*<[^;{]*>\s*)?(?:class|struct) \w+;", re.MULTILINE)


class Headers:
    """What the headers of a folder include."""

    def __init__(self, folder):
        self.folder = folder

    @functools.lru_cache(None)
    def text(self, header):
        file = self.folder / header
        return file.read_text(encoding="utf-8") if file.exists() else ""  # the system's: its name stands for it

    @functools.lru_cache(None)
    def seen_behind(self, header):
        """The header and all that it includes."""
        return self._closure([header])

    @functools.lru_cache(None)
    def seen_by(self, header):
        """All that is included before the header's first line of code."""
        code = CODE.search(self.text(header))
        return self._closure(INCLUDE.findall(self.text(header)[:code.start() if code else None]))

    def _closure(self, headers):
        found, left = set(), list(headers)
        while left:
            if (header := left.pop()) not in found:
                found.add(header)
                left += INCLUDE.findall(self.text(header))
        return found

    def may_follow(self, header, other):
        """Whether `header` sees behind `other` what it sees alone, and nothing of `other` could change by it."""
        behind = self.seen_behind(other)
        return header not in behind and behind <= self.seen_by(header) and not DECLARED.search(self.text(other))


def chains(headers, names):
    """The fewest chains that have each name once: as many links as can be (Kuhn's matching)."""
    followers = {name: [other for other in names if headers.may_follow(other, name)] for name in names}
    before = {}

    def link(name, tried):
        for other in followers[name]:
            if other not in tried:
                tried.add(other)
                if other not in before or link(before[other], tried):
                    before[other] = name
                    return True
        return False

    for name in names:
        link(name, set())
    after = {name: other for other, name in before.items()}
    for name in names:
        if name not in before:
            chain = [name]
            while chain[-1] in after:
                chain.append(after[chain[-1]])
            yield chain


class Compiler:
    """The command of `source` for other files."""

    def __init__(self, source, commands, launcher=None):
        entry = next(entry for entry in json.loads(commands.read_text(encoding="utf-8"))
                     if Path(entry["directory"], entry["file"]) == source)
        words = shlex.split(entry["command"])
        del words[words.index("-o"):words.index("-o") + 2], words[words.index("-c"):words.index("-c") + 2]
        self._words, self._folder = [*([launcher] if launcher else []), *words], entry["directory"]

    def __call__(self, file, includes=None):
        """What the compiler says of it; empty: it compiles."""
        more = [f"-I{includes}"] if includes else []
        done = subprocess.run([*self._words, *more, "-o", file.with_suffix(".o"), "-c", file], capture_output=True,
                              text=True, cwd=self._folder, check=False)
        return done.stderr if done.returncode else ""


def check(headers, names, work, compile_file):
    """(chain, what the compiler says) of each chain that does not compile."""
    wrong = []
    for chain in chains(headers, names):
        file = work / (re.sub(r"\W", "_", chain[-1]) + ".cpp")
        file.write_text("".join(f"#include <{name}>\n" for name in chain * 2), encoding="utf-8")
        if said := compile_file(file):
            wrong.append((chain, said))
    return wrong


# name: (text behind "#pragma once", whether it is wrong)
BROKEN = {
    "right.hpp": ("#include <vector>\ninline std::vector<int> right() { return {}; }", False),
    "user.hpp": ("#include <vector>\n#include <right.hpp>\ninline int user() { return right()[0]; }", False),
    "hidden.hpp": ("inline std::vector<int> hidden() { return {}; }", True),
    "late.hpp": ("inline std::vector<int> late() { return {}; }\n#include <right.hpp>", True),
    "halves.hpp": ("inline int half();\n#include <half.hpp>", False),
    "half.hpp": ("#include <halves.hpp>\ninline int half() { return 1; }", False),
    "open.hpp": ("#include <memory>\nstruct Open;\nstruct Holder { std::unique_ptr<Open> open; };\n"
                 "inline void drop(Holder&& h) { Holder own(std::move(h)); }", True),
    "whole.hpp": ("#include <open.hpp>\nstruct Open {};", False),
    "twice.hpp": ("#include <right.hpp>\nstruct Twice {};", True),  # written without the pragma
}


def check_broken(work, compile_file):
    """What of BROKEN is not found, or is not wrong and found."""
    for name, (text, _) in BROKEN.items():
        pragma = "" if name == "twice.hpp" else "#pragma once\n"
        (work / name).write_text(f"{pragma}{text}\n", encoding="utf-8")
    headers = Headers(work)
    found = [chain for chain, _ in check(headers, list(BROKEN), work, lambda file: compile_file(file, work))]
    bad = {name for name, (_, is_wrong) in BROKEN.items() if is_wrong}
    wrong = [f"{name}: no error" for name in bad.difference(*found)]
    wrong += [f"{', '.join(chain)}: an error" for chain in found if bad.isdisjoint(chain)]
    if len(list(chains(headers, list(BROKEN)))) == len(BROKEN):
        wrong.append("no two headers share a file")
    return wrong


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--broken", action="store_true")
    parser.add_argument("--launcher")
    parser.add_argument("includes", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("commands", type=Path)
    parser.add_argument("headers", nargs="*")
    a = parser.parse_args()
    compiler = Compiler(a.source, a.commands, a.launcher)
    if a.broken:
        with tempfile.TemporaryDirectory() as folder:
            wrong = check_broken(Path(folder), compiler)
    else:
        work = a.source.with_suffix("")
        work.mkdir(parents=True, exist_ok=True)
        found = check(Headers(a.includes), a.headers, work, compiler)
        wrong = [f"{', '.join(chain)}:\n{said}" for chain, said in found]
    print("\n".join(wrong) or f"{len(a.headers) or len(BROKEN)} headers")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
