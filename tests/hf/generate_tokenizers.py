"""Makes random tokenizers and texts, and writes what the Python package `tokenizers` makes of them.

Usage: python3 generate_tokenizers.py SEED N            one JSON object per line, to the standard output
       python3 generate_tokenizers.py SEED N CHECKER    the same, given to a program; ends as that ends
       python3 generate_tokenizers.py record            writes recordings/generated.jsonl, the same bytes on every run

Each line has a tokenizer.json as "json", "texts": per text its "ids", those with the tokens around it ("around"), and
those with special tokens as text ("plain"); and "decoded": per list of ids its text, with special tokens and "skipped".
"""
import json
import os
import random
import subprocess
import sys
from pathlib import Path

from tokenizers import Tokenizer

HERE = Path(__file__).resolve().parent
LETTERS = "abcdeABCDE"
OTHERS = ["é", "É", "ß", "İ", "ﬁ", "ο", "Σ", "я", "你", "好", "ก", "ข้", "\u0301", "\u0316", "e\u0301", "ま", "ﾏ", "Ⅷ", "²", "½",
          "٣", "😀", "👍🏽", "ｶﾞ", "\u0656", "\u08cd", "\U00010d27", "\U00010f46", "\U0001e4f0", "\U0002ebf0", "\u1e9b\u0323", "ŉ",
          "각", "\u1100\u1161\u11a8", "Ġ", "ġ", "Ċ", "Ã", "©", "\U00011f50", "\u0897", "\ua7cb", "\U00010d50", "\U000113c5", "\u2ffc"]
MARKS = list(".,!?-_'\"()#$%&+<>=|~^`*/\\@[]{}:;") + ["…", "“", "。", "、", "¿", "«", "—", "॥", "\u061b", "\U00010eae", "\u2e5d"]
BLANKS = [" ", " ", " ", " ", "  ", "\n", "\t", "\r\n", "\u00a0", "\u3000", "\u2003", "\u200b", "\u0085", "\u180e"]
META = "▁"
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
PATTERNS = [r"\p{L}+", r"\s+", r"\d{1,3}", r"[^\s\p{L}\p{N}]+", r" ?\p{L}+|\s+", r"(?=\p{Lu})", r"a*", QWEN2,
            QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|", 1), r"\p{N}", r"[a-c]+", META, r"\p{M}", r"[\p{P}\p{S}]", r"\p{Nd}", r"[一-龥]+"]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
SCHEMES = ["always", "first", "never"]
BYTE_ALPHABET = [chr(c) for c in (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x144))]


