"""Every architecture and kind of rope that is read, against transformers, on tiny random models: logits to 1e-4.

transformers writes the folders, in its own spelling; each is read again in the spelling of transformers 4. Texts are
longer than the windows.
"""
import json
import shutil
import unittest

from transformers import (AutoModelForCausalLM, AutoModelForImageTextToText, Gemma2Config, Gemma3Config, Gemma3TextConfig,
                          GemmaConfig, GraniteConfig, LlamaConfig, Mistral3Config, MistralConfig, Phi3Config,
                          PixtralVisionConfig, Qwen2Config, Qwen3Config, Qwen3MoeConfig, SiglipVisionConfig,
                          SmolLM3Config)

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from tiny_models import TinyModels, logits_of, random_model

SEED = 20261201
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 35, 8, 9, 7, 9, 3, 2, 38, 4, 6, 26, 4, 33, 8, 32, 7, 9, 5, 0, 28]
TOLERANCE = 1e-4
SIZES = dict(vocab_size=40, hidden_size=32, intermediate_size=24, num_hidden_layers=4, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2)
KINDS = ["full_attention", "sliding_attention", "full_attention", "sliding_attention"]
GEMMA = dict(head_dim=16, hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=20, sliding_window=5)
MULTIPLIERS = dict(embedding_multiplier=3.0, attention_multiplier=0.2, residual_multiplier=0.3, logits_scaling=0.5)
ORIGINAL = {"original_max_position_embeddings": 16}
SHORT, LONG = [1.0, 1.1, 1.3, 1.6], [1.5, 2.0, 3.0, 7.0]  # as many as a head of 8 has pairs
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, **ORIGINAL)
LONGROPE = dict(rope_type="longrope", short_factor=SHORT, long_factor=LONG)


def rope(**parameters):
    return {"rope_parameters": {"rope_theta": 50.0, **parameters}}


