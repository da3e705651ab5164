#!/usr/bin/env python3
"""Records what the Python package gguf makes of random blocks of each type: recordings/gguf_blocks.txt.

    record_gguf_blocks.py > recordings/gguf_blocks.txt

A line is the type's number and name, the blocks' bytes and the values' bits, both in hexadecimal.
"""
import random

import numpy
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

# type -> (number of blocks, offsets of its 16-bit floats)
TYPES = {"F32": (4, ()), "F16": (4, (0,)), "BF16": (4, ()), "Q4_0": (4, (0,)), "Q4_1": (4, (0, 2)), "Q5_0": (4, (0,)),
         "Q5_1": (4, (0, 2)), "Q8_0": (4, (0,)), "Q4_K": (2, (0, 2)), "Q5_K": (2, (0, 2)), "Q6_K": (2, (208,))}


def random_block(rng: random.Random, n_bytes: int, halves) -> bytes:
    block = bytearray(rng.randbytes(n_bytes))
    for at in halves:  # finite numbers, subnormal ones among them
        half = rng.randrange(2) << 15 | rng.choice([0, 1, rng.randrange(31)]) << 10 | rng.randrange(1024)
        block[at:at + 2] = half.to_bytes(2, "little")
    return bytes(block)


def main() -> None:
    rng = random.Random(20261201)
    for name, (n_blocks, halves) in TYPES.items():
        kind = GGMLQuantizationType[name]
        size = GGML_QUANT_SIZES[kind][1]
        if name in ("F32", "BF16"):
            values = numpy.array([rng.uniform(-9, 9) for _ in range(n_blocks)], numpy.float32)
            data = values.tobytes() if name == "F32" else (values.view(numpy.uint32) >> 16).astype(numpy.uint16).tobytes()
        else:
            data = b"".join(random_block(rng, size, halves) for _ in range(n_blocks))
        floats = dequantize(numpy.frombuffer(data, numpy.uint8), kind).astype(numpy.float32)
        print(kind.value, name, data.hex(), floats.view(numpy.uint32).astype(">u4").tobytes().hex())


main()
