"""The text side of a Hugging Face folder: prompts, bytes of tokens, and which markup the model writes."""
import json
from pathlib import Path

MARK = "\ue000message\ue001"  # stands for the question while the template is rendered
TAGS = ("branch", "branch_end", "title", "title_end", "para", "para_end")


def _byte_of_character():
    """Byte-level vocabularies write each byte as one printable character (GPT-2's table)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


class ByteLevelText:
    """What a Decoder wants of a tokenizer, from a byte-level BPE of `transformers`. Special tokens have no text."""

    def __init__(self, tokenizer):
        self._tokenizer, byte_of = tokenizer, _byte_of_character()
        added = tokenizer.added_tokens_decoder
        self.special = {token for token, entry in added.items() if entry.special}
        self._bytes = {}
        for piece, token in tokenizer.get_vocab().items():
            if token in added:
                self._bytes[token] = b"" if token in self.special else added[token].content.encode()
            elif all(character in byte_of for character in piece):
                self._bytes[token] = bytes(byte_of[character] for character in piece)
            else:
                raise ValueError(f"token {token} is {piece!r}: this vocabulary is not byte-level")
        self.n_tokens = max(self._bytes) + 1

    def to_text(self, tokens):
        return b"".join(self._bytes.get(token, b"") for token in tokens)

    def to_tokens(self, text):
        """Text that spells a special token stays text."""
        return self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)

    def parse(self, text):
        """Text that spells a special token becomes one."""
        return self._tokenizer.encode(text, add_special_tokens=False)

    def prompt(self, question):
        """The question in the model's chat template, where it cannot pass for special tokens."""
        if not self._tokenizer.chat_template:
            return self.to_tokens(question)
        if self.special.isdisjoint(self.parse(question)):
            return self.parse(self._render(question))
        before, after = self._render(MARK).split(MARK)
        return [*self.parse(before), *self.to_tokens(question), *self.parse(after)]

    def _render(self, content):
        messages = [{"role": "user", "content": content}]
        return self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    def token(self, text):
        found = self._tokenizer.get_vocab().get(text)
        if found is None:
            raise ValueError(f"the tokenizer has no token {text}: markup aspd needs a checkpoint trained with its tags")
        return found


def markup_settings(folder, has_chat_template):
    """`anabranch.json` beside config.json; without it the model was not trained to branch: skeleton, or serial for a
    model without a chat template."""
    file = Path(folder) / "anabranch.json"
    if file.exists():
        return json.loads(file.read_text())
    return {"markup": "skeleton" if has_chat_template else "serial"}


def markup_of(name, settings, text, options):
    """The `markup` of a Decoder. `options`: by markup, further fields of anb_markup."""
    own = options.get(name, {})
    if name == "skeleton":
        return {"name": name, **own}
    if name == "aspd":
        written = settings.get("tags", {})
        spelling = {tag: "<|/" + tag[: -len("_end")] + "|>" if tag.endswith("_end") else f"<|{tag}|>" for tag in TAGS}
        tags = {tag: text.token(written.get(tag, spelling[tag])) for tag in TAGS}
        return {"name": name, "title_separator": text.to_tokens(settings.get("title_separator", ":")), **tags, **own}
    return name


def positions_of(settings):
    """The checkpoint's position policy: 0 sequential, -1 longest, C reserved."""
    value = settings.get("positions", "sequential")
    return value["reserved"] if isinstance(value, dict) else {"sequential": 0, "longest": -1}[value]
