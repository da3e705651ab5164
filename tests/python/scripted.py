"""The package under test, and a tokenizer of bytes and a model that writes given tokens, for what needs no real ones.
ANABRANCH_LIBRARY names the library."""
import os
import sys
from array import array
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, os.environ.get("ANABRANCH_PACKAGE", str(ROOT / "capi/python")))  # or an installed wheel's
import anabranch  # noqa: E402

LIB = anabranch.load()
BRANCH, BRANCH_END, TITLE, TITLE_END, PARA, PARA_END, END = range(200, 207)
N_VOCABULARY = 256
ASPD = {"name": "aspd", "branch": BRANCH, "branch_end": BRANCH_END, "title": TITLE, "title_end": TITLE_END,
        "para": PARA, "para_end": PARA_END, "title_separator": b":"}


class Bytes:
    """A tokenizer whose tokens are bytes; what is above 127 has no text."""

    def to_text(self, tokens):
        return bytes(token for token in tokens if token < 128)

    def to_tokens(self, text):
        return text.encode()

    def stop_token(self, text):
        if "<end>" in text and text != "<end>":
            raise ValueError(f"a name among other text: {text}")
        return END if text == "<end>" else None


class Script:
    """A model that writes given tokens: `branches[k]` what branch k samples, 0 the trunk."""

    def __init__(self, branches):
        self.branches, self.decoder, self.n_passes = branches, None, 0

    def tokens(self, plan):
        settings = [self.decoder.output(i) for i in range(len(plan.outputs))]
        return [self.branches[s.branch][s.index] for s in settings]

    def __call__(self, plan):
        self.n_passes += 1
        tokens = self.tokens(plan)
        logits = array("f", [0.0]) * (len(tokens) * N_VOCABULARY)
        for i, token in enumerate(tokens):
            logits[i * N_VOCABULARY + token] = 9.0
        return memoryview(logits).cast("B").cast("f", [len(tokens), N_VOCABULARY]) if tokens else None


TWO_BRANCHES = [
    [*b"Hi", TITLE, *b"a", TITLE_END, TITLE, *b"b", TITLE_END, PARA, *b"!", END],
    [*b"x", BRANCH_END],
    [*b"yz", BRANCH_END],
]


def scripted(branches, **options):
    model = Script(branches)
    model.decoder = LIB.decoder(LIB.cache(n_pages=64), tokenizer=Bytes(), end_of_text=[END], **options)
    return model.decoder, model
