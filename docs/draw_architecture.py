#!/usr/bin/env python3
"""Draws docs/architecture.svg from the includes of the tree, and checks that they point one way.

    docs/draw_architecture.py            writes the picture anew
    docs/draw_architecture.py --check    fails when the picture is not what it would write, or when a module includes
                                         what it must not

A module is a folder of include/anabranch with the folder of the same name in src (or one header of its own, such as
fmt.hpp), and the two libraries of capi. An arrow goes from a module to one that it includes; an arrow that follows from
two others is left out. A module stands one row above the highest one that it includes.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"
BASE = "types, error"  # single headers that need nothing but the standard library

# The core from the bottom up: each may include those before it, and no other module but BASE.
CORE = ["pool", "tree", "mask", "plan", "cache"]
WHOLE_CORE = [*CORE, "markup", "decode"]
# These may include what is listed, and BASE. A module that is not here has no rule yet: give it one.
ALLOWED = {
    **{module: CORE[:i] for i, module in enumerate(CORE)},
    "markup": [],
    "decode": ["markup", *CORE],
    "corpus": WHOLE_CORE,
    "mpi": [],
    "simd": [],
    "linear": ["simd"],
    "attention": ["simd", "pool", "mask", "plan"],
    "cuda": ["attention", "mask", "plan"],
    "hf": ["markup", "tree", "corpus"],
    "torch": [*WHOLE_CORE, "hf", "attention", "linear", "simd"],
    "train": [*WHOLE_CORE, "corpus", "hf"],
    "llama": [*WHOLE_CORE, "hf"],
    "eigen": WHOLE_CORE,
    "fmt": WHOLE_CORE,
    "capi": WHOLE_CORE,
    "capi/attention": ["attention", "capi"],
    BASE: [],
}

# Where a module stands, from left to right, and what is said about it.
LOOKS = {
    "capi": (0, "C ABI"),
    "capi/attention": (6, "attention in C"),
    "llama": (1, "llama.cpp as host"),
    "fmt": (2, "text, drawings"),
    "eigen": (3, "exact oracle"),
    "corpus": (4, "training text"),
    "torch": (7, "model runner"),
    "train": (4, "LoRA training"),
    "decode": (2, "decoder, sampler"),
    "cache": (2, "KvCache, Step"),
    "plan": (2, "one pass as data"),
    "mask": (2, "who sees what"),
    "tree": (2, "fork, join, history"),
    "pool": (2, "pages of slots"),
    "markup": (3, "tags to branches"),
    "hf": (4, "model folders"),
    "attention": (5, "CPU kernels"),
    "cuda": (4, "GPU kernels"),
    "linear": (7, "int8 products"),
    "simd": (6, "instruction set"),
    "mpi": (7, "ranks over MPI"),
}
KINDS = [  # (modules, fill, what they are)
    (["pool", "tree", "mask", "plan", "cache", "markup", "decode", BASE], "#cfe3fb", "core: headers, standard library only"),
    (["attention", "linear", "simd", "cuda"], "#fbe0c3", "kernels"),
    (["capi", "capi/attention"], "#dcd3f5", "C libraries"),
]
OTHER = ("#d5efd8", "adapters and tools on top of the core")

WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 120, 44, 22, 42, 20
INK, LINE = "#16202c", "#7a8594"  # text on boxes; arrows and text beside them, legible on white and on black


def module_of(path):
    """The module that a file of the tree belongs to, or None."""
    parts = path.parts
    if parts[:2] == ("include", "anabranch"):
        name = parts[2]
        if not name.endswith(".hpp"):
            return name
        name = name.removesuffix(".hpp")
        if (ROOT / "src" / name).is_dir() or name == "fmt":
            return name
        return None if name == "anabranch" else BASE  # the umbrella header is no module
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    if parts[0] == "capi" and path.suffix in (".h", ".hpp", ".cpp"):
        attention = parts[1] == "attention" or path.name == "anabranch_attention.h"
        return "capi/attention" if attention else "capi"
    return None


def base_headers():
    """The headers that BASE stands for, the two that everything needs first."""
    names = [p.name for p in (ROOT / "include" / "anabranch").glob("*.hpp")
             if module_of(p.relative_to(ROOT)) == BASE]
    return sorted(names, key=lambda name: (name not in ("types.hpp", "error.hpp"), name))


def read_graph():
    """{module: {modules that it includes}} and, for messages, one include of each pair."""
    graph, example = {}, {}
    for folder in ("include", "src", "capi"):
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix not in (".h", ".hpp", ".cpp", ".cu", ".cuh", ".inc"):
                continue
            path = file.relative_to(ROOT)
            module = module_of(path)
            if module is None:
                continue
            graph.setdefault(module, set())
            for header in re.findall(r'^\s*#\s*include\s*[<"](anabranch[\w/.]*)[>"]', file.read_text(), re.MULTILINE):
                other = module_of(pathlib.Path("include") / header if "/" in header else pathlib.Path("capi") / header)
                if header == "anabranch/anabranch.hpp":
                    other = "decode"  # the umbrella brings the whole core
                if other is not None and other != module:
                    graph[module].add(other)
                    example.setdefault((module, other), f"{path} includes {header}")
    return graph, example


def levels_of(graph):
    """{module: row}; raises ValueError, naming it, when modules include each other in a circle."""
    levels, path = {}, []

    def level(module):
        if module in levels:
            return levels[module]
        if module in path:
            raise ValueError("modules include each other: " + " -> ".join([*path[path.index(module):], module]))
        path.append(module)
        levels[module] = 1 + max((level(other) for other in graph[module]), default=-1)
        path.pop()
        return levels[module]

    for module in sorted(graph):
        level(module)
    return levels


def forbidden(graph, example):
    """Includes that a module must not have, in words."""
    wrong = [f"{module} has no rule in ALLOWED" for module in sorted(graph.keys() - ALLOWED.keys())]
    for module, allowed in ALLOWED.items():
        if module not in graph:
            wrong.append(f"there is no module {module}")
            continue
        wrong += [f"{example[module, other]}: {module} must not need {other}"
                  for other in sorted(graph[module] - {BASE, *allowed})]
    return wrong


def reachable(graph, start):
    seen, left = set(), list(graph[start])
    while left:
        module = left.pop()
        if module not in seen:
            seen.add(module)
            left += graph[module]
    return seen


def reduced(graph):
    """The pairs that do not follow from others."""
    pairs = []
    for module, others in sorted(graph.items()):
        implied = set().union(*(reachable(graph, other) for other in others)) if others else set()
        pairs += [(module, other) for other in sorted(others - implied)]
    return pairs


def fill_of(module):
    return next((fill for modules, fill, _ in KINDS if module in modules), OTHER[0])


class Picture:
    def __init__(self, graph):
        self.graph, self.levels = graph, levels_of(graph)
        spare = max(column for column, _ in LOOKS.values()) + 1
        self.columns = {m: LOOKS[m][0] if m in LOOKS else spare for m in graph}
        self.top = max(self.levels.values())
        self.width = 2 * MARGIN + (max(c for m, c in self.columns.items() if m != BASE) + 1) * (WIDTH + GAP_X) - GAP_X
        self.height = 2 * MARGIN + (self.top + 1) * (HEIGHT + GAP_Y) - GAP_Y + 40
        self.out = []

    def box(self, module):
        """x, y, width, height. BASE is a bar below all others."""
        y = MARGIN + (self.top - self.levels[module]) * (HEIGHT + GAP_Y)
        if module == BASE:
            return MARGIN, y, self.width - 2 * MARGIN, HEIGHT
        return MARGIN + self.columns[module] * (WIDTH + GAP_X), y, WIDTH, HEIGHT

    def put(self, text):
        self.out.append(text)

    def is_long(self, start, end):
        return self.levels[start] - self.levels[end] > 1 and self.columns[start] != self.columns[end]

    def places(self):
        """Where each arrow leaves and arrives, as shares of an edge: {(start, end): (out, in)}. A long arrow leaves at
        a side, any other at the bottom; all arrive at the top."""
        leaves, arrives = {}, {}
        for start, end in reduced(self.graph):
            side = (self.columns[end] > self.columns[start]) if self.is_long(start, end) else None
            leaves.setdefault((start, side), []).append(end)
            arrives.setdefault(end, []).append(start)
        result = {}
        for (start, side), ends in leaves.items():
            # the farthest of a side leaves lowest, so that they do not cross
            ends.sort(key=lambda end: self.columns[end] if side is None else -abs(self.columns[end] - self.columns[start]))
            for i, end in enumerate(ends):
                starts = sorted(arrives[end], key=lambda other: (self.columns[other], self.levels[other]))
                result[start, end] = (i + 1) / (len(ends) + 1), (starts.index(start) + 1) / (len(starts) + 1)
        return result

    def arrow(self, start, end, place):
        x, y, w, h = self.box(start)
        tx, ty, tw, _ = self.box(end)
        out, arrive = place
        goal = tx + tw * arrive
        ty -= 2
        if end == BASE:
            path = f"M{x + w * out:.0f},{y + h:.0f} V{ty:.0f}"
        elif self.is_long(start, end):
            right = self.columns[end] > self.columns[start]
            from_x, from_y, bend = x + (w if right else 0), y + h * out, 14 if right else -14
            path = f"M{from_x:.0f},{from_y:.0f} H{goal - bend:.0f} Q{goal:.0f},{from_y:.0f} {goal:.0f},{from_y + 14:.0f} V{ty:.0f}"
        elif self.columns[start] == self.columns[end]:
            path = f"M{goal:.0f},{y + h:.0f} V{ty:.0f}"
        else:
            from_x, half = x + w * out, (y + h + ty) / 2
            path = f"M{from_x:.0f},{y + h:.0f} C{from_x:.0f},{half:.0f} {goal:.0f},{half:.0f} {goal:.0f},{ty:.0f}"
        self.put(f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.4" marker-end="url(#tip)"/>')

    def arrows(self):
        for (start, end), place in sorted(self.places().items()):
            self.arrow(start, end, place)

    def boxes(self):
        for module in sorted(self.graph):
            x, y, w, h = self.box(module)
            text = ", ".join(base_headers()) if module == BASE else module
            about = "plain integers, ids, statuses" if module == BASE else LOOKS.get(module, (0, ""))[1]
            self.put(f'<rect x="{x:.0f}" y="{y:.0f}" width="{w:.0f}" height="{h}" rx="6" fill="{fill_of(module)}"/>')
            self.put(f'<text x="{x + w / 2:.0f}" y="{y + (19 if about else 27):.0f}" class="name">{text}</text>')
            if about:
                self.put(f'<text x="{x + w / 2:.0f}" y="{y + 35:.0f}">{about}</text>')

    def legend(self):
        x, y = MARGIN, self.height - MARGIN - 10
        for fill, about in [*((fill, about) for _, fill, about in KINDS), OTHER]:
            self.put(f'<rect x="{x}" y="{y - 11}" width="14" height="14" rx="3" fill="{fill}"/>')
            self.put(f'<text x="{x + 20}" y="{y}" class="legend">{about}</text>')
            x += 46 + round(6.4 * len(about))
        self.put(f'<text x="{x}" y="{y}" class="legend">arrow: includes</text>')

    def svg(self):
        self.arrows()
        self.boxes()
        self.legend()
        head = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width:.0f} {self.height:.0f}" \
font-family="Helvetica, Arial, sans-serif">
<title>Modules of Anabranch and what they include; written by docs/draw_architecture.py</title>
<style>text {{ font-size: 12px; text-anchor: middle; fill: {INK} }} .name {{ font-weight: bold; font-size: 14px }} \
.legend {{ text-anchor: start; fill: {LINE} }}</style>
<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">\
<path d="M0,0 L8,4 L0,8 z" fill="{LINE}"/></marker></defs>"""
        return "\n".join([head, *self.out, "</svg>"]) + "\n"


def main():
    graph, example = read_graph()
    if wrong := forbidden(graph, example):
        sys.exit("error: " + "\nerror: ".join(wrong))
    try:
        picture = Picture(graph).svg()
    except ValueError as circle:
        sys.exit(f"error: {circle}")
    if sys.argv[1:] == ["--check"]:
        if not PICTURE.exists() or PICTURE.read_text() != picture:
            sys.exit("error: docs/architecture.svg is not of this tree; run docs/draw_architecture.py")
        print(f"{len(graph)} modules, {len(reduced(graph))} arrows")
    elif sys.argv[1:]:
        sys.exit(__doc__)
    else:
        PICTURE.write_text(picture)


if __name__ == "__main__":
    main()
