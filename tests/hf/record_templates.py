"""Records what `transformers` renders, for the tests of chat templates in hf/.

Usage: python3 record_templates.py TEMPLATES_FOLDER
       (build/jinja/models/templates; writes into recordings/, the same bytes on every run)

Writes
  templates.sums  per template of the folder "name sum", then per chat of template_chats.json "name number none add":
                  the sums of what was rendered without and with the start of an answer, "-" where transformers refuses.
                  A sum is the FNV-1a of the bytes. The templates are other people's and stay where they are.
  jinja.jsonl     one construct of Jinja a line, {"template", "text"}; text null: refused. A new construct is written into
                  it by hand, its text by this.
"""
import datetime
import json
import sys
from pathlib import Path

from transformers.utils import chat_template_utils

HERE = Path(__file__).resolve().parent


class FixedDate(datetime.datetime):
    @classmethod
    def now(cls):
        return cls(2024, 7, 26, 12)


chat_template_utils.datetime = FixedDate
TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}


def fnv1a(text):
    total = 0xCBF29CE484222325
    for byte in text.encode():
        total = (total ^ byte) * 0x100000001B3 % 2**64
    return f"{total:016x}"


def render(template, chat, start):
    try:
        return chat_template_utils.render_jinja_template([chat], chat_template=template, add_generation_prompt=start,
                                                         **TOKENS)[0][0]
    except Exception:  # whatever a template's author or Jinja refuses
        return None


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    chats = json.loads((HERE / "template_chats.json").read_text(encoding="utf-8"))
    rows = []
    for file in sorted(Path(sys.argv[1]).glob("*.jinja")):
        template = file.read_text(encoding="utf-8")
        rows.append(f"{file.stem} {fnv1a(template)}")
        for i, chat in enumerate(chats):
            texts = [render(template, chat, start) for start in (False, True)]
            rows.append(f"{file.stem} {i} " + " ".join("-" if text is None else fnv1a(text) for text in texts))
    (HERE / "recordings/templates.sums").write_text("\n".join(rows) + "\n", encoding="utf-8", newline="\n")
    chat = [{"role": "system", "content": "Be <brief>."}, {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "é"}]
    constructs = HERE / "recordings/jinja.jsonl"
    rows = []
    for line in constructs.read_text(encoding="utf-8").rstrip("\n").split("\n"):
        template = json.loads(line)["template"]
        rows.append(json.dumps({"template": template, "text": render(template, chat, True)}, ensure_ascii=False))
    constructs.write_text("\n".join(rows) + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