class Maker:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.alphabet = []

    def one_in(self, n):
        return self.rng.randrange(n) == 0

    def some(self, values, least, most):
        return [self.rng.choice(values) for _ in range(self.rng.randint(least, most))]

    def characters(self):
        pools = [list(LETTERS), OTHERS, MARKS, ["0", "1", "7"], [META, " "], BYTE_ALPHABET]
        out = list(LETTERS[:5]) + [META]
        for pool in pools:
            if not self.one_in(3):
                out += self.some(pool, 1, len(pool) if len(pool) < 60 else 60)
        if self.one_in(3):
            out += BYTE_ALPHABET
        return sorted({c for text in out for c in text})

    def vocabulary(self, model):
        entries = list(self.alphabet)
        merges = []
        for _ in range(self.rng.randint(0, 90)):
            left, right = self.rng.choice(entries), self.rng.choice(entries)
            if len(left + right) > 8 or (left, right) in merges:
                continue
            merges.append((left, right))
            if left + right not in entries:
                entries.append(left + right)
        self.rng.shuffle(merges)
        entries += [e for e in ("abc", META + "de", "Ġab", "你好") if e not in entries and self.one_in(2)]
        if model["byte_fallback"]:
            entries += [f"<0x{b:02X}>" for b in range(256) if b > 127 or not self.one_in(40)]
        if model["unk_token"] and model["unk_token"] not in entries:
            entries.append(model["unk_token"])
        self.rng.shuffle(entries)
        model["vocab"] = {entry: i for i, entry in enumerate(entries)}
        as_text = not any(" " in side for pair in merges for side in pair) and self.one_in(2)
        model["merges"] = [" ".join(pair) for pair in merges] if as_text else [list(pair) for pair in merges]

    def model(self):
        model = {"type": "BPE", "dropout": None, "unk_token": self.rng.choice([None, None, "<unk>", "a"]),
                 "continuing_subword_prefix": None, "end_of_word_suffix": None, "fuse_unk": self.one_in(2),
                 "byte_fallback": self.one_in(2), "ignore_merges": self.one_in(3)}
        self.vocabulary(model)
        return model

    def pattern(self):
        return {"Regex": self.rng.choice(PATTERNS)} if self.one_in(2) else {
            "String": self.rng.choice([" ", META, "a", "ab", ".", "é", "  ", "\n"])}

    def sequence(self, key, make, most=3):
        return {"type": "Sequence", key: [make() for _ in range(self.rng.randint(0, most))]}

    def normalizer(self, depth=0):
        kind = self.rng.randrange(12 if depth == 0 else 10)
        if kind < 4:
            return {"type": ["NFC", "NFD", "NFKC", "NFKD"][kind]}
        if kind == 4:
            return {"type": self.rng.choice(["Lowercase", "Lowercase", "ByteLevel"])}
        if kind == 5:
            return {"type": "Prepend", "prepend": self.rng.choice([META, META, "ab", " "])}
        if kind in (6, 7):
            return {"type": "Replace", "pattern": self.pattern(), "content": self.rng.choice([META, " ", "", "bc", "é"])}
        if kind in (8, 9):
            return {"type": "Strip", "strip_left": self.one_in(2), "strip_right": self.one_in(2)}
        return self.sequence("normalizers", lambda: self.normalizer(1))

    def pre_tokenizer(self, depth=0):
        kind = self.rng.randrange(12 if depth == 0 else 8)
        if kind == 0:
            return {"type": "ByteLevel", "add_prefix_space": self.one_in(2), "trim_offsets": self.one_in(2),
                    "use_regex": self.one_in(2)}
        if kind == 1:
            return {"type": "Metaspace", "replacement": self.rng.choice([META, META, "_"]),
                    "prepend_scheme": self.rng.choice(SCHEMES), "split": self.one_in(2)}
        if kind in (2, 3):
            return {"type": "Split", "pattern": self.pattern(), "behavior": self.rng.choice(BEHAVIORS), "invert": self.one_in(2)}
        if kind == 4:
            return {"type": "Punctuation", "behavior": self.rng.choice(BEHAVIORS)}
        if kind == 5:
            return {"type": "Digits", "individual_digits": self.one_in(2)}
        if kind == 6:
            return {"type": "Whitespace"}
        if kind == 7:
            return {"type": "WhitespaceSplit"}
        return self.sequence("pretokenizers", lambda: self.pre_tokenizer(1))

    def decoder(self, depth=0):
        kind = self.rng.randrange(12 if depth == 0 else 7)
        if kind == 0:
            return {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
        if kind == 1:
            return {"type": "Metaspace", "replacement": self.rng.choice([META, "a"]), "prepend_scheme": self.rng.choice(SCHEMES),
                    "split": self.one_in(2)}
        if kind in (2, 3):
            return {"type": "Replace", "pattern": self.pattern(), "content": self.rng.choice([" ", " ", "", "xy"])}
        if kind == 4:
            return {"type": "ByteFallback"}
        if kind == 5:
            return {"type": "Fuse"}
        if kind == 6:
            return {"type": "Strip", "content": self.rng.choice([" ", "a"]), "start": self.rng.randrange(3),
                    "stop": self.rng.choice([0, 0, 0, 1])}
        if kind < 10:
            return {"type": "Sequence", "decoders": [
                {"type": "Replace", "pattern": {"String": META}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0}][:self.rng.randint(1, 4)]}
        return self.sequence("decoders", lambda: self.decoder(1), 4)

    def added_tokens(self, vocabulary):
        tokens, ids = [], dict(vocabulary)
        next_id = len(vocabulary)
        for _ in range(self.rng.choice([0, 0, 2, 4, 8])):
            content = self.rng.choice(["<s>", "</s>", "<|x|>", "<unk>", "[INST]", "ab", "a b", "  ", " ", "é!", "E\u0301x", "Ab", "\n\n",
                                       META, "Ġx", "ﬁ", "１"] + list(vocabulary))
            if content not in ids:
                ids[content] = next_id
                next_id += 1
            special = self.one_in(2)
            tokens.append({"id": ids[content], "content": content, "single_word": self.one_in(4), "lstrip": self.one_in(3),
                           "rstrip": self.one_in(3), "normalized": self.one_in(2), "special": special})
        return tokens

    def post_processor(self, tokens):
        ids = {token["content"]: token["id"] for token in tokens}
        if not ids or self.one_in(2):
            return None
        before, after = self.some(sorted(ids), 0, 2), self.some(sorted(ids), 0, 2)
        special = [{"SpecialToken": {"id": content, "type_id": 0}} for content in before + after]
        text = {"Sequence": {"id": "A", "type_id": 0}}
        template = {"type": "TemplateProcessing", "single": special[:len(before)] + [text] + special[len(before):],
                    "pair": [text, {"Sequence": {"id": "B", "type_id": 1}}],
                    "special_tokens": {c: {"id": c, "ids": [ids[c]], "tokens": [c]} for c in {*before, *after}}}
        byte_level = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
        return template if self.one_in(2) else {"type": "Sequence", "processors": [byte_level, template]}

    def tokenizer(self):
        self.alphabet = self.characters()
        model = self.model()
        tokens = self.added_tokens(model["vocab"])
        return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens,
                "normalizer": None if self.one_in(3) else self.normalizer(),
                "pre_tokenizer": None if self.one_in(4) else self.pre_tokenizer(),
                "post_processor": self.post_processor(tokens), "decoder": None if self.one_in(8) else self.decoder(),
                "model": model}

    def text(self, content):
        pools = [list(LETTERS), self.alphabet, BLANKS, BLANKS, MARKS, OTHERS, ["12", "3", "2024"], list(content["model"]["vocab"]),
                 [t["content"] for t in content["added_tokens"]] or ["a"]]
        blocks = [(0x20, 0x17F), (0x300, 0x36F), (0x600, 0x8FF), (0x900, 0x1FFF), (0x2000, 0x2FFF), (0x3000, 0x33FF),
                  (0xA640, 0xA7FF), (0xAC00, 0xD7A3), (0xF900, 0xFFFF), (0x10D00, 0x11FFF), (0x1D100, 0x1F1FF), (0, 0x1F)]
        out = ""
        for _ in range(self.rng.choice([0, 1, 2, 3, 6, 6, 12, 20])):
            if self.one_in(9):
                low, high = self.rng.choice(blocks)
                out += chr(self.rng.randint(low, high))
            else:
                out += self.rng.choice(self.rng.choice(pools))
        return out


