"""Records what the Python packages `tokenizers`, `transformers` and `unicodedata` say, for the tests of hf/.

Usage: python3 record_tokenizer.py MODEL_FOLDER TEMPLATES_FOLDER
       (the converted SmolLM2-135M-Instruct; build/llama/models/templates; writes into recordings/)

Writes, the same bytes on every run:
  lines.jsonl            one JSON string per line: mixed text, made here
  smollm2.ids            per line of lines.jsonl the token ids, space-separated
  qwen2.sums, llama3.sums, prefix.sums             per line "number of ids, FNV-1a of the ids", to keep them small
  qwen2.json, llama3.json, prefix.json             small tokenizers of those shapes, trained here on those lines
  surround.jsonl         {"tokenizer", "text", "ids", "plain", "skipped"}: with the tokens around the text; specials as text
  chat.sums              per line "chat template, sum", or "chat template, number of the conversation in
                         conversations.json, start of the answer, thinking, sum of what was rendered"; a sum is "number of
                         bytes, FNV-1a of the bytes". The templates are other people's and stay in their packages.
  rope.json              inverse frequencies
"""
import json
import random
import sys
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).resolve().parent / "recordings"

QWEN2_SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
               r"|\s+(?!\S)|\s+")
LLAMA3_SPLIT = QWEN2_SPLIT.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)

WORDS = {
    "latin": "the of branch fork join river stream decode token cache Exercise HEALTH don't it's we'll I'd they've CAN'T "
             "You'RE naïve café façade Straße ﬁnd ſo 'ſ ÆØÅ İstanbul ŉ Ǆ ǆ Müller-Lüdenscheidt e.g. U.S.A.".split(),
    "cyrillic": "привет мир река Ветвь слово ЁЖИК ґанок".split(),
    "greek": "ποταμός κλάδος ΣΊΣΥΦΟΣ ς ῾Ελλάς".split(),
    "cjk": ["你好", "世界", "河流", "分支", "東京", "ひらがな", "カタカナ", "ｶﾀｶﾅ", "한국어", "강", "㐀㐁", "𠀀𠀁", "「引用」", "，。！"],
    "arabic": ["مرحبا", "نهر", "العَرَبِيَّة", "فرع", "١٢٣", "۴۵۶", "שלום", "עִבְרִית"],
    "indic": ["नमस्ते", "नदी", "शाखा", "क्षत्रिय", "१२३", "বাংলা", "தமிழ்", "తెలుగు", "ไทย", "แม่น้ำ", "ລາວ", "မြန်မာ"],
    "emoji": ["😀", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇫🇷🇯🇵", "❤️", "🧑🏿‍🚀", "☕️", "🤷🏼‍♀️", "1️⃣", "#️⃣", "🫠", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"],
    "combining": ["e\u0301", "n\u0303o", "a\u0308\u0304", "o\u0302\u0301", "\u0301", "x\u0323\u0307", "q\u0307\u0323",
                  "\u1100\u1161\u11a8", "\uac00\u11a8", "\u0915\u093c", "\u212b", "\u2126", "\uf900", "\u0344", "\u0958",
                  "\u1e9b\u0323", "\u0f73", "Z\u0335\u0321a\u0327\u0328l\u0353\u035bg\u0324o"],
    "digits": ["1", "42", "2024", "3.14159", "1,000,000", "1e-5", "0xFF", "½", "²", "Ⅷ", "①②", "৩৪", "100%", "$5.00",
               "12:34:56", "1234567890123", "٣٫٥"],
    "code": ["def f(x):", "return x**2", "for(int i=0;i<n;++i){", "}", "std::vector<int>", "a->b", "x!=y", "&&", "//",
             "/* c */", "#include", "```python", "$HOME", "https://example.org/a?b=c&d=%20", "\\n", "<div class=\"a\">",
             "</div>", "{{", "}}", "SELECT * FROM t;", "===", "!!!", "...", "----------", "__init__", "camelCaseName",
             "snake_case_name", "🙂:)", "::", "'s", "'S", "'ll", "''", "\"\"", "(", ")", "[]"],
    "special": ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start", "im_end|>", "<repo_name>", "<filename>",
                "<|begin_of_text|>", "<|eot_id|>", "<|im_start|><|im_start|>", "<tool>", "<tool_call>", "<mask>",
                "caf\u00e9!", "cafe\u0301!", "<|im_<|im_end|>"],
    "control": ["\x00", "\x01", "\x04", "\x06", "\x07", "\x08", "\x13", "\x14", "\x16", "\x1b[0m", "\x1c", "\x1d", "\x1f",
                "\x7f", "\x80", "\x9f", "\ufeff", "\ufffd", "\ufffe", "\uffff", "\U0010ffff", "\u200b", "\u200e", "\u2060",
                "\u00ad", "\ue000", "\U000f0000", "\u0378"],
}
SPACES = [" ", " ", " ", " ", " ", " ", "  ", "   ", "\t", "\t\t", "\n", "\n\n", "\r\n", "\r", " \n", "\n ", "  \n  ", "\u00a0",
          "\u2003", "\u3000", "\u202f", "\u1680", "\u180e", "\u2028", "\u2029", "\x0b", "\x0c", "\x85", "\u205f", "", "",
          "          ", " \t \n\t  \r\n "]


