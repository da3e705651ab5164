"""What the tests on tiny random models share: the models, a folder for them, and the library as a program.

ANABRANCH_ADAPTER_HOST: that program, of this build (adapter_host.cpp).
"""
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

HOST = os.environ["ANABRANCH_ADAPTER_HOST"]
disable_progress_bar()
set_verbosity_error()


def random_model(config, matrices, vectors, auto_class=AutoModelForCausalLM):
    """A model whose every part counts: what its class draws and, on top, noise of these standard deviations."""
    model = auto_class.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn_like(value) * (vectors if value.ndim == 1 else matrices))
    return model


def logits_of(model, tokens):
    """float32 [n_tokens, vocabulary], by transformers."""
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([tokens])).logits[0].float().numpy()


class TinyModels(unittest.TestCase):
    """A temporary `folder`, which setUpClass of a test fills."""
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def run_host(self, calls):
        """Runs them in one process; the errors by the number of the call."""
        batch = self.folder / "batch"
        batch.write_text("".join(" ".join(str(word) for word in call) + "\n" for call in calls))
        done = subprocess.run([HOST, "batch", batch], capture_output=True, text=True, timeout=280)
        self.assertEqual(done.returncode, 0, done.stderr)
        errors = (line.split(" ", 1) for line in done.stdout.splitlines())
        return {int(number): text for number, text in errors}

    def assert_close(self, file, expected, tolerance):
        """The logits in the file that a program wrote."""
        found = np.fromfile(file, dtype=np.float32).reshape(expected.shape)
        self.assertTrue(np.isfinite(found).all())
        self.assertLess(float(np.abs(found - expected).max()), tolerance)
