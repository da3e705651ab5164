#!/usr/bin/env python3
"""capi/layout.json: the C headers as data, for generators of bindings. libclang reads them.

    layout_json.py --write             writes the file anew
    layout_json.py --compare           compares it with the headers
    layout_json.py --compile [CC]      compares sizes, offsets, types and prototypes with what a C compiler makes of them
    layout_json.py --compile --broken  the check itself: it must object to each kind of thing that is wrong
"""
import copy
import difflib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CAPI = ROOT / "capi"
LAYOUT = CAPI / "layout.json"
HEADERS = {"anabranch.h": "libanabranch", "anabranch_decoder.h": "libanabranch",
           "anabranch_scheduler.h": "libanabranch", "anabranch_attention.h": "libanabranch_attention"}
ABOUT = ("The C ABI on 64-bit little-endian machines, made from its headers by tests/capi/layout_json.py. `abi` is what a "
         "type is once its names are resolved; offsets and sizes are in bytes. Defaults: call the struct's _init function.")
BORROWED_FROM_CC = "include"  # stddef.h and stdint.h, which the wheel of libclang does not bring


def parse(text):
    import clang.cindex as cindex
    places = subprocess.run(["cc", f"-print-file-name={BORROWED_FROM_CC}"], capture_output=True, text=True, check=True)
    arguments = ["-x", "c", "-std=gnu11", "-I", str(CAPI), "-isystem", places.stdout.strip()]
    unit = cindex.Index.create().parse("all.c", arguments, unsaved_files=[("all.c", text)],
                                       options=cindex.TranslationUnit.PARSE_DETAILED_PROCESSING_RECORD)
    errors = [str(d) for d in unit.diagnostics if d.severity >= cindex.Diagnostic.Error]
    if errors:
        sys.exit("error: libclang cannot read the headers:\n" + "\n".join(errors))
    return unit


def spelling(c_type):
    return re.sub(r" (?=\*)", "", c_type.spelling).replace("*const", "* const")


def abi(c_type):
    """A type without its names: a number of a size, `pointer`, `callback`, `void` or the name of a struct."""
    from clang.cindex import TypeKind
    c_type = c_type.get_canonical()
    if c_type.kind == TypeKind.POINTER:
        return "callback" if c_type.get_pointee().kind == TypeKind.FUNCTIONPROTO else "pointer"
    if c_type.kind == TypeKind.RECORD:
        return c_type.get_declaration().spelling
    kinds = {TypeKind.VOID: "void", TypeKind.FLOAT: "float", TypeKind.DOUBLE: "float", TypeKind.INT: "int",
             TypeKind.LONG: "int", TypeKind.UINT: "uint", TypeKind.ULONG: "uint"}
    kind = kinds[c_type.kind]
    return kind if kind == "void" else f"{kind}{8 * c_type.get_size()}"


def typed(c_type):
    found = {"type": spelling(c_type), "abi": abi(c_type)}
    if found["abi"] == "callback":
        function = c_type.get_canonical().get_pointee()
        found["returns"] = abi(function.get_result())
        found["takes"] = [abi(argument) for argument in function.argument_types()]
    return found


def enumeration(cursor):
    values = {value.spelling: value.enum_value for value in cursor.get_children()}
    return {"prefix": os.path.commonprefix(list(values)).rpartition("_")[0] + "_", "values": values}


def struct(cursor):
    fields = [{"name": field.spelling, **typed(field.type), "offset": field.get_field_offsetof() // 8,
               "size": field.type.get_size()} for field in cursor.type.get_fields()]
    return {"name": cursor.spelling, "size": cursor.type.get_size(), "alignment": cursor.type.get_align(), "fields": fields}


def function(cursor):
    return {"name": cursor.spelling, "returns": typed(cursor.result_type),
            "parameters": [{"name": p.spelling, **typed(p.type)} for p in cursor.get_arguments()]}


