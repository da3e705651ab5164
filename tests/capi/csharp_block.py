#!/usr/bin/env python3
"""The C# in docs/embedding.md against capi/layout.json: fields of structs in their order, functions with their parameters.

    csharp_block.py ROOT             reads every block of C# in the document
    csharp_block.py ROOT --broken    the check itself: it must object to each kind of thing that is wrong
"""
import json
import re
import sys
from pathlib import Path

# What a type of C# is to a C function or inside a struct.
KINDS = {"int": "int32", "uint": "uint32", "long": "int64", "ulong": "uint64", "float": "float32", "double": "float64",
         "void": "void", "IntPtr": "pointer", "UIntPtr": "uint64"}


def kind(c_sharp):
    words = c_sharp.split()
    if words[0] in ("out", "ref") or words[-1].endswith(("*", "[]")):
        return "pointer"
    return KINDS.get(words[-1], f"'{c_sharp}'")


def stored(c_type):
    return "pointer" if c_type == "callback" else c_type


def complaints(text, layout):
    structs = {s["name"]: [(f["name"], stored(f["abi"])) for f in s["fields"]] for s in layout["structs"]}
    functions = {f["name"]: [stored(f["returns"]["abi"]), *(stored(p["abi"]) for p in f["parameters"])]
                 for f in layout["functions"]}
    n_structs = n_functions = 0
    for name, body in re.findall(r"\[StructLayout\(LayoutKind\.Sequential\)\]\n[\w ]*struct (\w+) \{(.*?)\n\}", text, re.S):
        n_structs += 1
        fields = [(field.strip(), kind(c_type)) for c_type, names in re.findall(r"public ([\w*]+) ([\w, ]+);", body)
                  for field in names.split(",")]
        for here, there in zip(fields + [("nothing", "")], structs.get(name, []) + [("nothing", "")]):
            if here != there:
                yield f"struct {name}: {' '.join(here)} stands where the header has {' '.join(there)}"
                break
    for result, name, parameters in re.findall(r"static extern (\w+) (\w+)\((.*?)\);", text):
        n_functions += 1
        here = [kind(result), *(kind(p.rpartition(" ")[0]) for p in parameters.split(", ") if p)]
        if here != functions.get(name):
            yield f"function {name}: {here}, but the header has {functions.get(name)}"
    if n_structs == 0 or n_functions == 0:
        yield f"{n_structs} structs and {n_functions} functions were found: is the search broken?"


def main():
    root = Path(sys.argv[1])
    layout = json.loads((root / "capi/layout.json").read_text())
    text = "\n".join(re.findall(r"^```csharp\n(.*?)^```", (root / "docs/embedding.md").read_text(), re.S | re.M))
    if sys.argv[2:] == ["--broken"]:
        for before, after, complaint in (("n_rows, n_outputs", "n_outputs, n_rows", "struct anb_plan: n_outputs"),
                                         ("public ulong epoch", "public uint epoch", "struct anb_plan: epoch uint32"),
                                         ("void* outputs, groups", "void* outputs", "struct anb_plan: views"),
                                         (", ops_after_commit;", ";", "nothing"),
                                         ("int n, int logits", "int logits", "function anb_step_append"),
                                         ("extern int anb_step_begin", "extern void anb_step_begin", "function anb_step_begin"),
                                         ("extern int anb_step_plan", "extern int anb_step_plans", "function anb_step_plans")):
            if before not in text or not any(complaint in line for line in complaints(text.replace(before, after, 1), layout)):
                sys.exit(f"error: the check does not see '{after}' in place of '{before}'")
        return
    found = list(complaints(text, layout))
    sys.exit("\n".join(found) if found else 0)


main()