# name: (configuration, settings, positions that the library is asked for or none)
MODELS = {
    "llama-biases": (LlamaConfig, dict(mlp_bias=True, attention_bias=True), None),
    "llama-gelu": (LlamaConfig, dict(hidden_act="gelu_pytorch_tanh", head_dim=12), None),
    "llama-linear": (LlamaConfig, rope(rope_type="linear", factor=4.0), None),
    "llama-dynamic": (LlamaConfig, rope(rope_type="dynamic", factor=4.0), None),
    "llama-llama3": (LlamaConfig, rope(**LLAMA3), None),
    "llama-yarn": (LlamaConfig, rope(rope_type="yarn", factor=4.0, **ORIGINAL), None),
    "llama-yarn-scales": (LlamaConfig, rope(rope_type="yarn", factor=8.0, mscale=1.5, mscale_all_dim=0.5, beta_fast=2.0,
                                            beta_slow=0.5, truncate=False, **ORIGINAL), None),
    "llama-longrope": (LlamaConfig, rope(**LONGROPE, factor=4.0, original_max_position_embeddings=32), None),
    "llama-longrope-long": (LlamaConfig, rope(**LONGROPE, factor=4.0, **ORIGINAL), 64),
    "qwen2-no-window": (Qwen2Config, dict(sliding_window=6), None),
    "qwen2-windows": (Qwen2Config, dict(use_sliding_window=True, sliding_window=6, max_window_layers=1), None),
    "qwen2-yarn": (Qwen2Config, rope(rope_type="yarn", factor=2.0, **ORIGINAL), None),
    "qwen3-windows": (Qwen3Config, dict(use_sliding_window=True, sliding_window=4, layer_types=KINDS, head_dim=16,
                                        attention_bias=True), None),
    "mistral": (MistralConfig, dict(sliding_window=7, head_dim=16), None),
    "mistral-no-window": (MistralConfig, dict(sliding_window=None), None),
    "mistral-yarn": (MistralConfig, dict(sliding_window=9, **rope(rope_type="yarn", factor=4.0, **ORIGINAL)), None),
    "mistral-llama3": (MistralConfig, dict(sliding_window=5, **rope(**LLAMA3)), None),
    "phi3": (Phi3Config, dict(sliding_window=6), None),
    "phi3-part": (Phi3Config, dict(num_attention_heads=2, **rope(partial_rotary_factor=0.75)), None),
    "phi3-short": (Phi3Config, dict(original_max_position_embeddings=32, **rope(**LONGROPE)), None),
    "phi3-long": (Phi3Config, dict(ORIGINAL, sliding_window=11, **rope(**LONGROPE)), 40),
    "phi3-long-part": (Phi3Config, dict(ORIGINAL, num_attention_heads=2, tie_word_embeddings=True,
                                        **rope(**LONGROPE, partial_rotary_factor=0.5, attention_factor=1.3)), 40),
    "gemma": (GemmaConfig, dict(head_dim=16), None),
    "gemma-first": (GemmaConfig, dict(head_dim=16, hidden_act="gelu", num_key_value_heads=1), None),
    "gemma-linear": (GemmaConfig, dict(head_dim=16, **rope(rope_type="linear", factor=2.0)), None),
    "gemma2": (Gemma2Config, dict(GEMMA, attn_logit_softcapping=2.0, final_logit_softcapping=1.5), None),
    "gemma2-no-caps": (Gemma2Config, dict(GEMMA, attn_logit_softcapping=None, final_logit_softcapping=None,
                                          attention_bias=True, tie_word_embeddings=False), None),
    "gemma2-kinds": (Gemma2Config, dict(GEMMA, layer_types=KINDS, **rope(rope_type="linear", factor=2.0)), None),
    "gemma3": (Gemma3TextConfig, dict(GEMMA), None),
    "gemma3-kinds": (Gemma3TextConfig, dict(GEMMA, layer_types=KINDS, final_logit_softcapping=2.0), None),
    "gemma3-linear": (Gemma3TextConfig, dict(GEMMA, sliding_window_pattern=2, rope_parameters={
        "full_attention": dict(rope_type="linear", factor=8.0, rope_theta=1000.0),
        "sliding_attention": dict(rope_type="default", rope_theta=20.0)}), None),
    "smollm3": (SmolLM3Config, rope(), None),
    "smollm3-listed": (SmolLM3Config, dict(no_rope_layers=[0, 1, 1, 0], use_sliding_window=True, sliding_window=6,
                                           attention_bias=True, mlp_bias=True, tie_word_embeddings=False), None),
    "smollm3-yarn": (SmolLM3Config, rope(rope_type="yarn", factor=4.0, **ORIGINAL), None),
    "granite": (GraniteConfig, dict(MULTIPLIERS, tie_word_embeddings=True), None),
    "granite-biases": (GraniteConfig, dict(MULTIPLIERS, attention_bias=True, mlp_bias=True, head_dim=12), None),
    "granite-without": (GraniteConfig, {}, None),
}


def in_older_spelling(config):
    """A config.json as transformers 4 writes it."""
    config = dict(config)
    parameters = config.pop("rope_parameters")
    config["torch_dtype"] = config.pop("dtype", "float32")
    if "full_attention" in parameters:
        config["rope_local_base_freq"] = parameters["sliding_attention"]["rope_theta"]
        parameters = parameters["full_attention"]
    parameters = dict(parameters)
    config["rope_theta"] = parameters.pop("rope_theta")
    if "partial_rotary_factor" in parameters:
        config["partial_rotary_factor"] = parameters.pop("partial_rotary_factor")
    kind = parameters.pop("rope_type", "default")
    config["rope_scaling"] = None if kind == "default" else {"type": kind, **parameters}
    return config


