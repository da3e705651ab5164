"""Writes src/hf/unicode_tables.hpp: what the Python package `tokenizers` knows of Unicode, character by character; and
recordings/unicode.sums, which says the same to the tests in sums.

Usage: python3 record_unicode.py    (the same bytes on every run with the same versions of `tokenizers` and Python)

Its parts have tables of different Unicode versions: normalisation 9.0, patterns 16.0, numbers and lower case 17.0. The
library follows each of them, whatever versions PCRE2 and utf8proc have.
"""
import unicodedata
from pathlib import Path

import tokenizers
from tokenizers import Regex, normalizers, pre_tokenizers

SUMS = Path(__file__).resolve().parent / "recordings" / "unicode.sums"
OUT = Path(__file__).resolve().parents[2] / "src" / "hf" / "unicode_tables.hpp"
CHARACTERS = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
CATEGORIES = ("Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn").split()
MARKS = ["\u0334", "\u0345"]  # of the lowest and the highest combining class
# Characters of a category that all versions know, by the length of their UTF-8.
STAND_INS = {3: dict(Mn=0x302A, Mc=0x903, Po=0x2016, Lu=0x1E00, Ll=0x1E01, So=0x2300),
             4: dict(Mn=0x101FD, Mc=0x11000, Po=0x10100, Lu=0x10400, Ll=0x10428, So=0x1F300, Lo=0x10000, Lm=0x16B40,
                     Nd=0x104A0, No=0x10107, Pd=0x10EAD, Sm=0x1D6C1, Cf=0x110BD)}


def chunks():
    for k in range(0, len(CHARACTERS), 20000):
        yield CHARACTERS[k:k + 20000]


def kept(splitter):
    """Characters that a pre-tokenizer does not remove."""
    out = set()
    for part in chunks():
        for _, (begin, end) in splitter.pre_tokenize_str("".join(map(chr, part))):
            out.update(part[begin:end])
    return out


def in_category(name):
    return kept(pre_tokenizers.Split(Regex(r"\p{%s}+" % name), "removed", invert=True))