def make_lines():
    rng = random.Random(20250811)
    kinds = list(WORDS)
    lines = ["", " ", "  ", "\n", "\t", "a", " a", "a ", "\r\n\r\n", "\u00a0", "\u180e", " \u180e a", "'ſ 'S 's"]
    for kind in kinds:
        lines += WORDS[kind]
        lines += [" " + word for word in WORDS[kind][:6]]
    while len(lines) < 2600:
        mix = rng.sample(kinds, rng.choice([1, 1, 2, 3])) + ["latin"]
        parts = []
        for _ in range(rng.randint(1, 12)):
            parts.append(rng.choice(WORDS[rng.choice(mix)]))
            parts.append(rng.choice(SPACES))
        lines.append("".join(parts))
    blocks = [(0x20, 0x17f), (0x20, 0x7e), (0x300, 0x36f), (0x370, 0x5ff), (0x600, 0x1fff), (0x2000, 0x2bff), (0x3000, 0x9fff),
              (0xac00, 0xd7a3), (0xf900, 0xfdff), (0x1d400, 0x1d7ff), (0x1f300, 0x1faff), (0x0, 0x1f)]
    for _ in range(400):  # any characters
        low, high = rng.choice(blocks)
        lines.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 20))))
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    for length in (100, 1000, 4000):  # very long words and runs
        lines.append("".join(rng.choice(alphabet) for _ in range(length)))
        lines.append("a" * length)
        lines.append(" " * length + "x")
        lines.append("\n" * length)
        lines.append("ab" * (length // 2))
    return lines


def train(lines, split, vocabulary, **model):
    """A byte-level BPE tokenizer. Some bytes stay without a token, as in real ones."""
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, show_progress=False, special_tokens=[],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(lines, trainer)
    return tokenizer


def qwen2(lines):
    split = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN2_SPLIT), "isolated", invert=False),
                                     pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = train(lines, split, 2000)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False)
                                  for text in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")])
    tokenizer.add_tokens([AddedToken("<tool_call>", special=False, normalized=False),
                          AddedToken("<tool>", special=False, normalized=True),
                          AddedToken("café!", special=False, normalized=True),
                          AddedToken("<mask>", special=False, normalized=False, lstrip=True, rstrip=True)])
    return tokenizer


def llama3(lines):
    split = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3_SPLIT), "isolated", invert=False),
                                     pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = train(lines, split, 2000, ignore_merges=True)
    # A whole word that no merge leads to: only ignore_merges gives it.
    content = json.loads(tokenizer.to_str())
    content["model"]["vocab"]["Ġzyzzyva"] = len(content["model"]["vocab"])
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False)
                                  for text in ("<|begin_of_text|>", "<|eot_id|>", "<|im_end|>")])
    begin = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=False),
        processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|> $B",
                                      special_tokens=[("<|begin_of_text|>", begin)])])
    return tokenizer


def prefix(lines):
    """GPT-2's own pattern with a space before each piece, numbers as one piece, tokens at both ends, an unknown token."""
    split = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=False),
                                     pre_tokenizers.ByteLevel(add_prefix_space=True, use_regex=True)])
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=False))
    tokenizer.pre_tokenizer = split
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator([line for line in lines if line.isascii()],
                                  trainers.BpeTrainer(vocab_size=600, show_progress=False, special_tokens=["<unk>"]))
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A $B </s>",
        special_tokens=[(text, tokenizer.token_to_id(text)) for text in ("<s>", "</s>")])
    return tokenizer


def with_text_merges(tokenizer_json):
    """Merges as "a b" strings, as older files have them."""
    content = json.loads(tokenizer_json)
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    return json.dumps(content, ensure_ascii=False)


def write(name, text):
    (HERE / name).write_text(text, encoding="utf-8", newline="\n")


def encode_all(tokenizer, lines):
    return [tokenizer.encode(line, add_special_tokens=False).ids for line in lines]


def fnv1a(content):
    total = 0xCBF29CE484222325
    for byte in content:
        total = (total ^ byte) * 0x100000001B3 % 2**64
    return total


