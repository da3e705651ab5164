"""Records canonical composition (NFC) as Python's `unicodedata` gives it, for normal_forms_test.cpp.

Usage: python3 record_nfc.py    (writes recordings/nfc.tsv, the same bytes on every run with the same Unicode version)

Per line a text, a tab and its NFC: every character that NFC changes, every canonical decomposition outside Hangul, and
strings of letters and combining marks in any order.
"""
import random
import unicodedata
from pathlib import Path

HANGUL = range(0xAC00, 0xD7A4)
N_STRINGS = 1000


def texts():
    characters = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000 and c not in HANGUL]
    decomposed = {c: unicodedata.normalize("NFD", c) for c in characters}
    yield from (c for c in characters if unicodedata.normalize("NFC", c) != c)
    yield from (text for c, text in decomposed.items() if text != c)
    rng = random.Random(1)
    marks = [c for c in characters if unicodedata.combining(c)]
    joining = sorted({part for c, text in decomposed.items() if text != c for part in text})
    composed = [c for c, text in decomposed.items() if text != c]
    for _ in range(N_STRINGS):
        yield "".join(rng.choice(rng.choice([marks, joining, joining, composed])) for _ in range(rng.randint(2, 8)))


def main():
    with open(Path(__file__).resolve().parent / "recordings" / "nfc.tsv", "w", encoding="utf-8", newline="") as out:
        for text in texts():
            out.write(text + "\t" + unicodedata.normalize("NFC", text) + "\n")


if __name__ == "__main__":
    main()
