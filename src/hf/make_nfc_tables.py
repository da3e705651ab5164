"""Writes nfc_tables.inc: what canonical composition (Unicode Annex 15) needs to know about characters.

Usage: python3 make_nfc_tables.py > nfc_tables.inc
"""
import sys
import unicodedata

HANGUL = range(0xAC00, 0xD7A4)  # composed and decomposed by arithmetic


def rows(entries, width=118):
    line = ""
    for entry in entries:
        if len(line) + len(entry) + 1 > width:
            yield line.rstrip()
            line = ""
        line += entry + " "
    if line:
        yield line.rstrip()


def main():
    classes, decompositions = [], []
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if 0xD800 <= code < 0xE000 or code in HANGUL:
            continue
        if unicodedata.combining(char):
            classes.append((code, unicodedata.combining(char)))
        parts = unicodedata.decomposition(char)
        if parts and not parts.startswith("<"):
            codes = [int(part, 16) for part in parts.split()]
            first, second = codes[0], codes[1] if len(codes) == 2 else 0
            composes = second != 0 and unicodedata.normalize("NFC", char) == char
            decompositions.append((code, first, second, composes))
    print(f"// Written by make_nfc_tables.py from Unicode {unicodedata.unidata_version}; not to be edited.")
    print("// clang-format off")
    runs = []  # consecutive characters of one class
    for code, value in classes:
        if runs and runs[-1][1] == code and runs[-1][2] == value:
            runs[-1][1] = code + 1
        else:
            runs.append([code, code + 1, value])
    print(f"constexpr std::array<ClassRun, {len(runs)}> kClasses{{{{")
    print("\n".join(rows(f"{{{a:#x},{b:#x},{v}}}," for a, b, v in runs)))
    print("}};")
    print(f"constexpr std::array<Decomposition, {len(decompositions)}> kDecompositions{{{{")
    print("\n".join(rows(f"{{{c:#x},{a:#x},{b:#x},{int(k)}}}," for c, a, b, k in decompositions)))
    print("}};")
    print("// clang-format on")


if __name__ == "__main__":
    main()
