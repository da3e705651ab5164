"""Finding and calling libanabranch.so."""
import ctypes
import ctypes.util
import os
from array import array
from pathlib import Path

from . import abi
from .abi import Status

PACKAGE = Path(__file__).resolve().parent


class Error(Exception):
    """A call that failed and changed nothing: `status` (abi.Status) and `text`."""

    def __init__(self, status, text):
        super().__init__(status, text)
        self.status, self.text = status, text

    def __str__(self):
        return f"{self.status.name.lower()}: {self.text}"


def load(path=None):
    """The library: from `path`, else ANABRANCH_LIBRARY, else the one that was installed with this package; in a checkout
    the newer one of build/release and build/dev; else the system's. OSError when there is none that fits."""
    path = path or os.environ.get("ANABRANCH_LIBRARY")
    if path:
        return Library(ctypes.CDLL(os.fsdecode(path)))
    own = PACKAGE / "libanabranch.so"
    if own.exists():
        return Library(ctypes.CDLL(str(own)))
    root = PACKAGE.parents[2] if PACKAGE.parent.parent.name == "capi" else PACKAGE  # the repository, or nothing to find
    places = [root / "build" / preset / "capi" / "libanabranch.so.0" for preset in ("release", "dev")]
    built = sorted((place for place in places if place.exists()), key=lambda place: place.stat().st_mtime)
    if built:
        return Library(ctypes.CDLL(str(built[-1])))
    try:
        return Library(ctypes.CDLL(ctypes.util.find_library("anabranch") or "libanabranch.so.0"))
    except OSError as error:
        raise OSError(
            f"no libanabranch.so: not at {', '.join(map(str, places))}, and {error}; build the target anabranch_capi, "
            "or set ANABRANCH_LIBRARY to the file"
        ) from None


class Library:
    """The functions of the C ABI by their names without `anb_`; each raises Error for a status that is a failure."""

    OUTCOMES = (Status.OK, Status.NO_ROOM, Status.NOTHING_TO_DO)

    def __init__(self, dll):
        self._dll = dll
        for name, (result, *arguments) in abi.FUNCTIONS.items():
            function = getattr(dll, name)
            function.restype, function.argtypes = result, arguments
        self.version = dll.anb_version()
        if self.version >> 16 != abi.VERSION >> 16 or self.version < abi.VERSION:
            raise OSError(f"{dll._name} has version {self.version:#x}, this package is for {abi.VERSION:#x}")

    def call(self, name, *arguments):
        """Calls anb_<name>: Status.OK, or one of the two outcomes. Everything else is raised."""
        try:
            status = Status(getattr(self._dll, "anb_" + name)(*arguments))
        except ctypes.ArgumentError as error:
            raise Error(Status.BAD_ARGUMENT, f"anb_{name}: {error}") from None
        if status not in self.OUTCOMES:
            raise Error(status, self._dll.anb_last_error().decode("utf-8", "replace"))
        return status

    def destroyer(self, name):
        """anb_<name>_destroy itself."""
        return getattr(self._dll, f"anb_{name}_destroy")

    def make(self, struct, values=None):
        """A struct with its defaults, then with `values` by field name."""
        made = struct()
        getattr(self._dll, struct.c_name + "_init")(made, ctypes.sizeof(struct))
        for name, value in (values or {}).items():
            if name not in struct.fields or name == "struct_size":
                known = ", ".join(field for field in struct.fields if field not in ("struct_size", "reserved"))
                raise TypeError(f"{struct.c_name} has no {name}; there are {known}")
            setattr(made, name, field_value(struct.fields[name], value))
        return made

    def cache(self, **options):
        """A Cache; `options`: fields of anb_cache_options."""
        from .cache import Cache

        return Cache(self, options)

    def decoder(self, cache=None, **options):
        """A Decoder, on a cache of its own when none is given; see there."""
        from .decoder import Decoder

        return Decoder(self.cache(n_pages=4096) if cache is None else cache, **options)


def field_value(c_type, value):
    """`value` as what a field of `c_type` takes: checked integers, text as bytes, lists as arrays, structs by
    address."""
    if hasattr(c_type, "least"):
        return in_range(value, c_type)
    if c_type is ctypes.c_char_p:
        return c_text(value)
    if c_type is abi.ints and value is not None:
        return ctypes.cast(int_array(value)[0], abi.ints)
    if isinstance(value, ctypes.Structure):
        return ctypes.pointer(value)
    return value


def c_text(value, name="a text"):
    """`value`, text or bytes, as bytes that C reads to their end. None stays None: a pointer that is NULL."""
    if value is None:
        return None
    if not isinstance(value, (str, bytes)):
        raise TypeError(f"{name} is of type {type(value).__name__}; it must be text")
    text = value.encode() if isinstance(value, str) else value
    if b"\0" in text:
        raise TypeError(f"{name} holds a NUL, at which C would cut it: {value!r}")
    return text


def in_range(value, c_type):
    try:
        return abi.in_range(value, c_type)
    except OverflowError as error:
        raise Error(Status.BAD_ARGUMENT, str(error)) from None


def int_array(values, name="an array of tokens"):
    """(ctypes array of int32, count) of any iterable of integers; one that is memory of int32 is not copied."""
    return _array(values, "i", abi.i32, name)


def sequence_array(values):
    """The same for sequences."""
    return _array(values, "Q", abi.u64, "an array of sequences")


def _array(values, code, c_type, name):
    if isinstance(values, str):
        raise TypeError(f"{name} is text, {values[:40]!r}; it must be integers, such as token ids that the model's "
                        "tokenizer makes: tokenizer.to_tokens(text)")
    try:
        memory = memoryview(values)
    except TypeError:
        memory = None
        if not hasattr(values, "__iter__"):
            raise TypeError(f"{name} is of type {type(values).__name__}; it must be integers, such as token "
                            "ids") from None
    if memory is None or memory.format != code or memory.ndim != 1 or memory.readonly or not memory.c_contiguous:
        numbers = (in_range(value, c_type) for value in values)  # of bytes too, which array would take as memory
        memory = array(code, numbers)
    return (c_type.plain * len(memory)).from_buffer(memory), len(memory)
