"""Every kind of adapter that is taken, against Python's peft, on tiny random models: the same logits to 1e-4.

Each case is written by peft, loaded by peft and by the library (tests/adapter/adapter_host.cpp), written again by the
library and loaded by peft, and merged by the library and loaded by transformers. What is refused is refused with its
key.
"""
import json
import re
import shutil
import unittest
import warnings

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, Gemma2Config, LlamaConfig, Phi3Config, Qwen2Config, Qwen3Config

import tiny_models
from tiny_models import TinyModels, random_model

SEED = 20261130
TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 35]
TOLERANCE = 1e-4
CONFIG, TENSORS = "adapter_config.json", "adapter_model.safetensors"
SIZES = dict(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, pad_token_id=None, bos_token_id=1, eos_token_id=2)
MODELS = {"tied": (Qwen2Config, {"tie_word_embeddings": True}), "untied": (Qwen2Config, {"tie_word_embeddings": False}),
          "llama": (LlamaConfig, {"tie_word_embeddings": False}),
          "qwen3": (Qwen3Config, {"tie_word_embeddings": True, "head_dim": 8}),
          "phi3": (Phi3Config, {"tie_word_embeddings": False, "sliding_window": 4, "pad_token_id": 0}),
          "gemma2": (Gemma2Config, {"head_dim": 8, "sliding_window": 4, "pad_token_id": 0})}
# Models whose file has a head of its own although their configuration ties it, the same head once more, or only a head.
HEADS = {"other_head": lambda t: t.update({"lm_head.weight": torch.randn(40, 16) * 0.1}),
         "same_head": lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].clone()}),
         "half_head": lambda t: t.update({"lm_head.weight": t["model.embed_tokens.weight"].bfloat16()}),
         "only_head": lambda t: t.update({"lm_head.weight": t.pop("model.embed_tokens.weight")})}