class Architectures(TinyModels):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        torch.manual_seed(SEED)
        cls.expected = {}
        for name, (kind, settings, _) in MODELS.items():
            model = random_model(kind(**{**SIZES, **settings}), matrices=0.15, vectors=0.2)
            model.save_pretrained(cls.folder / name)
            cls.expected[name] = logits_of(model, TOKENS)

    def call(self, name, positions, tokens=TOKENS):
        first = ["logits"] if positions is None else ["logits-of", positions]
        return [*first, self.folder / name, "-", self.folder / f"{name}.logits", *tokens]

    def test_each_architecture_and_rope_gives_the_logits_of_transformers_in_both_spellings(self):
        calls = []
        for name, (_, _, positions) in MODELS.items():
            shutil.copytree(self.folder / name, self.folder / f"{name}-older")
            file = self.folder / f"{name}-older" / "config.json"
            file.write_text(json.dumps(in_older_spelling(json.loads(file.read_text()))))
            calls += [self.call(name, positions), self.call(f"{name}-older", positions)]
        self.assertEqual([f"{calls[n]}: {text}" for n, text in self.run_host(calls).items()], [])
        for name, expected in self.expected.items():
            for spelling in ("", "-older"):
                with self.subTest(name + spelling):
                    self.assert_close(self.folder / f"{name}{spelling}.logits", expected, TOLERANCE)

    def test_the_text_part_of_a_model_of_pictures_is_run_under_all_names_of_its_tensors(self):
        vision = dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28,
                      patch_size=14)
        configs = {
            "gemma3-4b": Gemma3Config(text_config=Gemma3TextConfig(**{**SIZES, **GEMMA}),
                                      vision_config=SiglipVisionConfig(**vision), mm_tokens_per_image=4),
            "mistral3": Mistral3Config(text_config=MistralConfig(**SIZES, head_dim=16, sliding_window=None),
                                       vision_config=PixtralVisionConfig(**vision), tie_word_embeddings=False)}
        for name, config in configs.items():
            with self.subTest(name):
                model = random_model(config, 0.15, 0.2, AutoModelForImageTextToText)
                expected = logits_of(model, TOKENS)
                model.save_pretrained(self.folder / name)
                tensors = load_file(self.folder / name / "model.safetensors")
                for prefixes in (("language_model.model.", "language_model."), ("model.language_model.", "")):
                    renamed = {}
                    for key, value in tensors.items():
                        key = key.replace("model.language_model.", "language_model.model.")
                        key = key.replace("language_model.lm_head", "lm_head").replace("lm_head", prefixes[1] + "lm_head")
                        renamed[key.replace("language_model.model.", prefixes[0])] = value
                    save_file(renamed, self.folder / name / "model.safetensors")
                    self.assertEqual(self.run_host([self.call(name, None)]), {})
                    self.assert_close(self.folder / f"{name}.logits", expected, TOLERANCE)

    def test_the_logits_tell_the_settings_apart(self):
        """What a test could not see would not be tested: each of these changes the logits."""
        changes = [("gemma", {"hidden_act": "silu"}), ("gemma2", {"attn_logit_softcapping": None}),
                   ("gemma3", {"query_pre_attn_scalar": 40}), ("smollm3", {"no_rope_layers": [1, 1, 1, 1]})]
        changes += [("granite", {key: 1.0}) for key in MULTIPLIERS]
        changes += [(name, {"sliding_window": 64}) for name in
                    ("mistral", "phi3", "gemma2-kinds", "gemma3-kinds", "qwen2-windows", "qwen3-windows", "smollm3-listed")]
        for name, change in changes:
            with self.subTest(name, change=change):
                model = AutoModelForCausalLM.from_pretrained(self.folder / name, dtype=torch.float32, **change)
                self.assertGreater(float(np.abs(logits_of(model, TOKENS) - self.expected[name]).max()), 10 * TOLERANCE)

    def test_positions_behind_the_short_factors_are_refused_until_they_are_asked_for(self):
        errors = self.run_host([self.call("phi3-long", None), self.call("phi3-long", 65)])
        self.assertRegex(errors[0], "out_of_range: position 16 of row 16 .*the model's positions")
        self.assertEqual(errors[1], "bad_argument: max_positions is 65, must be 1 to 64, the model's positions")

    def test_mixtures_of_experts_are_refused_by_name(self):
        config = Qwen3MoeConfig(**SIZES, num_experts=2, num_experts_per_tok=1, moe_intermediate_size=8)
        AutoModelForCausalLM.from_config(config).save_pretrained(self.folder / "moe")
        error = self.run_host([self.call("moe", None)])[0]
        self.assertRegex(error, "^unsupported: .*config.json: 'architectures': \"Qwen3MoeForCausalLM\" is not supported: "
                                "mixtures of experts cannot be run; supported are LlamaForCausalLM, ")


if __name__ == "__main__":
    print("seed", SEED)
    unittest.main(warnings="ignore")
