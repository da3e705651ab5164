#!/usr/bin/env python3
"""Tests of anabranch-bench: PROGRAM MODEL CMAKE BUILD. The real model is measured quickly, with its adapter as JSON and
without as a table; of the figures only what must hold on any machine is checked."""
import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM, MODEL, CMAKE, BUILD = sys.argv.pop(1), sys.argv.pop(1), sys.argv.pop(1), sys.argv.pop(1)
OPTIONS = ("--model", "--adapter", "--weights", "--threads", "--repeats", "--prompt-tokens", "--rows", "--json", "--quick")


def run(*arguments, program=PROGRAM):
    return subprocess.run([program, *arguments], cwd="/", capture_output=True, text=True)


class CommandLine(unittest.TestCase):
    def refused(self, arguments, *parts):
        done = run(*arguments)
        self.assertNotEqual(done.returncode, 0, arguments)
        self.assertEqual(done.stdout, "", arguments)
        for part in parts:
            self.assertIn(part, done.stderr, arguments)

    def test_help_needs_no_model(self):
        for flag in ("-h", "--help"):
            done = run("--model", "/nonexistent", flag)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for option in OPTIONS:
                self.assertIn(option, done.stdout)

    def test_bad_options_are_refused(self):
        for option, value in (("--rows", "1,0"), ("--rows", "2,x"), ("--rows", "5000"), ("--repeats", "0"),
                              ("--prompt-tokens", "0"), ("--threads", "-1"), ("--weights", "int4")):
            self.refused(["--model", MODEL, option, value], option)
        self.refused(["--nope"], "--nope")
        self.refused(["word"], "word")

    def test_a_folder_without_a_model_is_refused_by_its_name(self):
        self.refused(["--model", "/nonexistent"], "anabranch-bench: bad_file: ", "/nonexistent")

    def test_it_is_installed_with_the_runner(self):
        with tempfile.TemporaryDirectory() as prefix:
            subprocess.run([CMAKE, "--install", BUILD, "--prefix", prefix, "--component", "torch"], check=True,
                           capture_output=True)
            done = run("--help", program=Path(prefix, "bin/anabranch-bench"))
            self.assertEqual((done.returncode, done.stderr), (0, ""))


@unittest.skipUnless(Path(MODEL, "config.json").exists(), f"no model in {MODEL}")
class RealModel(unittest.TestCase):
    def test_more_tokens_than_positions_are_refused_before_the_weights_are_read(self):
        done = run("--model", MODEL, "--prompt-tokens", "8192")
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertEqual(done.stderr, "error: --prompt-tokens is 8192; the model has positions for 8191 and one new "
                                      "token\n")

    def positive(self, value, path=""):
        if isinstance(value, dict):
            for key, below in value.items():
                self.positive(below, f"{path}.{key}")
        else:
            self.assertGreater(value, 0, path)

    def test_json_of_the_model_that_was_taught_to_branch(self):
        done = run("--quick", "--json", "--model", MODEL, "--adapter", str(ROOT / "examples/train/adapters/aspd"),
                   "--weights", "int8", "--threads", "1", "--rows", "4,2,2")
        self.assertEqual(done.returncode, 0, done.stderr)
        for stage in ("loading", "prefill", "of 1, 2, 4 rows", "answer 1 of 1, branches at once", "one branch after another"):
            self.assertIn(stage, done.stderr)
        self.assertEqual(done.stdout.count("\n"), 1)
        report = json.loads(done.stdout)
        setup = report["setup"]
        self.assertEqual((setup["weights"], setup["kv"], setup["threads"], setup["repeats"]), ("int8", "bf16", 1, 1))
        self.assertTrue(setup["processor"] and setup["simd"] and setup["version"])
        self.positive({key: report[key] for key in ("load_seconds", "prefill", "memory")})
        self.assertEqual(report["prefill"]["tokens"], 64)

        decode = report["decode"]
        self.assertEqual([row["rows"] for row in decode["rows"]], [1, 2, 4])
        self.assertEqual((decode["keys"], decode["rows"][0]["cost"]), (64, 1))
        for row in decode["rows"]:
            self.positive(row)
            self.assertAlmostEqual(row["tokens_per_second"] / row["tokens_per_second_row"], row["rows"])
            self.assertGreaterEqual(row["cost"], 1)
        self.assertIn(decode["nearly_free"]["rows"], range(1, 5))
        self.assertTrue(decode["verdict"].endswith("."))

        answer, = report["answers"]
        ways = answer["at_once"], answer["one_by_one"]
        self.assertEqual([(way["markup"], way["mode"]) for way in ways], [("aspd", "parallel"), ("aspd", "serial")])
        self.assertTrue(answer["same_text"])
        self.assertEqual(ways[0]["text"], ways[1]["text"])
        self.assertEqual(ways[0]["tokens"], ways[1]["tokens"])
        self.assertGreater(len(ways[0]["branches"]), 1)
        self.assertLess(ways[0]["passes"], ways[1]["passes"])
        for way in ways:
            self.positive({key: way[key] for key in ("tokens", "passes", "seconds", "tokens_per_second", "seconds_of_rounds")})
        self.assertAlmostEqual(answer["speedup"]["median"], ways[1]["seconds"] / ways[0]["seconds"])

        memory = report["memory"]
        self.assertEqual(memory["kv_bytes_per_1000_tokens"], 1000 * 2 * 30 * 3 * 64 * 2)  # layers, KV heads, their size
        self.assertGreaterEqual(memory["peak_bytes"], memory["peak_bytes_loaded"])
        self.assertGreater(memory["peak_bytes_loaded"], memory["weight_bytes"])

    def test_the_table_of_a_model_without_training_has_80_columns(self):
        done = run("--quick", "--model", MODEL, "--rows", "1,2")
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertLessEqual(max(map(len, lines)), 80)
        for part in ("anabranch-bench ", "machine: ", "prefill of 64 tokens: ", "rows   ms at 64 keys", "free here: ",
                     "markup skeleton", "4 branches at once", "one branch after another", "an answer without branches",
                     "x the tokens/s of one after another", "memory: weights "):
            self.assertTrue(any(part in line for line in lines), f"{part}\n{done.stdout}")


if __name__ == "__main__":
    unittest.main()
