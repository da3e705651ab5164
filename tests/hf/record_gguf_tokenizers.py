#!/usr/bin/env python3
"""Records small vocabularies as GGUF files have them, and what transformers makes of text with them.

    record_gguf_tokenizers.py > recordings/gguf_tokenizers.json

Of each: architecture, tokens, types, scores or merges, and for every fourth line of recordings/lines.jsonl, and the
lines in EXTRA, the ids: with all special tokens found. transformers reads the metadata, as it does with a GGUF file.
"""
import json
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers.convert_slow_tokenizer import bytes_to_unicode
from transformers.integrations.gguf.gguf_tokenizer_mapping import convert_gguf_tokenizer

HERE = Path(__file__).parent
LINES = [json.loads(line) for line in (HERE / "recordings" / "lines.jsonl").read_text(encoding="utf-8").split("\n") if line]
TEXTS = [line for line in LINES if len(line) < 400]
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
EXTRA = ["a  b   c    d", "  two in front", "x\n\ny\n\n\nz\n", "<s>plain</s> text <b>bold</b>", "\tTab\t\tTabs", "tail   ",
         "<0x41>", "<unk>", "a<eos>b <bos> c", "\u2581\u2581 marks \u2581", "<tool> <tool>x", "e\u0301 \u00e9 \u212b",
         "abc123def4567", "I'M you'll they'VE", "CamelCaseWords and_snakes", "a/b//c\n/d"]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def pieces(normalizer, n: int) -> list[str]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=n, limit_alphabet=120, show_progress=False))
    return [text for text, _ in sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])]


def llama() -> dict:
    """A vocabulary by scores with a space in front, some of them equal."""
    added = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
    bytes_ = [(text, BYTE) for text in BYTES]
    mark = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    found = [text for text in pieces(mark, 700) if text not in ("<", ">", "<unk>", "<s>", "</s>", "<tool>")]
    whole = added + bytes_ + [(text, NORMAL) for text in found] + [("<tool>", USER_DEFINED), ("<", NORMAL), (">", NORMAL)]
    scores = [0.0] * 259 + [-float(i // 3 * 3 if i % 50 < 10 else i) for i in range(len(whole) - 259)]
    return {"architecture": "llama", "as": "phi3", "model": "llama", "pre": "default", "types": [t for _, t in whole],
            "tokens": [text for text, _ in whole], "scores": scores, "add_space_prefix": True, "bos": 1, "eos": 2,
            "unk": 0}


def gemma() -> dict:
    """Gemma's: no space in front, tokens of several spaces and line breaks, scores that do not order the merges."""
    added = [("<pad>", CONTROL), ("<eos>", CONTROL), ("<bos>", CONTROL), ("<unk>", CONTROL), ("<mask>", CONTROL)]
    added += [("\n" * n, USER_DEFINED) for n in range(1, 6)] + [(" " * n, USER_DEFINED) for n in range(2, 6)]
    added += [("<b>", USER_DEFINED), ("</b>", USER_DEFINED)]
    taken = {text for text, _ in added}
    found = [text for text in pieces(normalizers.Replace(" ", "\u2581"), 700) if text not in taken]
    whole = added + [(text, BYTE) for text in BYTES] + [(text, NORMAL) for text in found]
    scores = [-1000.0 if kind in (CONTROL, USER_DEFINED) else -float(i * 7 % 101) for i, (_, kind) in enumerate(whole)]
    return {"architecture": "gemma3", "as": "gemma3", "model": "llama", "pre": "default", "types": [t for _, t in whole],
            "tokens": [text for text, _ in whole], "scores": scores, "add_space_prefix": False, "bos": 2, "eos": 1,
            "unk": 3}


def byte_level(pre: str) -> dict:
    """Merges, and a name for how text is cut. (ignore_merges, which transformers does not take from the name, makes no
    difference: every token is what its merges make.)"""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(bytes_to_unicode().values())
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet,
                                                             show_progress=False))
    model = json.loads(tokenizer.to_str())["model"]
    tokens = [text for text, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
    types = [NORMAL] * len(tokens) + [CONTROL, CONTROL, USER_DEFINED, CONTROL]
    tokens += ["<s>", "</s>", "<tool>", "<|endoftext|>"]
    return {"architecture": "llama", "as": "llama", "model": "gpt2", "pre": pre, "types": types, "tokens": tokens,
            "merges": [" ".join(merge) for merge in model["merges"]], "bos": len(tokens) - 4, "eos": len(tokens) - 3}


def summary(ids: list[int]) -> str:
    total = 0xCBF29CE484222325
    for token in ids:
        for byte in token.to_bytes(4, "little"):
            total = (total ^ byte) * 0x100000001B3 % 2**64
    return f"{len(ids)} {total:016x}"


def main() -> None:
    recorded = []
    for made in (llama(), gemma(), *(byte_level(pre) for pre in ("llama-bpe", "tekken", "dbrx", "gpt-4o", "gpt-2"))):
        tokenizer_dict = {"tokenizer_type": made["model"], "pre_tokenizer_type": made["pre"], "tokens": made["tokens"],
                          "token_type": made["types"], "scores": made.get("scores")}
        if "merges" in made:
            tokenizer_dict["merges"] = made["merges"]
        backend, _ = convert_gguf_tokenizer(made["as"], tokenizer_dict)
        encode = lambda text: backend.encode(text, add_special_tokens=False).ids  # noqa: E731
        made["lines"] = [summary(encode(line)) for line in LINES[::4]]
        made["extra"] = [[text, encode(text), backend.decode(encode(text), skip_special_tokens=False)] for text in EXTRA]
        del made["as"]
        recorded.append(made)
    print(json.dumps(recorded, ensure_ascii=False))


main()
