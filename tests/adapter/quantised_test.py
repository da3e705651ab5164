"""Quantised weights, turned into floats when they are read, against transformers on tiny random models: logits to 1e-4.

The script packs the matrices as the formats' own programs do. Of 8-bit floats transformers itself makes the matrices that
are compared (its Fp8Dequantize); of 4-bit integers the formula that stands beside the packing does.
"""
import json
import shutil
import unittest

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, Qwen2Config
from transformers.integrations.finegrained_fp8 import Fp8Dequantize

import tiny_models
from tiny_models import TinyModels, random_model

SEED = 20261130
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 35]
TOLERANCE = 1e-4
FP8 = torch.float8_e4m3fn
COMPRESSED = {"quant_method": "compressed-tensors", "format": "float-quantized", "quantization_status": "compressed",
              "kv_cache_scheme": None, "ignore": ["lm_head"]}


def compressed(**weights):
    group = {"weights": {"num_bits": 8, "type": "float", "symmetric": True, "dynamic": False, **weights},
             "input_activations": {"num_bits": 8, "type": "float", "dynamic": True}, "targets": ["Linear"]}
    return {**COMPRESSED, "config_groups": {"group_0": group}}


def fp8(weight, rows, columns):
    """Values and scales of blocks, the last of which may be smaller."""
    out, width = weight.shape
    scales = torch.zeros(-(-out // rows), -(-width // columns))
    whole = torch.zeros_like(weight)
    for i in range(scales.shape[0]):
        for j in range(scales.shape[1]):
            block = weight[i * rows:(i + 1) * rows, j * columns:(j + 1) * columns]
            scales[i, j] = block.abs().max() / 448
            whole[i * rows:(i + 1) * rows, j * columns:(j + 1) * columns] = block / scales[i, j]
    return whole.to(FP8), scales


def expand(scales, shape, rows, columns):
    return scales.float().repeat_interleave(rows, 0)[:shape[0]].repeat_interleave(columns, 1)[:, :shape[1]]


def integers(weight, group, order=None):
    """4-bit numbers q [in, out], scales and zero points [groups, out]; w = s * (q - z). `order`: groups of columns."""
    columns = weight.shape[1]
    groups = torch.arange(columns) // group if order is None else order
    n = int(groups.max()) + 1
    scales, zeros = torch.zeros(n, weight.shape[0]), torch.zeros(n, weight.shape[0], dtype=torch.int64)
    numbers = torch.zeros(columns, weight.shape[0], dtype=torch.int64)
    for g in range(n):
        part = weight[:, groups == g]
        low, high = part.min(1).values.clamp(max=0), part.max(1).values.clamp(min=0)
        scales[g] = ((high - low) / 14).half().float()
        zeros[g] = (-low / scales[g]).round().clamp(1, 14).long()
        numbers[groups == g] = (part.T / scales[g] + zeros[g]).round().clamp(0, 15).long()
    return numbers, scales, zeros, groups, (scales[groups] * (numbers - zeros[groups])).T.contiguous()


def packed(numbers, dim, order=range(8)):
    """Eight numbers along `dim` in a word, the n-th from the low bits on being that of place order[n]."""
    numbers = numbers if dim == 1 else numbers.T
    parts = numbers.reshape(numbers.shape[0], -1, 8)
    words = sum(parts[:, :, place] << (4 * n) for n, place in enumerate(order))
    words = torch.from_numpy(words.numpy().astype(np.uint32).view(np.int32).copy())
    return (words if dim == 1 else words.T).contiguous()


AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def pack_fp8(rows, columns, suffix, dtype=torch.float32):
    def pack(tensors, name, weight):
        values, scales = fp8(weight, rows or weight.shape[0], columns or weight.shape[1])
        scales = scales.to(dtype)
        tensors[f"{name}.weight"] = values
        tensors[f"{name}.{suffix}"] = scales if rows or columns else scales.reshape(())
        if weight.shape[0] % (rows or 1) == 0 and weight.shape[1] % (columns or 1) == 0:
            return Fp8Dequantize(None)._dequantize_one(values, scales, torch.float32)
        return values.float() * expand(scales, weight.shape, rows, columns)
    return pack


def pack_rows(tensors, name, weight):
    values, scales = fp8(weight, 1, weight.shape[1])
    tensors[f"{name}.weight"], tensors[f"{name}.weight_scale"] = values, scales.bfloat16()
    return values.float() * scales.bfloat16().float()


def pack_gptq(less, act_order=False):
    def pack(tensors, name, weight):
        order = torch.randperm(weight.shape[1]) // 8 if act_order else None
        numbers, scales, zeros, groups, result = integers(weight, 8, order)
        tensors[f"{name}.qweight"] = packed(numbers, 0)
        tensors[f"{name}.qzeros"] = packed(zeros - less, 1)
        tensors[f"{name}.scales"] = scales.half()
        tensors[f"{name}.g_idx"] = groups.int()
        return result
    return pack


def pack_awq(tensors, name, weight):
    numbers, scales, zeros, _, result = integers(weight, 8)
    tensors[f"{name}.qweight"] = packed(numbers, 1, AWQ_ORDER)
    tensors[f"{name}.qzeros"] = packed(zeros, 1, AWQ_ORDER)
    tensors[f"{name}.scales"] = scales.half()
    return result


FINE = {"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3"}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 8, "desc_act": False, "sym": False}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 8, "version": "gemm", "zero_point": True}
CASES = {
    "blocks": ({**FINE, "weight_block_size": [8, 8]}, pack_fp8(8, 8, "weight_scale_inv")),
    "blocks-uneven": ({**FINE, "weight_block_size": [7, 5]}, pack_fp8(7, 5, "weight_scale_inv", torch.bfloat16)),
    "one-scale": ({**FINE, "weight_block_size": None}, pack_fp8(None, None, "weight_scale_inv")),
    "compressed-tensor": (compressed(strategy="tensor"), pack_fp8(None, None, "weight_scale")),
    "compressed-rows": (compressed(strategy="channel"), pack_rows),
    "compressed-blocks": (compressed(strategy="block", block_structure=[8, 8]), pack_fp8(8, 8, "weight_scale")),
    "gptq": (GPTQ, pack_gptq(1)),
    "gptq-v2": ({**GPTQ, "checkpoint_format": "gptq_v2"}, pack_gptq(0)),
    "gptq-sorted": ({**GPTQ, "desc_act": True, "checkpoint_format": "gptq"}, pack_gptq(1, act_order=True)),
    "awq": (AWQ, pack_awq),
}
NOTHING = lambda tensors: None  # noqa: E731
Q = "model.layers.0.self_attn.q_proj"
# name: (case, changed keys, change of the tensors, status, parts of the text)
REFUSED = {
    "bitsandbytes": ("gptq", {"quant_method": "bitsandbytes"}, NOTHING, "unsupported",
                     ["config.json", "'quant_method'", '"bitsandbytes"', '"gptq"']),
    "gptq-8": ("gptq", {"bits": 8}, NOTHING, "unsupported", ["'bits'", "8 is not supported, only 4"]),
    "gptq-marlin": ("gptq", {"checkpoint_format": "marlin"}, NOTHING, "unsupported",
                    ["'checkpoint_format'", '"marlin"', '"gptq_v2"']),
    "awq-gemv": ("awq", {"version": "gemv"}, NOTHING, "unsupported", ["'version'", '"gemv"', '"gemm"']),
    "compressed-int4": ("compressed-rows", {"format": "pack-quantized"}, NOTHING, "unsupported",
                        ["'format'", '"pack-quantized"', '"float-quantized"']),
    "compressed-int8": ("compressed-rows", compressed(strategy="channel", type="int"), NOTHING, "unsupported",
                        ["'type'", '"int"', '"float"']),
    "kv-scales": ("compressed-rows", {"kv_cache_scheme": {"num_bits": 8}}, NOTHING, "unsupported",
                  ["'kv_cache_scheme'"]),
    "e5m2": ("blocks", {"fmt": "e5m2"}, NOTHING, "unsupported", ["'fmt'", '"e5m2"', '"e4m3"']),
    "e5m2-tensor": ("blocks", {}, lambda t: t.update({Q + ".weight": t[Q + ".weight"].float().to(torch.float8_e5m2)}),
                    "unsupported", [Q, "F8_E5M2"]),
    "no-scale": ("blocks", {}, lambda t: t.pop(Q + ".weight_scale_inv"), "bad_file",
                 [Q, "weight_scale_inv", "no such tensor"]),
    "other-grid": ("blocks", {"weight_block_size": [4, 8]}, NOTHING, "bad_file", ["weight_scale_inv", "[4, 2]", "[2, 2]"]),
    "no-zeros": ("gptq", {}, lambda t: t.pop(Q + ".qzeros"), "bad_file", [Q, "qzeros", "no such tensor"]),
    "zero-16": ("gptq", {}, lambda t: t[Q + ".qzeros"].fill_(-1), "unsupported", [Q + ".qzeros", "zero point of 16"]),
    "other-group": ("awq", {"group_size": 16}, NOTHING, "bad_file", ["scales", "[1, 16]", "[2, 16]"]),
    "far-group": ("gptq", {}, lambda t: t[Q + ".g_idx"].fill_(7), "bad_file", [Q + ".g_idx", "below 2", "found 7"]),
    "not-announced": ("blocks", None, NOTHING, "unsupported", ["weight", "F8_E4M3"]),
}


