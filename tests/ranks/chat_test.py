#!/usr/bin/env python3
"""The chat on two processes over MPI: the answers of one process; ranks that cannot be.

    chat_test.py PROGRAM        anabranch_chat, with the model in build/models/smollm2-135m
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from mpirun import SETTINGS, Run

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = sys.argv.pop(1)
QUESTIONS = ["What are the benefits of regular exercise?", "How do I prepare for a job interview?"]
PATIENCE = 300  # seconds until a run counts as hanging


def text_of(out):
    return [(answer["question"], answer["text"]) for answer in map(json.loads, out.splitlines())]


@unittest.skipUnless((ROOT / "build/models/smollm2-135m/config.json").exists(), "no model in build/models/smollm2-135m")
class Chat(unittest.TestCase):
    def test_two_processes_write_what_one_writes(self):
        arguments = ["--weights", "int8", "--json", "--max-tokens", "120", "--max-branch-tokens", "24", *QUESTIONS]
        alone = subprocess.run([PROGRAM, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE,
                               env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True)
        status, out, err, _ = Run(2, PROGRAM, "--ranks", "2", *arguments, cwd=ROOT).end(PATIENCE)
        self.assertEqual(status, 0, err)
        self.assertEqual(text_of(out), text_of(alone.stdout))
        self.assertEqual(len(text_of(out)), 2)

    def test_a_rank_with_another_model_is_refused_by_all(self):
        with tempfile.TemporaryDirectory() as folder:  # each rank takes the adapter of its own folder
            for rank, adapter in enumerate(("aspd", "v-seq")):
                os.symlink(ROOT / "examples/train/adapters" / adapter, f"{folder}/{rank}")
            model = ROOT / "build/models/smollm2-135m"
            script = f'exec "{PROGRAM}" --ranks 2 --model "{model}" --adapter "{folder}/$OMPI_COMM_WORLD_RANK" "{QUESTIONS[0]}"'
            status, _, err, _ = Run(2, "sh", "-c", script, cwd=ROOT).end(PATIENCE)
        self.assertNotEqual(status, 0)
        self.assertIn("rank 1 has another adapter than rank 0", err)

    def test_what_cannot_be_is_refused(self):
        alone = subprocess.run([PROGRAM, "--ranks", "2", QUESTIONS[0]], cwd=ROOT, capture_output=True, text=True,
                               timeout=PATIENCE, env={**os.environ, **SETTINGS}, check=False)
        self.assertEqual(alone.returncode, 2)
        self.assertIn("mpirun has started 1 process: mpirun -np 2", alone.stderr)
        status, _, err, _ = Run(4, PROGRAM, "--ranks", "4", "--weights", "int8", QUESTIONS[0], cwd=ROOT).end(PATIENCE)
        self.assertNotEqual(status, 0)
        self.assertIn("4 ranks for a model of 3 KV heads", err)


if __name__ == "__main__":
    unittest.main()
