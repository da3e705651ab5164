"""Checks that code which must not compile does not, and that the compiler says why.

    python3 must_not_compile.py FILE INCLUDES COMPILER

FILE compiles as it is. It has cases in comments,

    // CASE NAME: why, or "error within N lines"
    //   g++:   regular expression
    //   clang: regular expression

and with -DNAME it must not compile; each expression of the compiler's kind must match a line of what it says. "Within N
lines" counts from its first line, without lines that tell who includes what.
"""
import os
import re
import subprocess
import sys
import tempfile


class Compiler:
    """A compiler that has read the headers of `source` once, because they are most of what a case costs."""

    def __init__(self, name, includes, source, folder):
        version = subprocess.run([name, "--version"], capture_output=True, text=True, check=True).stdout
        self.kind = "clang" if "clang" in version else "g++"
        self._command = [name, "-std=c++20", "-Wall", "-Werror", f"-I{includes}"]
        self._source = source
        header = os.path.join(folder, "headers.hpp")
        with open(source, encoding="utf-8") as file, open(header, "w", encoding="utf-8") as out:
            out.writelines(line for line in file if line.startswith("#include <"))
        made = header + (".pch" if self.kind == "clang" else ".gch")
        subprocess.run([*self._command, "-x", "c++-header", header, "-o", made], check=True)
        self._command += ["-include-pch", made] if self.kind == "clang" else ["-include", header]

    def __call__(self, *defines):
        """(status, what it says)"""
        command = [*self._command, "-fsyntax-only", *defines, self._source]
        environment = {**os.environ, "LC_ALL": "C"}
        result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        return result.returncode, result.stderr


def cases(text, kind):
    """(name, most lines or None, expressions) of each case."""
    for block in re.finditer(r"// CASE (\w+): (.*)\n((?:\s*//   .*\n)+)", text):
        within = re.search(r"within (\d+) lines", block[2])
        expected = re.findall(rf"//   {re.escape(kind)}:\s+(.*)\n", block[3])
        yield block[1], int(within[1]) if within else None, expected


def main():
    source, includes, name_of_compiler = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        wrong, n = check(source, Compiler(name_of_compiler, includes, source, folder))
    print("\n\n".join(wrong) or f"{n} cases do not compile with {name_of_compiler}")
    sys.exit(bool(wrong))


def check(source, compiler):
    """(what is wrong, how many cases there are)"""
    wrong = []
    status, said = compiler()
    if status != 0:
        wrong.append(f"without a case it must compile:\n{said}")
    with open(source, encoding="utf-8") as file:
        found = list(cases(file.read(), compiler.kind))
    for name, most_lines, expected in found:
        status, said = compiler(f"-D{name}")
        lines = [line for line in said.splitlines() if not re.match(r"In file included from|\s+from ", line)]
        for expression in expected:
            if status == 0 or not any(re.search(expression, line) for line in lines[:most_lines]):
                wrong.append(f"{name} must fail with: {expression}\n" + "\n".join(lines[:20]))
        if not expected:
            wrong.append(f"{name} has no expression for {compiler.kind}")
    if not found:
        wrong.append("no case")
    return wrong, len(found)


main()
