"""The ctypes side against the C headers: structs, constants, functions. The C compiler (CC) has the last word."""
import ctypes
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "capi/python"))
from anabranch import abi  # noqa: E402


def header_text():
    names = ("anabranch.h", "anabranch_decoder.h", "anabranch_scheduler.h")
    text = "\n".join((ROOT / "capi" / name).read_text() for name in names)
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


def declarations():
    """(result, name, parameters) of each function."""
    return re.findall(r"ANB_API ([\w \*]+?)(anb_\w+)\((.*?)\);", header_text(), flags=re.DOTALL)


def from_c(expressions):
    """The values of C expressions, as the compiler sees them."""
    prints = "".join(f'  printf("%lld\\n", (long long)({expression}));\n' for expression in expressions)
    source = f'#include <stdio.h>\n#include "anabranch_scheduler.h"\nint main(void) {{\n{prints}  return 0;\n}}\n'
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "layout.c").write_text(source)
        program = str(Path(folder, "layout"))
        compiler = os.environ.get("CC", "cc").split()
        subprocess.run([*compiler, "-I", str(ROOT / "capi"), "-o", program, str(Path(folder, "layout.c"))], check=True)
        output = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return [int(sequence) for sequence in output.split()]


def kind(c_type):
    """A C parameter as a calling convention sees it: a pointer, or an integer of a size."""
    c_type = c_type.strip()
    if "*" in c_type:
        return "pointer"
    word = c_type.removeprefix("const ").split()[0]
    return {"void": "nothing", "int32_t": "i32", "uint32_t": "u32", "size_t": "size", "anb_status": "i32",
            "anb_token": "i32", "anb_position": "i32", "anb_positions": "i32", "anb_sequence": "u64",
            "anb_request": "u64", "double": "double"}[word]


def python_kind(c_type):
    if c_type is None:
        return "nothing"
    kinds = {"i32": (ctypes.c_int32, abi.i32), "u32": (ctypes.c_uint32, abi.u32), "u64": (abi.u64,),
             "size": (ctypes.c_size_t,), "double": (ctypes.c_double,)}
    return next((name for name, types in kinds.items() if c_type in types), "pointer")


class Layout(unittest.TestCase):
    def test_every_struct_has_the_members_of_the_header_in_their_order(self):
        structs = re.findall(r"typedef struct (anb_\w+) \{(.*?)\} \1;", header_text(), flags=re.DOTALL)
        self.assertEqual([name for name, _ in structs], [struct.c_name for struct in abi.STRUCTS])
        for (name, body), struct in zip(structs, abi.STRUCTS):
            members = re.findall(r"\(\*(\w+)\)\([^;]*;|(\w+)\s*;", body)
            self.assertEqual([a or b for a, b in members], list(struct.fields), name)

    def test_sizes_and_offsets_are_those_that_the_compiler_sees(self):
        expressions, expected = [], []
        for struct in abi.STRUCTS:
            name = struct.c_name
            expressions.append(f"sizeof({name})")
            expected.append((name, ctypes.sizeof(struct)))
            for field in struct.fields:
                here = getattr(struct, field)
                expressions += [f"offsetof({name}, {field})", f"sizeof((({name}*)0)->{field})"]
                expected += [(f"{name}.{field} offset", here.offset), (f"{name}.{field} size", here.size)]
        found = from_c(expressions)
        self.assertEqual(list(zip((what for what, _ in expected), found)), expected)

    def test_every_constant_of_the_headers_is_there_with_its_value(self):
        names = re.findall(r"\b(ANB_[A-Z0-9_]+) = -?\d+", header_text())
        self.assertGreater(len(names), 50)
        known = {}
        for prefix, enum in abi.ENUMS.items():
            known.update({prefix + member.name: int(member) for member in enum})
        self.assertEqual(sorted(known), sorted(names))
        self.assertEqual(dict(zip(names, from_c(names))), known)

    def test_the_other_constants_have_the_headers_values(self):
        macros = {
            "ANB_VERSION_MAJOR * 65536 + ANB_VERSION_MINOR * 256 + ANB_VERSION_PATCH": abi.VERSION,
            "ANB_UNKNOWN_TOKEN": abi.UNKNOWN_TOKEN, "ANB_NO_SEQUENCE": abi.NO_SEQUENCE, "ANB_NONE": abi.NONE,
            "ANB_UNLIMITED": abi.UNLIMITED, "ANB_NO_REQUEST": abi.NO_REQUEST,
        }
        self.assertEqual(from_c(macros), list(macros.values()))

    def test_every_function_of_the_headers_is_there_with_its_parameters(self):
        declared = declarations()
        self.assertGreater(len(declared), 50)
        self.assertEqual(sorted(name for _, name, _ in declared), sorted(abi.FUNCTIONS))
        for result, name, parameters in declared:
            wanted = [kind(result)] + [kind(p) for p in parameters.split(",") if p.strip() != "void"]
            self.assertEqual([python_kind(c_type) for c_type in abi.FUNCTIONS[name]], wanted, name)

    def test_every_pointer_to_a_struct_is_to_the_struct_of_the_header(self):
        structs = {struct.c_name: struct for struct in abi.STRUCTS}
        for _, name, parameters in declarations():
            for parameter, c_type in zip(parameters.split(","), abi.FUNCTIONS[name][1:]):
                struct = structs.get(parameter.strip().removeprefix("const ").split("*")[0].strip())
                if struct is not None:
                    self.assertIs(c_type, ctypes.POINTER(struct), f"{name}: {parameter}")


if __name__ == "__main__":
    unittest.main()
