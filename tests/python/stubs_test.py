"""The stubs (*.pyi) of the package name every public class, function and method, with the parameters that it has."""
import ast
import sys
import unittest
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "capi/python/anabranch"


def described(path):
    """{name: parameters, or None for what is no function} of a file's public names; methods as `Class.name`."""
    names = {}

    def note(prefix, body):
        for node in body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                names[prefix + node.name] = None
                note(node.name + ".", node.body)
            elif isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name == "__init__"):
                a = node.args
                is_property = any(getattr(d, "id", "") == "property" for d in node.decorator_list)
                parameters = [one.arg for one in [*a.args, a.vararg, *a.kwonlyargs, a.kwarg] if one]
                names[prefix + node.name] = None if is_property else parameters
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    for name in getattr(target, "elts", [target]):
                        if isinstance(name, ast.Name) and not name.id.startswith("_"):
                            names[prefix + name.id] = None

    note("", ast.parse(path.read_text()).body)
    return names


class Stubs(unittest.TestCase):
    def test_each_names_what_its_module_has(self):
        stubs = sorted(PACKAGE.glob("*.pyi"))
        self.assertGreaterEqual(len(stubs), 3)
        for stub in stubs:
            module, typed = described(stub.with_suffix(".py")), described(stub)
            for name, parameters in module.items():
                self.assertIn(name, typed, f"{stub.name} does not have it")
                self.assertEqual(typed[name], parameters, f"parameters of {name} in {stub.name}")
            gone = [name for name, parameters in typed.items() if parameters is not None and name not in module]
            self.assertEqual(gone, [], f"{stub.name} has what {stub.stem}.py has not")


if __name__ == "__main__":
    sys.exit(unittest.main())
