"""GGUF files against transformers and llama.cpp, on tiny random models of every architecture that is read from them.

The script writes each model as llama.cpp's converter does: names, rotary pairs of a Llama's q and k, Gemma's norms with
the 1 that they multiply by. Matrices are quantised, and transformers gets the floats that they stand for: logits to 1e-4.
llama.cpp reads the same file in float32, which shows that the files are right. ANABRANCH_GGUF_LOGITS: llama.cpp, a program
of this build, or empty; ANABRANCH_GGUF_HOST: llama.cpp and the library in one, or empty.
"""
import math
import os
import subprocess
import unittest

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import dequantize, quantize
from transformers import (Gemma2Config, Gemma3TextConfig, GemmaConfig, LlamaConfig, Phi3Config, Qwen2Config,
                          Qwen3Config)

from tiny_models import TinyModels, logits_of, random_model

LLAMA = os.environ.get("ANABRANCH_GGUF_LOGITS")
TREES = os.environ.get("ANABRANCH_GGUF_HOST")
SEED = 20261201
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 35, 8, 9, 7, 9, 3, 2, 38, 4, 6, 26, 4, 33, 8, 32, 7]
TOLERANCE = 1e-4
LLAMA_TOLERANCE = 5e-3  # llama.cpp's own sums, and its table of GELU in float16
SIZES = dict(vocab_size=40, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2)
GEMMA = dict(head_dim=32, hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=32)
SHORT, LONG = [1.0, 1.1, 1.3, 1.6, 1.7, 1.8, 1.9, 2.0], [1.5, 2.0, 3.0, 7.0, 8.0, 9.0, 9.5, 10.0]


def rope(**parameters):
    return {"rope_parameters": {"rope_theta": 50.0, **parameters}}


# name: (architecture, configuration, settings, metadata beyond the sizes, types of matrices in turn)
MODELS = {
    "llama": ("llama", LlamaConfig, {}, {}, ["Q8_0", "Q4_0", "Q5_1"]),
    "llama-biases": ("llama", LlamaConfig, dict(attention_bias=True, mlp_bias=True, head_dim=32), {}, ["F16", "Q4_1"]),
    "llama-linear": ("llama", LlamaConfig, rope(rope_type="linear", factor=4.0),
                     {"rope.scaling.type": "linear", "rope.scaling.factor": 4.0}, ["BF16", "F32"]),
    "llama-tied": ("llama", LlamaConfig, dict(tie_word_embeddings=True, num_key_value_heads=1), {}, ["Q8_0"]),
    "qwen2": ("qwen2", Qwen2Config, {}, {}, ["Q5_0", "Q8_0"]),
    "qwen2-yarn": ("qwen2", Qwen2Config, rope(rope_type="yarn", factor=4.0, original_max_position_embeddings=16),
                   {"rope.scaling.type": "yarn", "rope.scaling.factor": 4.0,
                    "rope.scaling.original_context_length": 16}, ["F32"]),
    "qwen3": ("qwen3", Qwen3Config, dict(head_dim=32), {}, ["Q4_0", "F16"]),
    "gemma": ("gemma", GemmaConfig, dict(head_dim=32), {}, ["Q8_0", "Q5_0"]),
    "gemma2": ("gemma2", Gemma2Config, dict(GEMMA, sliding_window=6, attn_logit_softcapping=2.0,
                                            final_logit_softcapping=1.5),
               {"attention.sliding_window": 6, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 1.5}, ["Q8_0"]),
    "gemma3": ("gemma3", Gemma3TextConfig, dict(GEMMA, sliding_window=6, num_hidden_layers=7, rope_parameters={
        "full_attention": dict(rope_type="linear", factor=8.0, rope_theta=1000.0),
        "sliding_attention": dict(rope_type="default", rope_theta=10000.0)}),
        {"attention.sliding_window": 6, "rope.scaling.type": "linear", "rope.scaling.factor": 8.0}, ["Q5_0", "Q8_0"]),
    "phi3": ("phi3", Phi3Config, dict(sliding_window=None), {"attention.sliding_window": 0}, ["Q4_1", "Q8_0"]),
    "phi3-short": ("phi3", Phi3Config, dict(original_max_position_embeddings=1024, max_position_embeddings=2048,
                                            sliding_window=None,
                                            **rope(rope_type="longrope", short_factor=SHORT, long_factor=LONG)),
                   {"rope.scaling.original_context_length": 1024,
                    "rope.scaling.attn_factor": math.sqrt(1 + math.log(2) / math.log(1024))}, ["F32"]),
}
PARTS = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.qkv_proj": "attn_qkv", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
         "self_attn.k_norm": "attn_k_norm", "input_layernorm": "attn_norm", "mlp.gate_proj": "ffn_gate",
         "mlp.up_proj": "ffn_up", "mlp.gate_up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
         "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}
TOP = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}


def gguf_name(name, post_norms):
    module, kind = name.rsplit(".", 1)
    if module in TOP:
        return f"{TOP[module]}.{kind}"
    layer, part = module.removeprefix("model.layers.").split(".", 1)
    if part == "post_attention_layernorm":
        return f"blk.{layer}.{'post_attention_norm' if post_norms else 'ffn_norm'}.{kind}"
    return f"blk.{layer}.{PARTS[part]}.{kind}"


def rotary_pairs(values, n_heads):
    """The rows of a head as llama.cpp has them: the two of a rotary pair side by side."""
    return values.reshape(n_heads, 2, values.shape[0] // n_heads // 2, *values.shape[1:]).swapaxes(1, 2).reshape(
        values.shape)


