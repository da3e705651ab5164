#!/usr/bin/env python3
"""What a chat program refuses, it refuses before it loads a model: here there is none. The program is the argument."""
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path


class Refusals(unittest.TestCase):
    def refused(self, *arguments):
        done = subprocess.run([PROGRAM, "--model", "/nonexistent", *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60)
        self.assertIn(done.returncode, (1, 2), arguments)
        self.assertEqual(done.stdout, b"")
        error = done.stderr.decode("utf-8", "replace")
        self.assertNotIn("loading", error)
        return error

    def test_a_model_that_is_not_there_is_what_is_left_to_refuse(self):
        done = subprocess.run([PROGRAM, "--model", "/nonexistent", "Why?"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nonexistent", done.stderr)

    def test_questions_that_cannot_be_read(self):
        self.assertIn("/no/questions cannot be read: No such file", self.refused("--file", "/no/questions"))
        self.assertIn("the question is no UTF-8 at byte 4 of 5", self.refused(b"Why \xff"))
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn("it is a folder", self.refused("--file", folder))
            file = Path(folder, "questions")
            file.write_bytes(b"Why?\nWh\xe4t?\n")
            self.assertIn("questions, line 2 is no UTF-8 at byte 2 of 5", self.refused("--file", str(file)))
        self.assertIn("--system: is no UTF-8 at byte 0 of 1", self.refused(b"--system=\xff", "Why?"))

    def test_a_picture_that_cannot_be_written(self):
        with tempfile.TemporaryDirectory() as folder:
            self.assertIn(f"{folder} cannot be written: Is a directory", self.refused("--picture", folder, "Why?"))
            file = Path(folder, "none", "a.svg")
            self.assertIn(f"{file} cannot be written: No such file", self.refused("--picture", str(file), "Why?"))

    def test_names_that_are_empty(self):
        for option in ("--file", "--picture", "--model"):
            self.assertIn(f"error: {option}: is empty", self.refused(option, "", "Why?"))

    def test_numbers_that_cannot_be(self):
        for option, value, must in (("--max-tokens", "0", "1 or more"), ("--max-branches", "-3", "1 or more"),
                                    ("--temperature", "-1", "0 or more"), ("--top-k", "-1", "0 or more"),
                                    ("--top-p", "0", "more than 0 and at most 1"), ("--min-p", "2", "from 0 to 1"),
                                    ("--repetition-penalty", "0", "more than 0"), ("--seed", "-1", "0 or more")):
            self.assertEqual(self.refused(f"{option}={value}", "Why?").splitlines()[0],
                             f"error: {option}: is {value}; it must be {must}")
        for value in ("hot", "nan", "inf"):
            for option in ("--temperature", "--presence-penalty"):
                self.assertIn(f"{option}: '{value}' is no number", self.refused(f"{option}={value}", "Why?"))


if __name__ == "__main__":
    PROGRAM = sys.argv.pop()
    unittest.main()
