#!/usr/bin/env python3
"""Writes the inputs of the fuzz target for GGUF files: make_gguf.py FOLDER (tests/fuzz/files/gguf)."""
import sys
from pathlib import Path

import numpy
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize

BYTES = [f"<0x{byte:02X}>" for byte in range(16)]


def sizes(writer, extra=()):
    for key, value in {"context_length": 64, "embedding_length": 32, "block_count": 1, "feed_forward_length": 32,
                       "attention.head_count": 2, "attention.head_count_kv": 1, **dict(extra)}.items():
        add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string}[type(value)]
        add(f"{writer.arch}.{key}", value)
    writer.add_float32(f"{writer.arch}.attention.layer_norm_rms_epsilon", 1e-5)


def tensors(writer, names, kind):
    for name, shape in names.items():
        values = numpy.full(shape, 0.5, numpy.float32)
        if len(shape) == 1:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)


def layer(extra=(), fused=False):
    parts = {"attn_norm": [32], "ffn_norm": [32], "attn_output": [32, 32], "ffn_down": [32, 32], **dict(extra)}
    parts |= ({"attn_qkv": [64, 32], "ffn_up": [64, 32]} if fused else
              {"attn_q": [32, 32], "attn_k": [16, 32], "attn_v": [16, 32], "ffn_gate": [32, 32], "ffn_up": [32, 32]})
    return {f"blk.0.{part}.weight": shape for part, shape in parts.items()}


def llama(writer):
    sizes(writer, {"rope.freq_base": 10000.0})
    writer.add_string("tokenizer.ggml.model", "gpt2")
    writer.add_string("tokenizer.ggml.pre", "llama-bpe")
    writer.add_array("tokenizer.ggml.tokens", ["a", "b", "ab", "<|end|>", "[PAD4]"])
    writer.add_array("tokenizer.ggml.token_type", [1, 1, 1, 3, 5])
    writer.add_array("tokenizer.ggml.merges", ["a b"])
    writer.add_uint32("tokenizer.ggml.bos_token_id", 3)
    writer.add_uint32("tokenizer.ggml.eos_token_id", 3)
    writer.add_string("tokenizer.chat_template", "{% for m in messages %}{{ m['content'] }}{% endfor %}")
    writer.add_float32("general.sampling.temp", 0.5)
    tensors(writer, {"token_embd.weight": [5, 32], "output_norm.weight": [32], **layer()}, GGMLQuantizationType.Q4_0)


def gemma3(writer):
    sizes(writer, {"attention.sliding_window": 8, "attention.key_length": 16, "attention.value_length": 16})
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "\n\n", "  ", *BYTES, "\u2581", "a", "b", "ab", "\u2581ab"]
    writer.add_string("tokenizer.ggml.model", "llama")
    writer.add_array("tokenizer.ggml.tokens", tokens)
    writer.add_array("tokenizer.ggml.token_type", [3, 3, 3, 3, 4, 4] + [6] * 16 + [1] * 5)
    writer.add_array("tokenizer.ggml.scores", [float(-i) for i in range(len(tokens))])
    writer.add_bool("tokenizer.ggml.add_space_prefix", False)
    norms = {"attn_q_norm": [16], "attn_k_norm": [16], "post_attention_norm": [32], "post_ffw_norm": [32]}
    tensors(writer, {"token_embd.weight": [len(tokens), 32], "output_norm.weight": [32], **layer(norms)},
            GGMLQuantizationType.Q8_0)


def phi3(writer):
    sizes(writer, {"rope.scaling.original_context_length": 16, "attention.sliding_window": 0})
    factors = {f"rope_factors_{length}.weight": [8] for length in ("short", "long")}
    tensors(writer, {"token_embd.weight": [4, 32], "output_norm.weight": [32], "output.weight": [4, 32], **factors,
                     **layer(fused=True)}, GGMLQuantizationType.Q5_1)


def qwen3(writer):
    sizes(writer, {"rope.scaling.type": "yarn", "rope.scaling.factor": 2.0})
    writer.add_custom_alignment(64)
    tensors(writer, {"token_embd.weight": [4, 32], "output_norm.weight": [32],
                     **layer({"attn_q_norm": [16], "attn_k_norm": [16]})}, GGMLQuantizationType.F16)


def main() -> None:
    for make in (llama, gemma3, phi3, qwen3):
        writer = GGUFWriter(str(Path(sys.argv[1]) / make.__name__), make.__name__)
        make(writer)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


main()