class Quantised(TinyModels):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        torch.manual_seed(SEED)
        sizes = dict(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
                     num_key_value_heads=2, max_position_embeddings=64, pad_token_id=None, bos_token_id=1,
                     eos_token_id=2, tie_word_embeddings=False)
        random_model(Qwen2Config(**sizes), matrices=0.05, vectors=0.05).save_pretrained(cls.folder / "base")
        for name, (config, pack) in CASES.items():
            cls.write(name, config, pack)

    @classmethod
    def write(cls, name, config, pack):
        """The quantised model, and in NAME-floats the one that it stands for."""
        tensors, floats = {}, {}
        for key, value in load_file(cls.folder / "base/model.safetensors").items():
            if key.endswith("_proj.weight"):
                floats[key] = pack(tensors, key.removesuffix(".weight"), value).contiguous()
            else:
                tensors[key] = floats[key] = value
        for folder, content in ((name, tensors), (f"{name}-floats", floats)):
            shutil.copytree(cls.folder / "base", cls.folder / folder)
            save_file(content, cls.folder / folder / "model.safetensors", {"format": "pt"})
        cls.edit_config(name, config)

    @classmethod
    def edit_config(cls, name, quantisation):
        file = cls.folder / name / "config.json"
        config = json.loads(file.read_text())
        if quantisation is None:
            config.pop("quantization_config", None)
        else:
            config["quantization_config"] = {**config.get("quantization_config", {}), **quantisation}
        file.write_text(json.dumps(config))

    def test_each_format_gives_the_logits_of_the_floats_that_it_stands_for(self):
        calls = [["logits", self.folder / name, "-", self.folder / f"{name}.logits", *TOKENS] for name in CASES]
        self.assertEqual(self.run_host(calls), {})
        base = self.logits_of("base")
        for name in CASES:
            with self.subTest(name):
                found = np.fromfile(self.folder / f"{name}.logits", dtype=np.float32).reshape(len(TOKENS), -1)
                expected = self.logits_of(f"{name}-floats")
                self.assertLess(float(np.abs(found - expected).max()), TOLERANCE)
                self.assertGreater(float(np.abs(found - base).max()), 10 * TOLERANCE)

    def logits_of(self, name):
        model = AutoModelForCausalLM.from_pretrained(self.folder / name, dtype=torch.float32).eval()
        return tiny_models.logits_of(model, TOKENS)

    def test_what_cannot_be_turned_into_floats_is_refused_by_name(self):
        calls = []
        for name, (case, keys, change, _, _) in REFUSED.items():
            folder = self.folder / f"refused-{name}"
            shutil.copytree(self.folder / case, folder)
            self.edit_config(folder, keys)
            tensors = {key: value.clone() for key, value in load_file(folder / "model.safetensors").items()}
            change(tensors)
            save_file(tensors, folder / "model.safetensors", {"format": "pt"})
            calls.append(["logits", folder, "-", self.folder / "none", *TOKENS])
        errors = self.run_host(calls)
        for number, (name, (*_, status, parts)) in enumerate(REFUSED.items()):
            with self.subTest(name):
                text = errors.get(number, "no error")
                self.assertRegex(text, f"^{status}: .*refused-{name}")
                for part in parts:
                    self.assertIn(part, text)


if __name__ == "__main__":
    print("seed", SEED)
    unittest.main(warnings="ignore")