ALL = ["tied", "untied", "other_head"]
E, H, O = "embed_tokens", "lm_head", "o_proj"
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# name: (models, settings, rows of the changed vocabulary or none)
CASES = {
    "all-linear": (["tied", "llama", "qwen3", "phi3", "gemma2"], dict(target_modules="all-linear"), None),
    "rslora": (["qwen3"], dict(target_modules=PROJECTIONS, use_rslora=True, rank_pattern={"q_proj": 3}), None),
    "fused": (["phi3"], dict(target_modules=["qkv_proj", "gate_up_proj"], use_dora=True, use_rslora=True), None),
    "saved-fused": (["phi3"], dict(target_modules=[O], modules_to_save=["mlp", "qkv_proj"]), None),
    "saved-norms": (["gemma2"], dict(target_modules=[O], modules_to_save=["norm", "post_feedforward_layernorm"]), None),
    "expression": (["llama"], dict(target_modules=r".*\.1\..*(q|v)_proj"), None),
    "expression-ahead": (["llama"], dict(
        target_modules=r"model\.layers\.(?!0\.)\d+\.(self_attn|mlp)\.[a-z]+_proj"), None),
    "patterns": (["tied"], dict(target_modules=PROJECTIONS, rank_pattern={
        r"layers\.0\.self_attn\.[qk]_proj": 4, "layers.1.self_attn.q.proj": 3, "^v_proj": 5, "(up|down)_proj": 1}), None),
    "layers": (["llama"], dict(target_modules=["q_proj", "down_proj"], layers_to_transform=[1]), None),
    "one-layer": (["llama"], dict(target_modules=["q_proj"], layers_to_transform=1, layers_pattern="layers"), None),
    "layers-named": (["llama"], dict(target_modules=["q_proj", "model.layers.0.mlp.up_proj"], layers_to_transform=[1],
                                     layers_pattern=["h", "layers"]), None),
    "excluded": (["llama"], dict(target_modules=["q_proj", "v_proj"], exclude_modules=["layers.0.self_attn.q_proj"]),
                 None),
    "excluded-expression": (["llama"], dict(target_modules=["q_proj", "v_proj"], exclude_modules=r".*\.0\..*v_proj"),
                            None),
    "bias-all": (["tied"], dict(target_modules=["q_proj", O], bias="all"), None),
    "bias-lora-only": (["untied"], dict(target_modules=["q_proj", O], bias="lora_only"), None),
    "lora-bias": (["tied"], dict(target_modules=["q_proj", "v_proj"], lora_bias=True), None),
    "dora": (["tied", "llama", "qwen3"], dict(target_modules=PROJECTIONS, use_dora=True), None),
    "dora-rslora": (["untied"], dict(target_modules=["q_proj", H], use_dora=True, use_rslora=True), None),
    "dora-embedding": (ALL, dict(target_modules=["q_proj", E, H], use_dora=True), None),
    "dora-tokens": (["tied"], dict(target_modules=["q_proj"], use_dora=True, trainable_token_indices=[3]), None),
    "embedding": (ALL, dict(target_modules=[E]), None),
    "head": (ALL, dict(target_modules=[H]), None),
    "embedding-head": (ALL, dict(target_modules=[E, H, O]), None),
    "embedding-head-tied": (ALL, dict(target_modules=[E, H], ensure_weight_tying=True), None),
    "embedding-tied": (ALL, dict(target_modules=[E, O], ensure_weight_tying=True), None),
    "saved": (ALL, dict(target_modules=[O], modules_to_save=[E, H]), None),
    "saved-embedding": (ALL, dict(target_modules=[O], modules_to_save=[E]), None),
    "saved-head": (ALL, dict(target_modules=[O], modules_to_save=[H]), None),
    "saved-tied": (ALL, dict(target_modules=[O], modules_to_save=[E], ensure_weight_tying=True), None),
    "saved-layers": (["tied", "qwen3"], dict(target_modules=[O, "v_proj"], modules_to_save=["norm", "v_proj", "mlp"]),
                     None),
    "saved-and-head": (ALL, dict(target_modules=[O, H], modules_to_save=[E]), None),
    "tokens": (ALL + ["same_head", "only_head"], dict(target_modules=[O], trainable_token_indices=[3, 5]), None),
    "tokens-head": (ALL, dict(target_modules=[O], trainable_token_indices={H: [3, 5]}), None),
    "tokens-both": (ALL, dict(target_modules=[O], trainable_token_indices={E: [3, 5], H: [3, 5]}), None),
    "tokens-others": (ALL, dict(target_modules=[O], trainable_token_indices={E: [3, 5], H: [3, 7]}), None),
    "tokens-head-lora": (["untied"], dict(target_modules=[O, H], trainable_token_indices=[3, 5]), None),
    "tokens-head-saved": (["untied"], dict(target_modules=[O], modules_to_save=[H], trainable_token_indices=[3]), None),
    "resized": (["tied", "untied"], dict(target_modules=[O]), 43),
    "resized-smaller": (["tied", "untied"], dict(target_modules=[O]), 37),
    "resized-embedding": (["tied"], dict(target_modules=[O, E]), 43),
    "resized-head": (["tied"], dict(target_modules=[O, H]), 43),
    "resized-both": (["tied", "untied"], dict(target_modules=[O, E, H]), 43),
    "resized-saved": (["tied", "untied"], dict(target_modules=[O], modules_to_save=[E]), 43),
    "resized-saved-both": (["tied", "untied"], dict(target_modules=[O], modules_to_save=[E, H]), 43),
    "resized-tokens": (["tied", "untied"], dict(target_modules=[O], trainable_token_indices=[40, 41, 42]), 43),
    "half": (["tied", "untied", "other_head"], dict(target_modules=[O, H, E]), None),
    "gaussian": (["llama"], dict(target_modules=["q_proj"], init_lora_weights="gaussian"), None),
    "eva": (["llama"], dict(target_modules=["q_proj"]), None),
}
# What is changed in the files that peft has written, before anybody loads them. peft sorts keys when it writes; the
# order in the file counts when it reads.
ALPHAS = {"self_attn.q_proj": 1.5, "layers.1.*": 7, "^model.layers.0.mlp.(up|down)_proj": 9, "proj": 2,
          r"\w+\.down_proj": 3, "(.*gate|o)_proj": 5, ".*": 6}
EDITS = {"patterns": (CONFIG, lambda c: c.update(alpha_pattern=ALPHAS)),
         "eva": (CONFIG, lambda c: c.update(init_lora_weights="eva")),
         "half": (TENSORS, lambda t: t.update({name: value.bfloat16() for name, value in t.items()}))}