def add_metadata(writer, config, extra):
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    parameters = config.rope_parameters
    theta = parameters.get("full_attention", parameters)["rope_theta"]
    below = {"context_length": config.max_position_embeddings, "embedding_length": config.hidden_size,
             "block_count": config.num_hidden_layers, "feed_forward_length": config.intermediate_size,
             "attention.head_count": config.num_attention_heads, "vocab_size": config.vocab_size,
             "attention.head_count_kv": config.num_key_value_heads, "attention.key_length": head_dim,
             "attention.value_length": head_dim, "rope.dimension_count": head_dim,
             "attention.layer_norm_rms_epsilon": float(config.rms_norm_eps), "rope.freq_base": float(theta), **extra}
    for key, value in below.items():
        add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)]
        add(f"{writer.arch}.{key}", value)
    writer.add_string("tokenizer.ggml.model", "no_vocab")


def write_gguf(file, model, architecture, extra, types):
    """Writes the file, and gives the model's values as the file has them."""
    writer = GGUFWriter(str(file), architecture)
    add_metadata(writer, model.config, extra)
    if "short_factor" in model.config.rope_parameters:
        for length in ("short", "long"):
            writer.add_tensor(f"rope_factors_{length}.weight",
                              np.array(model.config.rope_parameters[f"{length}_factor"], np.float32))
    gemma = architecture.startswith("gemma")
    stored, n_matrices = {}, 0
    for name, value in model.state_dict().items():
        if name == "lm_head.weight" and model.config.tie_word_embeddings:
            continue
        values = value.numpy().astype(np.float32)
        if values.ndim == 1:
            kept = values + np.float32(1) if gemma and name.endswith("norm.weight") else values
            stored[name] = kept - np.float32(1) if kept is not values else values
            kind = GGMLQuantizationType.F32
        else:
            kind, n_matrices = GGMLQuantizationType[types[n_matrices % len(types)]], n_matrices + 1
            kept = quantize(values, kind)
            stored[name] = dequantize(kept, kind).reshape(values.shape)
        if architecture == "llama" and (".q_proj." in name or ".k_proj." in name):
            heads = model.config.num_attention_heads if ".q_" in name else model.config.num_key_value_heads
            kept = rotary_pairs(kept, heads)
        writer.add_tensor(gguf_name(name, architecture in ("gemma2", "gemma3")), np.ascontiguousarray(kept),
                          raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return stored


class GgufFiles(TinyModels):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        torch.manual_seed(SEED)
        cls.expected = {}
        for name, (architecture, kind, settings, extra, types) in MODELS.items():
            model = random_model(kind(**{**SIZES, **settings}), matrices=0.1, vectors=0.2)
            write_gguf(cls.folder / f"{name}-f32.gguf", model, architecture, extra, ["F32"])
            cls.expected[f"{name}-f32"] = logits_of(model, TOKENS)
            stored = write_gguf(cls.folder / f"{name}.gguf", model, architecture, extra, types)
            model.load_state_dict({key: torch.from_numpy(values.copy()) for key, values in stored.items()}, strict=False)
            cls.expected[name] = logits_of(model, TOKENS)

    def test_the_library_gives_the_logits_of_transformers(self):
        calls = [["logits", self.folder / f"{name}.gguf", "-", self.folder / f"{name}.logits", *TOKENS]
                 for name in self.expected]
        self.assertEqual(self.run_host(calls), {})
        for name, expected in self.expected.items():
            with self.subTest(name):
                self.assert_close(self.folder / f"{name}.logits", expected, TOLERANCE)

    @unittest.skipUnless(LLAMA, "built without llama.cpp (ANABRANCH_LLAMA=ON)")
    def test_llama_cpp_gives_the_same_of_the_files_in_float32(self):
        for name in MODELS:
            with self.subTest(name):
                out = self.folder / f"{name}.llama"
                done = subprocess.run([LLAMA, self.folder / f"{name}-f32.gguf", out, *map(str, TOKENS)],
                                      capture_output=True, text=True, timeout=60)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assert_close(out, self.expected[f"{name}-f32"], LLAMA_TOLERANCE)

    @unittest.skipUnless(TREES, "built without llama.cpp (ANABRANCH_LLAMA=ON)")
    def test_branch_trees_have_the_same_logits_through_both_hosts(self):
        """Windows included: Gemma 2 and 3 have one of 6, which most trees leave far behind."""
        refused = {}
        for name in ("llama", "gemma2", "gemma3"):
            with self.subTest(name):
                done = subprocess.run([TREES, "trees", self.folder / f"{name}-f32.gguf", str(SEED), "30"],
                                      capture_output=True, text=True, timeout=120)
                self.assertEqual(done.returncode, 0, done.stderr)
                rows, worst, refused[name], longest = done.stdout.split()
                self.assertGreater(int(rows), 1000)
                self.assertGreater(int(longest), 30)
                self.assertLess(float(worst), LLAMA_TOLERANCE)
        self.assertEqual(refused["llama"], "0")
        self.assertNotEqual(refused["gemma3"], "0", "no rewind reached behind what llama.cpp had dropped")

    def test_a_folder_with_an_adapter_is_not_made_of_a_gguf_file(self):
        errors = self.run_host([["merge", self.folder / "llama.gguf", self.folder, self.folder / "merged"]])
        self.assertIn("an adapter cannot be merged into a GGUF file; expected a Hugging Face folder", errors[0])


if __name__ == "__main__":
    print("seed", SEED)
    unittest.main(warnings="ignore")
