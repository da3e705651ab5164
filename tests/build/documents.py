#!/usr/bin/env python3
"""Documents name only what exists.

    documents.py ROOT            links and their headings, files named in documents, names of the library in backquotes,
                                 and documents and files that comments name
    documents.py ROOT --broken   the check itself: it must object to a document in which each of these is wrong
"""
import pathlib
import re
import subprocess
import sys

SOURCES = (".hpp", ".h", ".cpp", ".c", ".cu", ".cuh", ".inc", ".rs", ".py", ".sh", ".cmake", ".txt", ".in", "")
FILE_NAME = re.compile(r"[\w.-]+(/[\w.*-]+)*\.(hpp|h|cpp|c|cu|cuh|py|rs|md|sh|cmake|svg|xml|jsonl)")
LIBRARY_NAME = re.compile(r"(ab::|anabranch::|::)?[A-Za-z_]\w*((::|\.)~?\w+)*")
OWN = re.compile(r"README\.md|CONTRIBUTING\.md|(docs|capi)/\w+\.md|examples/README\.md")  # of these the names are checked
# In a comment: what lies in a folder of the tree, or a header by its module's folder.
NAMED_FILE = re.compile(r"(?<![\w/$}.-])(?:(?:include|src|capi|docs|tests|bench|examples|cmake)/[\w./*-]*\w"
                        r"|[a-z_]+/[\w./-]*\.hpp)")
TEMPLATE = "examples/train/card/page.md"  # its links are those of the card that is made of it
SHAPES = {"CamelCase", "snake_case", "kName", "anb_noun_verb", "anb_noun", "ANB_NOUN_VALUE", "n_x", "torch/torch.h"}


class Tree:
    def __init__(self, root):
        self.root = root
        listed = subprocess.run(["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard"],
                                capture_output=True, text=True, check=False)
        names = listed.stdout.splitlines() if listed.returncode == 0 else [
            str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and "build" not in p.relative_to(root).parts]
        self.files = {name for name in names if (root / name).is_file()}
        self.folders = {str(parent) for name in self.files for parent in pathlib.PurePath(name).parents}
        self.base_names = {pathlib.PurePath(name).name for name in self.files}
        self.documents = {name: (root / name).read_text() for name in sorted(self.files) if name.endswith(".md")}
        self.sources = {name: (root / name).read_text(errors="replace") for name in sorted(self.files)
                        if pathlib.PurePath(name).suffix in SOURCES and not name.startswith("tests/fuzz/corpus/")}
        self.words = set().union(*(re.findall(r"\w+", text) for name, text in self.sources.items()
                                   if name != "tests/build/documents.py"))

    def has(self, name):
        name = name.rstrip("/")
        return name in self.files or name in self.folders


def headings(text):
    """Anchors of a document's headings, as they are made of their text on code-sharing sites."""
    found = []
    for line in without_blocks(text).splitlines():
        if match := re.match(r"#+ +(.*)", line):
            plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match.group(1)).lower()
            found.append(re.sub(r"[^\w\- ]", "", plain).strip().replace(" ", "-"))
    return found


def without_blocks(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def normal(folder, target):
    parts = []
    for part in [*pathlib.PurePath(folder).parts, *target.split("/")]:
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def check_links(tree, name, text):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_blocks(text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        goal = normal(pathlib.PurePath(name).parent, path) if path else name
        if goal is None or not tree.has(goal):
            yield f"{name}: the link {target} leads nowhere"
        elif anchor and anchor not in headings(tree.documents.get(goal, text if goal == name else "")):
            yield f"{name}: {goal} has no heading for #{anchor}"


def is_file(tree, name, token):
    folder = str(pathlib.PurePath(name).parent)
    places = [token, f"include/anabranch/{token}", f"include/{token}", f"include/anabranch/decode/{token}", normal(folder, token)]
    return any(place and tree.has(place) for place in places) or ("/" not in token and token in tree.base_names)


def check_names(tree, name, text):
    """Files and names of the library in backquotes."""
    words = tree.words | set(re.findall(r"\w+", " ".join(re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL))))
    for token in re.findall(r"`([^`\n]+)`", without_blocks(text)):
        if token in SHAPES or "NAME" in token or "*" in token or "..." in token or token.startswith(("build/", "my/", "my.")):
            continue
        first = token.split()[0] if token.split() else ""
        if FILE_NAME.fullmatch(token) or re.fullmatch(r"(include|src|capi|docs|tests|bench|examples|cmake)/[\w./-]*", first):
            if not is_file(tree, name, token if FILE_NAME.fullmatch(token) else first):
                yield f"{name}: there is no file {token}"
        elif LIBRARY_NAME.fullmatch(token) and ("::" in token or "_" in token or re.search(r"[a-z][A-Z]", token)):
            for word in re.findall(r"\w+", token):
                if word not in words:
                    yield f"{name}: nothing is called {word} (`{token}`)"


def check_citations(tree):
    """Documents and files that comments name."""
    for name, text in tree.sources.items():
        script = not name.endswith((".hpp", ".h", ".cpp", ".c", ".cu", ".cuh", ".inc", ".rs"))
        for line in text.splitlines():
            comment = re.search(r"(?:^|\s)#(?!include)(.*)" if script else r"(?://|/\*|^\s?\*)(.*)", line)
            said = comment.group(1) if comment else ""
            for cited in re.findall(r"(?<![\w$/{}.-])[\w./-]*\w\.md\b", said):
                folder = str(pathlib.PurePath(name).parent)
                if not (cited.startswith("build/") or tree.has(cited) or tree.has(normal(folder, cited) or "?")):
                    yield f"{name}: cites {cited}, which is not there"
            for file in NAMED_FILE.findall(said):
                if not (file.endswith(".md") or "*" in file or is_file(tree, name, file)):
                    yield f"{name}: names {file}, which is not there"


def complaints(tree):
    for name, text in tree.documents.items():
        if name != TEMPLATE:
            yield from check_links(tree, name, text)
        if OWN.fullmatch(name):
            own = text
            if name == "docs/words.md":  # the first columns are ours, the others tell other projects' names
                own = "\n".join(line.split(" | ")[0] for line in text.splitlines())
            yield from check_names(tree, name, own)
    yield from check_citations(tree)


def broken(tree):
    """Complaints about one document in which everything is wrong, and about one comment."""
    text = "[a](no.md) [b](../README.md#no-such-heading) `src/no/file.cpp` `no_file.hpp` `Step::nothing_like_it`\n"
    tree.documents = {"docs/broken.md": text, "README.md": "# Anabranch\n"}
    tree.sources = {"src/broken.cpp": "// as NOTHING.md says, see tree/nothing.hpp\n"}
    return list(complaints(tree))


def main():
    tree = Tree(pathlib.Path(sys.argv[1]).resolve())
    if sys.argv[2:] == ["--broken"]:
        found = broken(tree)
        expected = ["no.md leads nowhere", "#no-such-heading", "src/no/file.cpp", "no_file.hpp", "nothing_like_it", "NOTHING.md",
                    "tree/nothing.hpp"]
        missed = [text for text in expected if not any(text in line for line in found)]
        sys.exit(f"error: the check does not see: {', '.join(missed)}" if missed or len(found) != len(expected) else 0)
    found = list(complaints(tree))
    for line in found:
        print(line)
    print(f"{len(tree.documents)} documents, {len(tree.sources)} sources, {len(found)} complaints")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
