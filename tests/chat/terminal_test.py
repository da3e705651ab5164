#!/usr/bin/env python3
"""The chat program on a pseudo-terminal: a conversation, its commands, Ctrl-C and Ctrl-D.

    terminal_test.py PROGRAM        with the model in build/models/smollm2-135m
"""
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = sys.argv.pop(1)
PATIENCE = 300  # seconds that anything may take; nothing is measured
ASK = "Name a colour."
LONG = "Write a long story about a river, with many details."


class Terminal:
    """A child whose terminal this is."""

    def __init__(self, *arguments, term="xterm"):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(TERM=term, OMP_WAIT_POLICY="passive")
            os.chdir(ROOT)
            os.execv(PROGRAM, [PROGRAM, *arguments])
        self.text = ""

    def read(self):
        """What came, or "" at the end."""
        if not select.select([self.fd], [], [], PATIENCE)[0]:
            raise AssertionError(f"nothing came within {PATIENCE} s; so far:\n{self.text}")
        try:
            got = os.read(self.fd, 65536).decode("utf-8", "replace")
        except OSError:
            return ""
        self.text += got
        return got

    def wait_for(self, pattern, start=0):
        """The text from `start` to the end of `pattern`."""
        while not (found := re.search(pattern, self.text[start:])):
            if self.read() == "":
                raise AssertionError(f"it ended without {pattern!r}:\n{self.text}")
        return self.text[start:start + found.end()]

    def send(self, keys, until=r"\n> $"):
        """What is shown from the keys up to the next prompt."""
        start = len(self.text)
        os.write(self.fd, keys.encode())
        return self.wait_for(until, start)

    def end(self):
        while self.read() != "":
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class Conversation(unittest.TestCase):
    @unittest.skipUnless((ROOT / "build/models/smollm2-135m/config.json").exists(), "no model in build/models/smollm2-135m")
    def test_a_conversation(self):
        terminal = Terminal("--markup", "serial", "--max-tokens", "400", "--system", "You are brief.")
        try:
            self.converse(terminal)
        finally:
            try:
                os.kill(terminal.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    @unittest.skipUnless((ROOT / "build/models/smollm2-135m/config.json").exists(), "no model in build/models/smollm2-135m")
    def test_a_dumb_terminal_gets_no_control_sequences(self):
        terminal = Terminal("--max-tokens", "4", ASK, term="dumb")
        self.assertEqual(terminal.end(), 0)
        self.assertNotIn("\x1b", terminal.text)
        self.assertEqual(terminal.text.count("loading the model ..."), 1)
        self.assertEqual(terminal.text.count("loading the model"), 1)

    def converse(self, terminal):
        terminal.wait_for(r"\n> $")
        self.assertIn("no answer yet", terminal.send("/stats\r"))
        self.assertIn("1 message left", terminal.send("/reset\r"))

        first = terminal.send(ASK + "\r")
        self.assertGreater(len(first.replace(ASK, "").strip("> \r\n")), 3)
        stats = terminal.send("/stats\r")
        whole, kept = map(int, re.search(r"prompt: (\d+) tokens computed, (\d+) kept", stats).groups())
        self.assertEqual(kept, 0)
        self.assertIn("conversation: 3 messages", stats)

        # Ctrl-C during an answer stops it, and the program goes on.
        start = len(terminal.text)
        os.write(terminal.fd, (LONG + "\r").encode())
        terminal.wait_for(r"details\.\r\n(\S+\s+){4}", start)
        stopped = terminal.send("\x03")
        self.assertIn("(stopped)", stopped)
        stats = terminal.send("/stats\r")
        self.assertIn("ended: cancelled", stats)
        self.assertIn("conversation: 5 messages", stats)

        # Ctrl-C at the prompt throws the line away, however soon it comes behind the prompt.
        for _ in range(200):
            terminal.text = ""
            self.assertIn("Ctrl-D or /quit leaves", terminal.send("never asked\x03"))

        # A question of two lines after a stopped answer computes itself alone.
        terminal.send("Name a \\\r", until=r"\n\. $")
        terminal.send("second colour.\r")
        stats = terminal.send("/stats\r")
        computed, kept = map(int, re.search(r"prompt: (\d+) tokens computed, (\d+) kept", stats).groups())
        self.assertLess(computed, whole)
        self.assertGreater(kept, whole)
        self.assertIn("conversation: 7 messages", stats)

        self.assertIn("(parallel: ", terminal.send("/mode\r"))
        self.assertIn("one after another", terminal.send("/mode serial\r"))
        self.assertIn("/mode parallel changes it", terminal.send("/mode\r"))
        self.assertIn("parallel or serial, not foo; it stays serial", terminal.send("/mode foo\r"))
        self.assertIn("/reset takes no argument", terminal.send("/reset extra\r"))
        self.assertIn("conversation: 7 messages", terminal.send("/stats\r"))
        self.assertIn("no command", terminal.send("/nothing\r"))
        self.assertIn("/reset", terminal.send("/help\r"))
        self.assertIn("1 message left", terminal.send("/reset\r"))
        self.assertIn("0 tokens in the cache", terminal.send("/stats\r"))
        os.write(terminal.fd, b"\x04")
        self.assertEqual(terminal.end(), 0)

    def test_numbers_that_make_no_sense_are_refused_not_taken_for_others(self):
        wrong = [(option, value) for option in ("--batch", "--max-tokens", "--max-branch-tokens", "--max-branches")
                 for value in ("0", "-1")]
        for option, value in [*wrong, ("--no-repeat-ngram", "-1"), ("--seed", "-1"), ("--threads", "-1")]:
            done = subprocess.run([PROGRAM, option, value, "q"], capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertTrue(done.stderr.startswith("error: "), done.stderr)
            self.assertIn(option, done.stderr)

    def test_a_model_named_as_on_a_hub_is_looked_for_and_the_error_says_how_to_fetch_it(self):
        done = subprocess.run([PROGRAM, "--model", "nobody/nothing", "q"], capture_output=True, text=True, timeout=PATIENCE,
                              env={**os.environ, "HF_HUB_CACHE": "/nowhere"})
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("hf download nobody/nothing", done.stderr)
        self.assertIn("/nowhere", done.stderr)

    def test_without_a_terminal_it_says_what_it_takes(self):
        for arguments in ([], ["--system", "You are brief."]):
            done = subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual((done.returncode, done.stdout), (2, ""))
            self.assertTrue(done.stderr.startswith("error: "), done.stderr)
            self.assertIn("--max-tokens", done.stderr)

    def test_wrong_usage_ends_with_2_and_a_file_that_is_not_there_with_1(self):
        for arguments in (["--nothing", "q"], ["--mode", "x", "q"], ["--max-tokens"], ["-"], ["--weights", "f8", "q"]):
            done = subprocess.run([PROGRAM, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual((done.returncode, done.stdout), (2, ""), arguments)
            self.assertTrue(done.stderr.startswith("error: "), done.stderr)
        done = subprocess.run([PROGRAM, "--file", "/nosuch"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn("No such file or directory", done.stderr)

    @unittest.skipUnless((ROOT / "build/models/smollm2-135m/config.json").exists(), "no model in build/models/smollm2-135m")
    def test_an_interrupted_question_prints_what_it_has(self):
        process = self.ask("What are the benefits of regular exercise?")
        told = ""
        while " branches: " not in told:
            self.assertNotEqual(line := process.stderr.readline(), "", told)
            told += line
        process.send_signal(signal.SIGINT)
        text, told = process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 130, told)
        self.assertIn("ended: cancelled", told)
        self.assertTrue(told.endswith("(stopped)\n"), told)
        self.assertGreater(len(text.strip()), 10)

        process = self.ask("--json", "--markup", "serial", "--max-tokens", "4000", LONG)
        self.wait_until_it_listens(process)
        process.send_signal(signal.SIGINT)
        text, told = process.communicate(timeout=PATIENCE)
        self.assertEqual((process.returncode, json.loads(text)["end"]), (130, "cancelled"), told)

    def ask(self, *arguments):
        return subprocess.Popen([PROGRAM, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_until_it_listens(self, process):
        """Until SIGINT is caught, as /proc says."""
        while process.poll() is None:
            caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())
            if int(caught.group(1), 16) & 1 << (signal.SIGINT - 1):
                return
            time.sleep(0.01)
        self.fail(f"it ended:\n{process.stderr.read()}")


if __name__ == "__main__":
    # Test and program share a core, so that keys often come before the program waits for them.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    unittest.main()
