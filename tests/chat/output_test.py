#!/usr/bin/env python3
"""What a chat program could not write, it says, and ends with 1; what it could write is there. The program is the argument.

    output_test.py PROGRAM        with the model in build/models/smollm2-135m
"""
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = sys.argv.pop(1)
FULL = "/dev/full"


def chat(*arguments, output=None):
    """Status, standard output (of a file of its own, if one is named) and standard error."""
    with open(output, "wb") if output else tempfile.TemporaryFile() as file:
        done = subprocess.run([PROGRAM, "--weights", "f32", "--max-tokens", "4", *arguments], cwd=ROOT, stdout=file,
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=300, text=True,
                              env={**os.environ, "OMP_NUM_THREADS": "1"})
        if output:
            return done.returncode, "", done.stderr
        file.seek(0)
        return done.returncode, file.read().decode(), done.stderr


@unittest.skipUnless(Path(FULL).exists(), f"no {FULL}")
class Lost(unittest.TestCase):
    def test_help_that_cannot_be_written(self):
        status, _, error = chat("--help", output=FULL)
        self.assertEqual((status, error), (1, "error: standard output cannot be written: No space left on device\n"))

    @unittest.skipUnless((ROOT / "build/models/smollm2-135m/config.json").exists(), "no model in build/models/smollm2-135m")
    def test_an_answer_and_a_picture_that_cannot_be_written(self):
        for options in ([], ["--json"]):
            status, _, error = chat(*options, "Name a colour.", output=FULL)
            self.assertEqual(status, 1, options)
            self.assertIn("standard output cannot be written: No space left on device", error)
            self.assertEqual(error.count("standard output"), 1)
        status, text, error = chat("--markup", "serial", "--picture", FULL, "Name a colour.")
        self.assertEqual(status, 1)
        self.assertIn(f"{FULL} cannot be written: No space left on device", error)
        self.assertGreater(len(text.strip()), 1)


if __name__ == "__main__":
    unittest.main()
