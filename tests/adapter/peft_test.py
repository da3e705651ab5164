"""Adapters against Python's peft, on the real model: the same logits, and each side reads what the other wrote.

ANABRANCH_MODEL: the model's folder; ANABRANCH_ADAPTER_HOST: the library, a program of this build;
ANABRANCH_MERGE_ADAPTER: the example of that name, empty where examples are not built;
ANABRANCH_GGUF_LOGITS: llama.cpp's own logits, empty where llama.cpp is not built.
"""
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODEL = Path(os.environ.get("ANABRANCH_MODEL", ROOT / "build/models/smollm2-135m"))
HOST = os.environ["ANABRANCH_ADAPTER_HOST"]
MERGE = os.environ.get("ANABRANCH_MERGE_ADAPTER", "")
GGUF_LOGITS = os.environ.get("ANABRANCH_GGUF_LOGITS", "")
if not (MODEL / "config.json").exists():
    print(f"skipped: no model at {MODEL}")
    sys.exit(77)
import numpy as np  # noqa: E402
import torch  # noqa: E402
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402
from transformers.utils.logging import disable_progress_bar  # noqa: E402

sys.path.insert(0, str(ROOT / "cmake/setup"))
from convert_gguf import convert  # noqa: E402

SEED = 20250806
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TAGS = ["<jupyter_start>", "<jupyter_text>", "<issue_start>", "<issue_comment>", "<gh_stars>", "<issue_closed>"]
TEXT = "<|im_start|>user\nName two fruits.<|im_end|>\n<|im_start|>assistant\n" + "".join(TAGS) + " Apples are sweet"
TOLERANCE = 1e-3  # of logits in float32; those of this model reach 30
disable_progress_bar()
TOKENIZER = AutoTokenizer.from_pretrained(MODEL)
TOKENS = TOKENIZER.encode(TEXT)
TAG_IDS = TOKENIZER.convert_tokens_to_ids(TAGS)


def base_model(folder=MODEL):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def logits_of(model):
    """float32 [n_tokens, vocabulary], by transformers."""
    with torch.no_grad():
        return model(input_ids=torch.tensor([TOKENS])).logits[0].numpy()


def run(*command, status=0):
    """Standard error of a program."""
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=280)
    if result.returncode != status:
        raise AssertionError(f"{command} ended with {result.returncode}, expected {status}: {result.stderr}")
    return result.stderr


def read_logits(file):
    return np.fromfile(file, dtype=np.float32).reshape(len(TOKENS), -1)


