"""examples/python/goldens.py as its users run it. ANABRANCH_LIBRARY names the library."""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from golden_rules import make_case, random_cases

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "tests/goldens/positions_and_masks.jsonl"


def run(path, **environment):
    command = [sys.executable, str(ROOT / "examples/python/goldens.py"), *([str(path)] if path else [])]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})


class Goldens(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = Path(folder.name, "cases.jsonl")

    def run_lines(self, *lines):
        self.file.write_text("".join(line + "\n" for line in lines))
        return run(self.file)

    def assertRefused(self, line, word, *lines):
        result = self.run_lines(*lines)
        self.assertEqual((result.returncode, result.stdout), (2, ""), result)
        self.assertIn(f"{self.file}:{line}: ", result.stderr)
        self.assertIn(word, result.stderr)
        self.assertNotIn("Traceback", result.stderr)

    def test_the_recorded_cases_agree(self):
        n = len(RECORDED.read_text().splitlines())
        result = run(RECORDED)
        self.assertEqual(result.stdout.splitlines()[-1], f"{n} of {n} agree")
        self.assertEqual(result.returncode, 0)

    def test_other_files_of_the_format_agree(self):
        seed = int.from_bytes(os.urandom(4), "little")
        cases = random_cases(seed, 30) + [
            make_case([], "normal"), make_case([[2, 3], 1, [5]], "fixrange"), make_case([1, [2] * 40, 2], "max_para"),
            make_case([3, [90, 2, 41], 1, [7, 7], 1, [2, 60]], "normal")]
        result = self.run_lines(*map(json.dumps, cases))
        self.assertEqual(result.stdout.splitlines()[-1:], ["34 of 34 agree"], f"seed {seed}: {result}")
        self.assertEqual(result.returncode, 0)

    def test_a_wrong_position_and_a_wrong_mask_are_found_and_named(self):
        good = make_case([4, [3, 2], 2], "normal")
        position, mask = json.loads(json.dumps(good)), json.loads(json.dumps(good))
        position["positions"][9] += 1
        mask["mask"][8] = [[0, 9]]
        mask["mask"][7] = [[0, 4], [5, 8]]
        result = self.run_lines(*map(json.dumps, (good, position, mask)))
        self.assertEqual(result.stdout.splitlines()[-1], "1 of 3 agree")
        self.assertEqual(result.returncode, 1)
        where = f"{self.file}:2: normal, everything in one pass: "
        self.assertIn(where + "token 9 has position 9, expected 10", result.stdout)
        self.assertIn(f"{self.file}:3: ", result.stdout)
        self.assertIn("token 8 sees [0,4)[7,9), expected [0,9)", result.stdout)

    def test_a_file_of_one_mode_does_not_pass_for_another(self):
        for mode in ("max_para", "fixrange"):
            case = {**make_case([4, [3, 2], 2], "normal"), "mode": mode}
            result = self.run_lines(json.dumps(case))
            self.assertEqual((result.stdout.splitlines()[-1], result.returncode), ("0 of 1 agree", 1))

    def test_no_cases_are_no_agreement(self):
        result = self.run_lines("", "  ")
        self.assertEqual((result.stdout, result.returncode), ("0 of 0 agree\n", 1))

    def test_a_bad_line_is_refused_with_its_number(self):
        good = json.dumps(make_case([2, [2, 2]], "normal"))
        bad = {
            "{": "", "[1]": "object", "{}": "tokens_kind", good.replace('"normal"', '"serial"'): "mode",
            good.replace("[2, 2]", "[2, 1]"): "branch's length", good.replace("[2, 2]", "[2, 2.0]"): "2.0",
            good.replace("[2, 2]", "[2, true]"): "true", good.replace("[2, 2]", "[]"): "block",
            good.replace('"serial": 2', '"serial": 3'): "7 tokens", good.replace('"serial": 2', '"serial": -1'): "-1",
            good.replace('"serial": 2', '"serial": 99999999999999999999'): "outside",
            good.replace('"serial"', '"cereal"'): "cereal", good.replace("[[0, 1]]", "[[1, 1]]"): "[1, 1]",
            good.replace("[[0, 1]]", "[[0, 7]]"): "[0, 7]", good.replace("[[0, 1]]", "[[1, 2], [0, 1]]"): "ascending",
            good.replace("[[0, 1]]", "[0, 1]"): "mask[0]", good.replace("[[0, 1]]", "null"): "mask[0]",
            good.replace('"positions": [0', '"positions": [null'): "null", "[" * 100000: "",
            good.replace('{"block"', '{"block": [2, 2]}, {"block"'): "two blocks",
        }
        for text, word in bad.items():
            with self.subTest(line=text[:60]):
                self.assertNotEqual(text, good)
                self.assertRefused(3, word, good, "", text, good)

    def test_bytes_that_are_no_text_are_refused_with_their_line(self):
        self.file.write_bytes(json.dumps(make_case([2], "normal")).encode() + b"\n\xff\xfe\n")
        result = run(self.file)
        self.assertEqual(result.returncode, 2)
        self.assertIn(f"{self.file}:2: ", result.stderr)

    def test_a_missing_file_or_library_and_a_missing_argument_are_told(self):
        self.assertEqual(run(None).returncode, 2)
        missing = run("/nowhere.jsonl")
        self.assertEqual(missing.returncode, 2)
        self.assertIn("/nowhere.jsonl", missing.stderr)
        library = run(RECORDED, ANABRANCH_LIBRARY="/nowhere.so")
        self.assertEqual(library.returncode, 2)
        self.assertIn("/nowhere.so", library.stderr)
        self.assertNotIn("Traceback", library.stderr + missing.stderr)


if __name__ == "__main__":
    unittest.main()