def constants(names):
    """Macros that stand for a number, as the compiler sees them."""
    lines = [f'#include "{header}"' for header in HEADERS]
    lines += [f"enum {{ value_of_{name} = ({name}) }};\nextern __typeof__({name}) type_of_{name};" for name in names]
    values, kinds = {}, {}
    for cursor in parse("\n".join(lines) + "\n").cursor.walk_preorder():
        if cursor.spelling.startswith("value_of_"):
            values[cursor.spelling.removeprefix("value_of_")] = cursor.enum_value
        elif cursor.spelling.startswith("type_of_"):
            kinds[cursor.spelling.removeprefix("type_of_")] = abi(cursor.type)
    return [{"name": name, "abi": kinds[name], "value": values[name]} for name in names]


def read_headers():
    from clang.cindex import CursorKind
    unit = parse("".join(f'#include "{header}"\n' for header in HEADERS))
    names = ("handles", "types", "statuses", "enums", "structs", "functions")
    found = {name: [] for name in names}
    macros = []
    for cursor in unit.cursor.get_children():
        header = Path(cursor.location.file.name).name if cursor.location.file else ""
        if header not in HEADERS:
            continue
        where = {"library": HEADERS[header]}
        if cursor.kind == CursorKind.STRUCT_DECL and cursor.is_definition():
            found["structs"].append({**struct(cursor), **where})
        elif cursor.kind == CursorKind.ENUM_DECL:
            values = enumeration(cursor)
            found["statuses" if "ANB_OK" in values["values"] else "enums"].append({**values, **where})
        elif cursor.kind == CursorKind.FUNCTION_DECL:
            found["functions"].append({**function(cursor), **where})
        elif cursor.kind == CursorKind.TYPEDEF_DECL:
            target = cursor.underlying_typedef_type
            if target.get_size() < 0:
                found["handles"].append({"name": cursor.spelling, **where})
            elif abi(target) != cursor.spelling:
                found["types"].append({"name": cursor.spelling, **typed(target), "size": target.get_size(), **where})
        elif cursor.kind == CursorKind.MACRO_DEFINITION and cursor.spelling.startswith("ANB_"):
            tokens = [token.spelling for token in cursor.get_tokens()]
            if len(tokens) > 1 and tokens[1] not in ("{", "__attribute__") and "extent" not in tokens:
                macros.append(cursor.spelling)
    found["statuses"] = found["statuses"][0]["values"]
    numbers = constants(macros)
    version = {n["name"].removeprefix("ANB_VERSION_"): n["value"] for n in numbers if n["name"].startswith("ANB_VERSION_")}
    return {"about": ABOUT, "version": "{MAJOR}.{MINOR}.{PATCH}".format(**version), "headers": list(HEADERS),
            "constants": [n for n in numbers if not n["name"].startswith("ANB_VERSION_")], **found}


def as_text(value, indent=0):
    """JSON with what fits on a line on one line."""
    line = json.dumps(value)
    if not isinstance(value, (dict, list)) or len(line) + indent <= 118:
        return line
    inner = " " * (indent + 1)
    if isinstance(value, dict):
        items = [f"{inner}{json.dumps(key)}: {as_text(item, indent + 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(items) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(inner + as_text(item, indent + 1) for item in value) + "\n" + " " * indent + "]"


def compare():
    made = as_text(read_headers()) + "\n"
    stored = LAYOUT.read_text()
    if made != stored:
        lines = difflib.unified_diff(stored.splitlines(), made.splitlines(), "capi/layout.json", "headers", lineterm="", n=1)
        sys.exit("\n".join(lines) + "\nerror: capi/layout.json is not of these headers; tests/capi/accept_abi.sh writes it")
    layout = json.loads(made)
    print(f"{len(layout['structs'])} structs, {len(layout['functions'])} functions")