WRAPPED = "base_model.model."


def set_key(**keys):
    return CONFIG, lambda c: c.update(keys)


def set_tensors(change):
    return TENSORS, change


def drop(part):
    return TENSORS, lambda t: [t.pop(name) for name in list(t) if part in name]


PLAIN = dict(target_modules=["q_proj"])
# name: (model, settings, rows, edit, status, parts of the text)
REFUSED = {
    **{f"kind-{kind}": ("llama", PLAIN, None, set_key(peft_type=kind), "unsupported",
                        [CONFIG, "'peft_type'", f'"{kind}"', 'only "LORA"'])
       for kind in ("IA3", "LOHA", "LOKR", "VERA", "XLORA", "ADALORA", "OFT", "BOFT", "PROMPT_TUNING", "HRA", "MISS")},
    **{f"init-{how}": ("llama", PLAIN, None, set_key(init_lora_weights=how), "unsupported",
                       [CONFIG, "'init_lora_weights'", how])
       for how in ("pissa", "pissa_niter_4", "olora", "corda", "loftq", "lora_ga", "of_tomorrow")},
    **{f"key-{key}": ("llama", PLAIN, None, set_key(**{key: value}), "unsupported",
                      [CONFIG, f"'{key}'", "supported are"])
       for key, value in {"alora_invocation_tokens": [1], "use_qalora": True, "layer_replication": [[0, 1]],
                          "target_parameters": ["w"], "megatron_config": {"a": 1}, "use_bdlora": {"a": 1},
                          "arrow_config": {"a": 1}, "kasa_config": {"beta": 1}, "velora_config": {"a": 1},
                          "monteclora_config": {"a": 1}, "fan_in_fan_out": True, "of_tomorrow": 7}.items()},
    "task": ("llama", PLAIN, None, set_key(task_type="SEQ_CLS"), "unsupported", [CONFIG, "'task_type'", "CAUSAL_LM"]),
    "bias": ("llama", PLAIN, None, set_key(bias="some"), "unsupported", [CONFIG, "'bias'", '"some"', '"lora_only"']),
    "head-copy": ("untied", dict(target_modules=[H]), None,
                  set_tensors(lambda t: t[WRAPPED + "lm_head.base_layer.weight"].add_(0.01)), "unsupported",
                  ["lm_head.base_layer.weight", "expected a copy of the model's", "other values"]),
    "embedding-copy": ("tied", dict(target_modules=[E]), None,
                       set_tensors(lambda t: t[WRAPPED + "model.embed_tokens.base_layer.weight"][39].add_(0.01)),
                       "unsupported", ["model.embed_tokens.base_layer.weight", "expected a copy of the model's"]),
    "resized-without-head": ("untied", dict(target_modules=[O, E]), 43, None, "bad_file",
                             ["lm_head.weight", "43 rows", "of 40"]),
    "resized-without-embedding": ("untied", dict(target_modules=[O, H]), 43, None, "bad_file",
                                  ["model.embed_tokens.weight", "43 rows", "of 40"]),
    "resized-other-head": ("other_head", dict(target_modules=[O]), 43, None, "unsupported",
                           ["tie_word_embeddings", "vocabulary of 43", "of 40"]),
    "resized-apart": ("tied", dict(target_modules=[O]), 43,
                      set_tensors(lambda t: t[WRAPPED + "lm_head.weight"].add_(1)), "bad_file",
                      ["model.embed_tokens.weight", "lm_head.weight", "the same values"]),
    "saved-missing": ("tied", dict(target_modules=[O], modules_to_save=[H]), None, drop("lm_head"), "bad_file",
                      ["'modules_to_save'", "base_model.model.lm_head.weight", "no such tensor"]),
    "saved-unknown": ("tied", dict(target_modules=[O]), None,
                      set_tensors(lambda t: t.update({WRAPPED + "score.weight": torch.ones(2, 16)})), "bad_file",
                      ["score.weight", "expected a tensor of the model"]),
    "saved-shape": ("tied", dict(target_modules=[O], modules_to_save=["v_proj"]), None,
                    set_tensors(lambda t: t.update({WRAPPED + "model.layers.0.self_attn.v_proj.bias": torch.ones(9)})),
                    "bad_file", ["v_proj.bias", "expected shape [8]", "found [9]"]),
    "lora-bias": ("llama", dict(target_modules=["q_proj"], lora_bias=True), None, None, "unsupported",
                  ["'lora_bias'", "q_proj", "has no bias"]),
    "lora-bias-dora": ("tied", PLAIN, None, set_key(lora_bias=True, use_dora=True), "unsupported",
                       [CONFIG, "'lora_bias'", "use_dora"]),
    "tokens-and-head": ("tied", dict(target_modules=[O, H], trainable_token_indices=[3, 5]), None, None, "unsupported",
                        ["token rows", "lm_head has LoRA factors"]),
    "dora-without-magnitude": ("llama", dict(target_modules=["q_proj"], use_dora=True), None, drop("layers.1.self_attn"
                               ".q_proj.lora_magnitude"), "bad_file", ["lora_magnitude_vector", "no such tensor"]),
    "magnitude-without-dora": ("llama", dict(target_modules=["q_proj"], use_dora=True), None, set_key(use_dora=False),
                               "bad_file", ["lora_magnitude_vector", "'use_dora'"]),
    "no-target": ("llama", PLAIN, None, set_key(target_modules=None), "bad_file", [CONFIG, "'target_modules'"]),
    "other-target": ("llama", PLAIN, None, set_key(target_modules=["k_proj"]), "bad_file",
                     ["'target_modules'", "q_proj"]),
    "excluded": ("llama", PLAIN, None, set_key(exclude_modules=r".*\.1\..*"), "bad_file",
                 ["'target_modules'", "layers.1.self_attn.q_proj"]),
    "layers-of-expression": ("llama", dict(target_modules=".*q_proj"), None, set_key(layers_to_transform=[0, 1]),
                             "unsupported", [CONFIG, "'layers_to_transform'"]),
    "tied-apart": ("tied", dict(target_modules=[E], ensure_weight_tying=True), None,
                   set_tensors(lambda t: t[WRAPPED + "lm_head.lora_A.weight"].add_(1)), "bad_file",
                   ["'ensure_weight_tying'", "the same factors"]),
    "tied-nothing": ("untied", dict(target_modules=[E, H], ensure_weight_tying=True), None, set_key(target_modules=[E]),
                     "bad_file", ["'ensure_weight_tying'", "lm_head"]),
    **{f"expression-{number}": ("llama", PLAIN, None, set_key(target_modules=expression), status,
                                [CONFIG, "'target_modules'", found])
       for number, (expression, status, found) in enumerate([
           ("(?<=x)q_proj", "unsupported", "'(?<='"), ("(?i)Q_PROJ", "unsupported", "'(?i)'"),
           (r"(a)\1q_proj", "unsupported", r"'\1'"), (r".*\Zq_proj", "unsupported", r"'\Z'"),
           ("q_proj++", "unsupported", "'+'"), ("[[:alpha:]]_proj", "unsupported", "'[["), ("q{,3}_proj", "unsupported",
            "'{,3}'"), ("(q_proj", "unsupported", "'('"), ("q_proj)", "unsupported", "')'"), ("*q_proj", "unsupported",
            "'*'"), ("[z-a]_proj", "bad_file", "range"), (r"\pLq_proj", "unsupported", r"'\p'"), ("(?>q)_proj",
            "unsupported", "'(?>q'"), (r"(\w+\.?)+[!?]", "unsupported", "steps")])},
}