def refused_here(content, tokenizer):
    """Is it one of the combinations that the library refuses by name?"""
    # The beginning of a text is not followed through everything.
    steps = content["pre_tokenizer"]
    flat = [] if steps is None else steps["pretokenizers"] if steps["type"] == "Sequence" else [steps]
    normal = content["normalizer"]
    normal = [] if normal is None else normal["normalizers"] if normal["type"] == "Sequence" else [normal]
    if any(n["type"] == "Replace" and n["pattern"].get("Regex") in (r"(?=\p{Lu})", "a*") for n in normal):
        return True  # matches an empty text, which the reference mixes up
    moves = any(n["type"] in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase", "ByteLevel") for n in normal)
    cuts = False
    for step in flat:
        if step["type"] == "Metaspace" and step["prepend_scheme"] == "first" and cuts and moves:
            return True
        cuts = cuts or step["type"] not in ("ByteLevel", "Metaspace") or step.get("use_regex", False) or step.get("split", False)
        moves = moves or step["type"] == "ByteLevel"
    # Two added tokens that become one when they are normalised (the reference takes either), or one that becomes empty.
    if tokenizer.normalizer is None:
        return False
    last = {token["content"]: token["normalized"] for token in content["added_tokens"]}
    forms = [tokenizer.normalizer.normalize_str(text) for text, normalized in last.items() if normalized]
    return len(set(forms)) < len(forms) or "" in forms


def attempt(call):
    """None where the reference panics."""
    try:
        return call()
    except Exception:
        return None
    except BaseException as panic:
        if type(panic).__name__ != "PanicException":
            raise
        return None


def row(seed):
    maker = Maker(seed)
    content = maker.tokenizer()
    tokenizer = attempt(lambda: Tokenizer.from_str(json.dumps(content)))
    if tokenizer is None or refused_here(content, tokenizer):
        return None
    texts, lists = [], []
    for _ in range(10):
        text = maker.text(content)
        tokenizer.encode_special_tokens = False
        ids = attempt(lambda: tokenizer.encode(text, add_special_tokens=False).ids)
        if ids is None:
            continue
        around = tokenizer.encode(text, add_special_tokens=True).ids
        tokenizer.encode_special_tokens = True
        plain = tokenizer.encode(text, add_special_tokens=False).ids
        tokenizer.encode_special_tokens = False
        texts.append({"text": text, "ids": ids, "around": around, "plain": plain})
        lists.append(around)
    highest = max([*content["model"]["vocab"].values(), *(token["id"] for token in content["added_tokens"])])
    lists += [maker.some(range(highest + 3), 0, 12) for _ in range(6)]
    byte_ids = [i for entry, i in content["model"]["vocab"].items() if entry.startswith("<0x")]
    if byte_ids:
        lists += [maker.some(byte_ids, 1, 5) + maker.some(range(highest), 0, 2) + maker.some(byte_ids, 0, 2) for _ in range(6)]
    decoded = []
    for ids in lists:
        text = attempt(lambda: tokenizer.decode(ids, skip_special_tokens=False))
        skipped = attempt(lambda: tokenizer.decode(ids, skip_special_tokens=True))
        if text is not None and skipped is not None:
            decoded.append({"ids": ids, "text": text, "skipped": skipped})
    return {"seed": seed, "json": content, "texts": texts, "decoded": decoded}


def rows(seed, n):
    for i in range(n):
        made = row(f"{seed} {i}")
        if made:
            yield json.dumps(made, ensure_ascii=False) + "\n"


def quietly():
    """The reference's panics write to the standard error."""
    os.environ["RUST_BACKTRACE"] = "0"
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def main():
    if sys.argv[1:] == ["record"]:
        quietly()
        with open(HERE / "recordings" / "generated.jsonl", "w", encoding="utf-8", newline="") as out:
            out.writelines(rows(1, 20))
    elif len(sys.argv) == 3:
        quietly()
        sys.stdout.reconfigure(encoding="utf-8")
        sys.stdout.writelines(rows(sys.argv[1], int(sys.argv[2])))
    elif len(sys.argv) == 4:
        checker = subprocess.Popen([sys.argv[3], "-"], stdin=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   encoding="utf-8")
        quietly()
        with checker.stdin as pipe:
            pipe.writelines(rows(sys.argv[1], int(sys.argv[2])))
        sys.exit(checker.wait())
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