def assertions(layout):
    """A C program that does not compile where the layout is wrong."""
    yield "#include <stddef.h>"
    yield from (f'#include "{header}"' for header in layout["headers"])
    sizes = {"pointer": 8, "callback": 8, **{kind + bits: int(bits) // 8 for kind in ("int", "uint", "float")
                                             for bits in ("32", "64")}}

    def check(condition, what):
        return f'_Static_assert({condition}, "{what}");'

    for name, value in layout["statuses"].items():
        yield check(f"{name} == {value}", name)
    for enum in layout["enums"]:
        yield from (check(f"{name} == {value}", name) for name, value in enum["values"].items())
    for constant in layout["constants"]:
        yield check(f"({constant['name']}) == ({constant['value']})", constant["name"])
        yield check(f"sizeof({constant['name']}) == {sizes[constant['abi']]}", constant["name"])
    for kind in layout["types"]:
        yield check(f"sizeof({kind['name']}) == {kind['size']}", kind["name"])
        yield check(f"sizeof({kind['name']}) == {sizes[kind['abi']]}", kind["name"])
    for item in layout["structs"]:
        name, end = item["name"], 0
        yield check(f"sizeof({name}) == {item['size']}", name)
        yield check(f"_Alignof({name}) == {item['alignment']}", name)
        for field in item["fields"]:
            member = f"(({name}*)0)->{field['name']}"
            yield check(f"offsetof({name}, {field['name']}) == {field['offset']}", f"{name}.{field['name']}")
            yield check(f"{end} == {field['offset']}", f"a gap before {name}.{field['name']}")
            yield check(f"sizeof({member}) == {field['size']}", f"{name}.{field['name']}")
            yield check(f"_Generic({member}, {field['type']}: 1, default: 0)", f"type of {name}.{field['name']}")
            yield check(f"{field['size']} == {sizes.get(field['abi'], field['size'])}", f"{name}.{field['name']} as it is stored")
            end = field["offset"] + field["size"]
        yield check(f"sizeof({name}) == {end}", f"the end of {name}")
    for item in layout["functions"]:
        parameters = ", ".join(p["type"] for p in item["parameters"]) or "void"
        kind = f"{item['returns']['type']} (*)({parameters})"
        yield check(f"_Generic(&{item['name']}, {kind}: 1, default: 0)", item["name"])


def compiles(layout, compiler):
    text = "\n".join(assertions(layout)) + "\n"
    command = [*compiler.split(), "-std=c11", "-fsyntax-only", "-I", str(CAPI), "-x", "c", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stderr, text.count("_Static_assert")


def compile_broken(layout, compiler):
    def change(what, edit):
        wrong = copy.deepcopy(layout)
        edit(wrong)
        good, errors, _ = compiles(wrong, compiler)
        if good or what not in errors:
            sys.exit(f"error: the check does not see what is wrong with {what}:\n{errors}")

    def plan_field(wrong, key, value):
        fields = next(s for s in wrong["structs"] if s["name"] == "anb_plan")["fields"]
        next(f for f in fields if f["name"] == "n_rows")[key] = value

    change("anb_plan.n_rows", lambda wrong: plan_field(wrong, "offset", 8))
    change("anb_plan.n_rows", lambda wrong: plan_field(wrong, "size", 8))
    change("type of anb_plan.n_rows", lambda wrong: plan_field(wrong, "type", "float"))
    change("anb_plan.n_rows as it is stored", lambda wrong: plan_field(wrong, "abi", "int64"))
    change("ANB_NO_ROOM", lambda wrong: wrong["statuses"].update(ANB_NO_ROOM=9))
    change("ANB_NONE", lambda wrong: next(c for c in wrong["constants"] if c["name"] == "ANB_NONE").update(value=1))
    change("the end of anb_plan", lambda wrong: next(
        s for s in wrong["structs"] if s["name"] == "anb_plan")["fields"].pop())
    change("anb_step_begin", lambda wrong: next(
        f for f in wrong["functions"] if f["name"] == "anb_step_begin")["parameters"].pop())


def main():
    arguments = sys.argv[1:]
    broken = "--broken" in arguments
    if arguments == ["--write"]:
        LAYOUT.write_text(as_text(read_headers()) + "\n")
    elif arguments == ["--compare"]:
        compare()
    elif arguments[:1] == ["--compile"]:
        compiler = next((a for a in arguments[1:] if a != "--broken"), os.environ.get("CC", "cc"))
        layout = json.loads(LAYOUT.read_text())
        if broken:
            return compile_broken(layout, compiler)
        good, errors, n = compiles(layout, compiler)
        if not good:
            sys.exit(f"{errors}error: capi/layout.json is not what {compiler} makes of the headers")
        print(f"{compiler}: {n} facts of layout.json hold")
    else:
        sys.exit(__doc__)
    return None


if __name__ == "__main__":
    main()