def random_adapter(folder, **settings):
    """Writes an adapter as peft writes it, all its parts random; its model."""
    torch.manual_seed(SEED)
    config = LoraConfig(**{"task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "target_modules": PROJECTIONS,
                           "trainable_token_indices": TAG_IDS, **settings})
    model = get_peft_model(base_model(), config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name or "trainable_tokens" in name:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    model.save_pretrained(folder)
    return model


def load_in_peft(folder):
    """The model with an adapter; a key that is missing or that peft does not know is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return PeftModel.from_pretrained(base_model(), folder).eval()


def shipped_adapters():
    """Folders of adapters in this tree."""
    tops = [top for top in ROOT.iterdir() if top.is_dir() and top.name != "build" and not top.name.startswith(".")]
    return sorted(file.parent for top in tops for file in top.rglob("adapter_config.json"))


class AgainstPeft(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)
        cls.adapter = cls.folder / "adapter"
        cls.model = random_adapter(cls.adapter)
        cls.expected = logits_of(cls.model)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    @classmethod
    @functools.cache
    def runner_logits(cls, adapter, model=MODEL):
        file = cls.folder / "logits"
        run(HOST, "logits", model, adapter, file, *TOKENS)
        return read_logits(file)

    def assert_close(self, found, expected, tolerance=TOLERANCE):
        self.assertEqual(found.shape, expected.shape)
        self.assertLess(float(np.abs(found - expected).max()), tolerance)

    def test_the_runner_gives_the_logits_of_peft(self):
        self.assert_close(self.runner_logits(self.adapter), self.expected)
        without = self.runner_logits("-")
        self.assertGreater(float(np.abs(without - self.expected).max()), 1.0)
        self.assert_close(without, logits_of(base_model()))

    def test_so_it_does_with_rslora_and_with_ranks_and_alphas_of_single_modules(self):
        adapter = self.folder / "patterns"
        model = random_adapter(adapter, use_rslora=True, rank_pattern={"q_proj": 7, "layers.3.mlp.up_proj": 2},
                               alpha_pattern={"^model.layers.5.self_attn.v_proj": 3, "down_proj": 1.5},
                               trainable_token_indices={"embed_tokens": TAG_IDS, "lm_head": TAG_IDS})
        expected = logits_of(model)
        self.assert_close(self.runner_logits(adapter), expected)
        run(HOST, "copy", adapter, self.folder / "patterns-copy", "f32")
        self.assert_close(logits_of(load_in_peft(self.folder / "patterns-copy")), expected, 1e-6)

    def test_peft_loads_what_this_library_wrote_value_for_value(self):
        for dtype, kept in (("f32", torch.float32), ("bf16", torch.bfloat16)):
            copy = self.folder / f"copy-{dtype}"
            run(HOST, "copy", self.adapter, copy, dtype)
            model = load_in_peft(copy)
            found, expected = get_peft_model_state_dict(model), get_peft_model_state_dict(self.model)
            self.assertEqual(found.keys(), expected.keys())
            self.assertGreater(len(found), 400)
            for name, tensor in expected.items():
                self.assertTrue(torch.equal(found[name], tensor.to(kept).float()), name)
            stored = load_file(copy / "adapter_model.safetensors")
            self.assertEqual({tensor.dtype for tensor in stored.values()}, {kept})
            config = model.peft_config["default"]
            self.assertEqual((config.r, config.lora_alpha, sorted(config.target_modules)), (4, 8, sorted(PROJECTIONS)))
            self.assertEqual(config.trainable_token_indices, TAG_IDS)
            self.assert_close(self.runner_logits(copy), logits_of(model))

    def test_another_kind_of_adapter_is_refused_by_its_key(self):
        other = self.folder / "other-kind"
        shutil.copytree(self.adapter, other)
        config = json.loads((other / "adapter_config.json").read_text())
        (other / "adapter_config.json").write_text(json.dumps({**config, "peft_type": "IA3"}))
        error = run(HOST, "logits", MODEL, other, self.folder / "none", *TOKENS, status=1)
        self.assertRegex(error, r"^unsupported: .*adapter_config\.json: 'peft_type': \"IA3\" is not supported")

    def test_so_it_does_with_dora_on_all_layers_the_embedding_and_the_head(self):
        adapter = self.folder / "dora"
        model = random_adapter(adapter, use_dora=True, trainable_token_indices=None,
                               target_modules=[*PROJECTIONS, "embed_tokens", "lm_head"])
        self.assert_close(self.runner_logits(adapter), logits_of(model))

    def test_a_merged_folder_is_the_model_with_the_adapter_for_transformers_and_for_llama_cpp(self):
        if not MERGE:
            self.skipTest("the example merge_adapter is not built")
        (self.adapter / "anabranch.json").write_text('{"markup": "aspd"}')
        merged = self.folder / "merged"
        run(MERGE, self.adapter, merged, "--model", MODEL)
        self.assert_close(logits_of(base_model(merged)), self.expected)
        self.assertEqual(AutoTokenizer.from_pretrained(merged).encode(TEXT), TOKENS)
        self.assertEqual(json.loads((merged / "anabranch.json").read_text()), {"markup": "aspd"})
        ours = self.runner_logits("-", merged)
        self.assertTrue(np.array_equal(ours, self.runner_logits(self.adapter)))
        self.assertIn("found something", run(MERGE, self.adapter, merged, "--model", MODEL, status=2))
        half = self.folder / "half"
        run(MERGE, self.adapter, half, "--model", MODEL, "--dtype", "bfloat16")
        stored, exact = load_file(half / "model.safetensors"), load_file(merged / "model.safetensors")
        self.assertTrue(all(torch.equal(stored[name], tensor.bfloat16()) for name, tensor in exact.items()))
        self.compare_with_llama(merged, ours)

    def compare_with_llama(self, merged, expected):
        if not GGUF_LOGITS:
            print("not compared: llama.cpp is not built", file=sys.stderr)
            return
        logits = {}
        for kind in ("f32", "q8_0"):
            gguf, file = self.folder / f"{kind}.gguf", self.folder / "llama-logits"
            convert(kind, gguf, merged)
            run(GGUF_LOGITS, gguf, file, *TOKENS)
            logits[kind] = read_logits(file)
        self.assert_close(logits["f32"], expected)
        # 8-bit weights move the logits, but far less than the adapter did
        moved = float(np.abs(logits["q8_0"] - expected).mean())
        adapted = float(np.abs(self.runner_logits("-") - expected).mean())
        print(f"llama.cpp: float32 differs by {np.abs(logits['f32'] - expected).max():.5f} at most, q8_0 by "
              f"{moved:.3f} on average; without the adapter it would be {adapted:.3f}", file=sys.stderr)
        self.assertLess(moved, 0.2 * adapted)

    def test_weights_of_another_model_do_not_become_a_gguf(self):
        other, target = self.folder / "other", self.folder / "other.gguf"
        other.mkdir()
        with self.assertRaisesRegex(SystemExit, "model.safetensors"):
            convert("f32", target, other)
        (other / "model.safetensors").write_bytes((self.adapter / "adapter_model.safetensors").read_bytes())
        with self.assertRaisesRegex(SystemExit, r'tensor "model\.[a-z_.]*": expected shape \[.*\], found no such'):
            convert("f32", target, other)
        self.assertEqual([path for path in self.folder.iterdir() if "other.gguf" in path.name], [])

    def test_adapters_of_this_tree_load_in_peft_and_give_the_same_logits(self):
        folders = shipped_adapters()
        if not folders:
            self.skipTest("no adapter in this tree")
        for folder in folders:
            with self.subTest(folder.name):
                model = load_in_peft(folder)
                self.assertEqual(len(get_peft_model_state_dict(model)),
                                 len(load_file(folder / "adapter_model.safetensors")))
                self.assert_close(self.runner_logits(folder), logits_of(model))


if __name__ == "__main__":
    print("seed", SEED)
    unittest.main(warnings="ignore")  # peft still calls what transformers will drop
