"""Records recordings/rope_kinds.json: frequencies and attention factors of each kind of rotary scaling, by transformers.

    python3 tests/hf/record_rope.py
"""
import copy
import json
from pathlib import Path

import torch
from transformers import AutoConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

SIZES = {"vocab_size": 100, "hidden_size": 128, "intermediate_size": 96, "num_hidden_layers": 2,
         "num_attention_heads": 4, "num_key_value_heads": 2}
LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "max_position_embeddings": 512}
QWEN = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "max_position_embeddings": 2048}
PHI3 = {"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "max_position_embeddings": 512,
        "original_max_position_embeddings": 128, "pad_token_id": 0}
SHORT = [1.0 + 0.05 * i for i in range(16)]
LONG = [1.5 + 0.75 * i for i in range(16)]
CASES = {
    "linear": (LLAMA, {"rope_type": "linear", "factor": 4.0}, {}),
    "dynamic": (LLAMA, {"rope_type": "dynamic", "factor": 4.0}, {}),
    "llama3": (LLAMA, {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                       "original_max_position_embeddings": 64}, {}),
    "yarn": (QWEN, {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}, {}),
    "yarn of other borders": (QWEN, {"rope_type": "yarn", "factor": 16.0, "beta_fast": 24.0, "beta_slow": 2.0,
                                     "original_max_position_embeddings": 128, "truncate": False}, {}),
    "yarn with an attention factor": (LLAMA, {"rope_type": "yarn", "factor": 2.0, "attention_factor": 1.25,
                                              "original_max_position_embeddings": 256}, {}),
    "yarn with two scales": (LLAMA, {"rope_type": "yarn", "factor": 40.0, "mscale": 1.0, "mscale_all_dim": 0.5,
                                     "original_max_position_embeddings": 256}, {}),
    "longrope": (PHI3, {"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG}, {}),
    "longrope of a part": (PHI3, {"rope_type": "longrope", "short_factor": SHORT[:12], "long_factor": LONG[:12]},
                           {"partial_rotary_factor": 0.75}),
    "longrope with an attention factor": (PHI3, {"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG,
                                                 "attention_factor": 1.125}, {}),
    "longrope of Llama": (LLAMA, {"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG, "factor": 8.0,
                                  "original_max_position_embeddings": 64}, {}),
    "default of a part": (PHI3, None, {"partial_rotary_factor": 0.5}),
}
THETA = 50000.0


def transformers_config(content):
    content = copy.deepcopy(content)
    return AutoConfig.for_model(content.pop("model_type"), **content)


def entry(name, base, scaling, more):
    old = {**base, **SIZES, **more, "rope_theta": THETA, "rope_scaling": copy.deepcopy(scaling)}
    if scaling:
        old["rope_scaling"]["type"] = old["rope_scaling"].pop("rope_type")
    new = {**base, **SIZES, "rope_parameters": {**(scaling or {"rope_type": "default"}), **more, "rope_theta": THETA}}
    results = []
    for content in (old, new):
        config = transformers_config(content)
        kind = config.rope_parameters["rope_type"]
        if kind == "default":
            dim = int(config.hidden_size // config.num_attention_heads * more.get("partial_rotary_factor", 1.0))
            results.append((1.0 / THETA ** (torch.arange(0, dim, 2).float() / dim), 1.0, None))
            continue
        frequencies, factor = ROPE_INIT_FUNCTIONS[kind](config)
        longer = None
        if kind == "longrope":
            original = config.rope_parameters["original_max_position_embeddings"]
            longer = (original, ROPE_INIT_FUNCTIONS[kind](config, seq_len=original + 1)[0])
        results.append((frequencies, factor, longer))
    assert torch.equal(results[0][0], results[1][0]) and results[0][1] == results[1][1], name
    frequencies, factor, longer = results[0]
    out = {"name": name, "v4": old, "v5": new, "frequencies": frequencies.tolist(), "attention_factor": factor}
    if longer:
        out["original"], out["long_frequencies"] = longer[0], longer[1].tolist()
    return out


if __name__ == "__main__":
    entries = [entry(name, *case) for name, case in CASES.items()]
    file = Path(__file__).parent / "recordings" / "rope_kinds.json"
    file.write_text("[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n")