def numeric():
    out = set()
    for part in chunks():
        text = "".join("a" + chr(c) for c in part)
        out.update(part[begin // 2] for _, (begin, end) in pre_tokenizers.Digits(True).pre_tokenize_str(text)
                   if end - begin == 1 and begin % 2 == 1)
    return out


def word():
    out = set()
    for part in chunks():
        text = "".join("a" + chr(c) + " " for c in part)
        out.update(part[begin // 3] for _, (begin, end) in pre_tokenizers.Whitespace().pre_tokenize_str(text)
                   if end - begin == 2 and begin % 3 == 0)
    return out


def changes(normalizer):
    results = {c: normalizer.normalize_str(chr(c)) for c in CHARACTERS}
    return {c: text for c, text in results.items() if text != chr(c)}


def newer():
    """Characters whose normalisation `tokenizers` does not know, and those that later versions of Unicode may assign.

    In few ranges, without a character that it does know."""
    decompose = normalizers.NFD()
    canonical, compatible = changes(decompose), changes(normalizers.NFKD())
    known = set(canonical) | set(compatible) | {ord(part) for text in canonical.values() for part in text}
    for c in CHARACTERS:
        low, high = MARKS
        for text in ("a" + high + chr(c), "a" + chr(c) + low):
            if c not in canonical and decompose.normalize_str(text) != text:
                known.add(c)
    unknown = set()
    for c in CHARACTERS:
        character = chr(c)
        later = unicodedata.normalize("NFD", character)
        if later != canonical.get(c, character):
            unknown.update({ord(part) for part in later} - known)
        if c not in known and (unicodedata.category(character) == "Cn" or unicodedata.combining(character) or
                               unicodedata.normalize("NFKD", character) != character):
            unknown.add(c)
    ranges, run = [], None
    for c in CHARACTERS:
        if c in known:
            run = None
        elif c in unknown:
            if run is None:
                run = [c, c]
                ranges.append(run)
            run[1] = c
    return ranges


def later_categories():
    """Runs of characters that Unicode 14 has in another category, each with a character that stands in for it."""
    runs = []
    for name in CATEGORIES:
        for c in sorted(in_category(name)):
            if unicodedata.category(chr(c)) == name or name == "Cn":
                continue
            stand_in = STAND_INS[len(chr(c).encode())][name]
            if runs and runs[-1][1] == c - 1 and runs[-1][2] == stand_in:
                runs[-1][1] = c
            else:
                runs.append([c, c, stand_in])
    return sorted(runs)


def runs_of(characters):
    runs = []
    for c in sorted(characters):
        if runs and runs[-1][1] == c - 1:
            runs[-1][1] = c
        else:
            runs.append([c, c])
    return runs


def lower_case():
    """Runs (first, last, step, distance); the one character that becomes two is left to the code."""
    runs = []
    for c, text in sorted(changes(normalizers.Lowercase()).items()):
        if len(text) > 1:
            assert (c, text) == (0x130, "i\u0307")
            continue
        distance = ord(text) - c
        last = runs[-1] if runs else None
        if last and last[3] == distance and c - last[1] in (1, 2) and last[2] in (0, c - last[1]):
            last[1], last[2] = c, c - last[1]
        else:
            runs.append([c, c, 0, distance])
    return [[first, last, step or 1, distance] for first, last, step, distance in runs]


def fnv1a(content):
    total = 0xCBF29CE484222325
    for byte in content:
        total = (total ^ byte) * 0x100000001B3 % 2**64
    return total


def sums(punctuation):
    """Lines "name, number, sum": of the normal forms of some characters, 8192 to a line, each alone and between marks; of
    the stretches that a category matches; of the characters of a kind. All are in the first two planes."""
    some = [c for c in CHARACTERS if 0x80 <= c < 0x20000]
    low, high = MARKS
    for name in ("NFC", "NFD", "NFKC", "NFKD"):
        form = getattr(normalizers, name)()
        for first in range(0, 0x20000, 0x2000):
            text = "".join(f"\n{chr(c)}\n{high}{chr(c)}{low}" for c in some if first <= c < first + 0x2000)
            yield f"{name} {first} {fnv1a(form.normalize_str(text).encode()):016x}\n"
    text = "".join(map(chr, some))
    for name in ("L", "Lu", "Ll", "Lm", "Lo", "M", "N", "Nd", "P", "S", "Z", "Cf"):
        pieces = pre_tokenizers.Split(Regex(r"\p{%s}+" % name), "removed", invert=True).pre_tokenize_str(text)
        yield f"{name} {len(pieces)} {fnv1a(''.join(piece + chr(10) for piece, _ in pieces).encode()):016x}\n"
    kinds = {"numeric": numeric(), "punctuation": punctuation, "word": word()}
    for name, kind in kinds.items():
        kind = [c for c in some if c in kind]
        yield f"{name} {len(kind)} {fnv1a(''.join(map(chr, kind)).encode()):016x}\n"
    lower = normalizers.Lowercase().normalize_str(text)
    yield f"lower {len(lower)} {fnv1a(lower.encode()):016x}\n"


def table(comment, kind, name, rows):
    lines, line = [], " "
    for row in rows:
        item = " {" + ", ".join(f"{x:#x}" if x >= 0 else str(x) for x in row) + "},"
        if len(line + item) > 118:
            lines.append(line)
            line = " "
        line += item
    return f"/// {comment}\ninline constexpr {kind} {name}[] = {{\n" + "\n".join(lines + [line]) + "\n};\n\n"


def main():
    assert unicodedata.unidata_version == "14.0.0", "stand-ins are chosen for the least version of PCRE2: Unicode 14"
    punctuation = set(CHARACTERS) - kept(pre_tokenizers.Punctuation("removed"))
    out = ("// Made by tests/hf/record_unicode.py: what the Python package `tokenizers` "
           f"{tokenizers.__version__} knows of Unicode.\n#pragma once\n\n#include <cstdint>\n\n"
           "// clang-format off\nnamespace anabranch::hf::impl {\n\n"
           "struct CharRange { char32_t first, last; };\n"
           "struct LowerRange { char32_t first, last, step; std::int32_t distance; };\n"
           "struct StandIn { char32_t first, last, other; };\n\n")
    out += table("Numbers of any kind.", "CharRange", "kNumeric", runs_of(numeric()))
    out += table("Punctuation, with the signs of ASCII.", "CharRange", "kPunctuation", runs_of(punctuation))
    out += table("Letters, marks, decimal digits, connectors: what `\\w` means.", "CharRange", "kWord", runs_of(word()))
    out += table("Characters that have a lower case.", "LowerRange", "kLower", lower_case())
    out += table("Characters whose normalisation `tokenizers` does not know: they stay as they are, and nothing is\n"
                 "/// ordered or composed across them.", "CharRange", "kNewer", newer())
    out += table("Characters that Unicode 14 has in another general category than patterns do, with one of the same\n"
                 "/// category and length.", "StandIn", "kLaterCategory", later_categories())
    OUT.write_text(out + "}  // namespace anabranch::hf::impl\n", encoding="utf-8")
    SUMS.write_text("".join(sums(punctuation)), encoding="utf-8")


if __name__ == "__main__":
    main()