def fnv1a_of_ids(ids):
    return fnv1a(b"".join(token.to_bytes(4, "little") for token in ids))


def record_ids(name, tokenizer, lines):
    write(name + ".ids", "".join(" ".join(map(str, ids)) + "\n" for ids in encode_all(tokenizer, lines)))


def record_sums(name, tokenizer, lines):
    write(name + ".sums", "".join(f"{len(ids)} {fnv1a_of_ids(ids):016x}\n" for ids in encode_all(tokenizer, lines)))


def record_surround(tokenizers):
    texts = ["", "Hello there", "a<|im_end|>b <|eot_id|>\n", " zyzzyva zyzzyva", "<s>x</s> 12 345", "  <mask>  <mask> x<mask>",
             "<tool_call><tool>cafe\u0301!", "<|begin_of_text|>", "\x04\x06\u00e9 unknown"]
    rows = []
    for name, tokenizer in tokenizers.items():
        for text in texts:
            tokenizer.encode_special_tokens = False
            ids = tokenizer.encode(text, add_special_tokens=True).ids
            tokenizer.encode_special_tokens = True
            plain = tokenizer.encode(text, add_special_tokens=False).ids
            tokenizer.encode_special_tokens = False
            # An accented added token is read as byte alphabet, and its bytes become U+FFFD: left out.
            skipped = tokenizer.decode(ids, skip_special_tokens=True)
            rows.append(json.dumps({"tokenizer": name, "text": text, "ids": ids, "plain": plain,
                                    "skipped": None if "\ufffd" in skipped else skipped}))
    write("surround.jsonl", "\n".join(rows) + "\n")


# Of the templates that llama.cpp carries, those that are supported.
PACKAGED = ("Qwen-Qwen2.5-7B-Instruct", "MiMo-VL", "Qwen-Qwen3-0.6B", "Qwen-QwQ-32B", "meta-llama-Llama-3.1-8B-Instruct",
            "meta-llama-Llama-3.2-3B-Instruct", "meta-llama-Llama-3.3-70B-Instruct")
CHOOSES_THINKING = "Qwen-Qwen3-0.6B"
ANSWERS_QUESTIONS = "Qwen-QwQ-32B"  # supported where a question comes last


def text_sum(text):
    content = text.encode()
    return f"{len(content)} {fnv1a(content):016x}"


def record_chat(folder, templates_folder):
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(folder)
    files = [*(templates_folder / f"{name}.jinja" for name in PACKAGED), *sorted((HERE.parent / "templates").glob("*.jinja"))]
    templates = [(file.stem, file.read_text(encoding="utf-8")) for file in files] + [("SmolLM2", tokenizer.chat_template)]
    tokenizer.bos_token = "<|begin_of_text|>"
    chats = json.loads((HERE.parent / "conversations.json").read_text(encoding="utf-8"))
    rows = []
    for name, tokenizer.chat_template in templates:
        rows.append(f"{name} {text_sum(tokenizer.chat_template)}")
        for i, chat in enumerate(chats):
            if name == ANSWERS_QUESTIONS and chat[-1]["role"] != "user":
                continue
            for start in (False, True):
                for thinking in (True, False) if name == CHOOSES_THINKING else (True,):
                    text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=start,
                                                         enable_thinking=thinking, date_string="26 Jul 2024")
                    rows.append(f"{name} {i} {'add' if start else 'none'} {'as_trained' if thinking else 'off'} {text_sum(text)}")
    write("chat.sums", "\n".join(rows) + "\n")


def record_rope():
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
    scaling = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 8192}
    config = LlamaConfig(hidden_size=4096, max_position_embeddings=131072, num_attention_heads=32, rope_parameters=scaling)
    frequencies, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = [1.0 / 100000.0 ** (2 * i / 64) for i in range(32)]
    write("rope.json", json.dumps({"llama3": frequencies.tolist(), "plain": plain}) + "\n")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder, templates = Path(sys.argv[1]), Path(sys.argv[2])
    HERE.mkdir(exist_ok=True)
    lines = make_lines()
    write("lines.jsonl", "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    training = [line for line in lines if len(line) < 500]
    made = {"qwen2": qwen2(training), "llama3": llama3(training), "prefix": prefix(training)}
    for name, tokenizer in made.items():
        content = tokenizer.to_str(pretty=False)
        write(name + ".json", with_text_merges(content) if name == "llama3" else content)
        record_sums(name, tokenizer, lines)
    record_ids("smollm2", Tokenizer.from_file(str(folder / "tokenizer.json")), lines)
    record_surround(made)
    record_chat(folder, templates)
    record_rope()


if __name__ == "__main__":
    main()