def write_models(folder):
    """Random models, as transformers writes them."""
    torch.manual_seed(SEED)
    for name, (config, settings) in MODELS.items():
        random_model(config(**{**SIZES, **settings}), matrices=0.02, vectors=0.1).save_pretrained(folder / name)
    for name, change in HEADS.items():
        shutil.copytree(folder / "tied", folder / name)
        edit(folder / name / "model.safetensors", change)


def edit(file, change):
    if file.suffix == ".json":
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))
    else:
        content = {name: value.clone() for name, value in load_file(file).items()}
        change(content)
        save_file(content, file, {"format": "pt"})


def base_model(folder, rows=None):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    if rows:
        model.resize_token_embeddings(rows)
    return model


def tokens_of(rows):
    return TOKENS + ([41] if rows and rows > 41 else [])


def logits_of(model, rows):
    return tiny_models.logits_of(model, tokens_of(rows))


def write_adapter(folder, model, settings, rows, change):
    """Writes an adapter as peft writes it, all its parts random."""
    torch.manual_seed(SEED)
    adapted = get_peft_model(base_model(model, rows), LoraConfig(**{"task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4,
                                                                  **settings}))
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    adapted.save_pretrained(folder)
    if change:
        edit(folder / change[0], change[1])


class Kinds(TinyModels):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        write_models(cls.folder)

    def read_logits(self, file, rows):
        return np.fromfile(file, dtype=np.float32).reshape(len(tokens_of(rows)), -1)

    def assert_close(self, found, expected):
        self.assertEqual(found.shape, expected.shape)
        self.assertLess(float(np.abs(found - expected).max()), TOLERANCE)

    def test_each_kind_gives_the_logits_of_peft_also_written_again_and_merged(self):
        calls, expected = [], {}
        for case, (models, settings, rows) in CASES.items():
            for model in models:
                name, base = f"{case}-{model}", self.folder / model
                adapter, copy = self.folder / name, self.folder / f"{name}-copy"
                write_adapter(adapter, base, settings, rows, EDITS.get(case))
                expected[name] = (logits_of(PeftModel.from_pretrained(base_model(base, rows), adapter).eval(), rows),
                                  logits_of(base_model(base, rows), rows), base, rows)
                calls.append(["logits", base, adapter, self.folder / f"{name}.logits", *tokens_of(rows)])
                calls.append(["copy", adapter, copy, "f32"])
                calls.append(["merge", base, adapter, self.folder / f"{name}-merged"])
                calls.append(["logits", self.folder / f"{name}-merged", "-", self.folder / f"{name}.merged",
                              *tokens_of(rows)])
        self.assertEqual([f"{calls[n]}: {text}" for n, text in self.run_host(calls).items()], [])
        for name, (logits, without, base, rows) in expected.items():
            with self.subTest(name):
                ours = self.read_logits(self.folder / f"{name}.logits", rows)
                self.assert_close(ours, logits)
                if not name.startswith(("resized-tied", "resized-untied", "resized-smaller")):
                    self.assertGreater(float(np.abs(without - logits).max()), 10 * TOLERANCE)
                self.assert_close(logits_of(base_model(self.folder / f"{name}-merged"), rows), logits)
                self.assertTrue(np.array_equal(self.read_logits(self.folder / f"{name}.merged", rows), ours))
                again = PeftModel.from_pretrained(base_model(base, rows), self.folder / f"{name}-copy").eval()
                self.assert_close(logits_of(again, rows), logits)

    def test_a_head_in_the_file_counts_where_it_differs_from_the_embedding_it_is_tied_to(self):
        names = ["tied", *HEADS]
        errors = self.run_host([["logits", self.folder / name, "-", self.folder / f"{name}.logits", *TOKENS]
                                for name in names])
        self.assertEqual(errors, {})
        logits = {name: self.read_logits(self.folder / f"{name}.logits", None) for name in names}
        for name in names:
            with self.subTest(name):
                self.assert_close(logits[name], logits_of(base_model(self.folder / name), None))
        self.assertGreater(float(np.abs(logits["other_head"] - logits["tied"]).max()), 0.1)
        self.assertTrue(np.array_equal(logits["same_head"], logits["tied"]))
        self.assertTrue(np.array_equal(logits["only_head"], logits["tied"]))

    def test_what_is_not_taken_is_refused_by_name(self):
        calls = []
        for name, (model, settings, rows, change, _, _) in REFUSED.items():
            adapter, base = self.folder / f"refused-{name}", self.folder / model
            write_adapter(adapter, base, settings, rows, change)
            calls.append(["logits", base, adapter, self.folder / "none", *TOKENS])
        errors = self.run_host(calls)
        for number, (name, (*_, status, parts)) in enumerate(REFUSED.items()):
            with self.subTest(name):
                text = errors.get(number, "no error")
                self.assertRegex(text, f"^{status}: .*refused-{re.escape(name)}")
                for part in parts:
                    self.assertIn(part, text)


if __name__ == "__main__":
    print("seed", SEED)
    warnings.simplefilter("ignore")
    unittest.main(warnings="ignore")
