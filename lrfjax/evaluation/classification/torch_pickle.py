"""Parse the pickles in a weights file without unpickling: dicts of tensors, and nothing else.

A pickle is a program for a stack machine, and unpickling runs it. A strict ``find_class`` keeps
``pickle.Unpickler`` from calling anything, but not from allocating gigabytes (the index of a memo
entry is the length of a table) or from running for centuries (the hash of nested tuples that share
their parts). So ``pickletools`` parses the program here, and only the instructions that a state
dict needs are carried out, on plain lists, tuples and dicts. Any other instruction is an error.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

MAX_BYTES = 1 << 30
"""Upper limit of files in bytes, and of sizes, strides and offsets of tensors."""

_DTYPES = {
    "torch FloatStorage": "<f4",
    "torch DoubleStorage": "<f8",
    "torch HalfStorage": "<f2",
    "torch LongStorage": "<i8",
    "torch IntStorage": "<i4",
}
_DICT, _TENSOR = "collections OrderedDict", "torch._utils _rebuild_tensor_v2"

_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
}


class Malformed(Exception):
    """An error in a file; the caller adds the name of the file to the message."""


class _Global(NamedTuple):
    """A global name in a pickle, which is never looked up."""

    name: str


class Storage(NamedTuple):
    """The place of a tensor's elements: ``length`` of them under a key."""

    key: str
    dtype: np.dtype
    length: int


class Tensor(NamedTuple):
    """A tensor whose storage is not read yet; offset and strides are in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def parse(file: io.BytesIO) -> Any:
    """Parse one pickle of protocol 2, and leave the file at its end.

    Args:
        file: file at the start of the pickle.

    Returns:
        Strings, numbers, None, and lists, tuples and dicts of them; an ``OrderedDict`` as a dict,
        and ``Tensor`` for a tensor.

    Raises:
        Malformed: if the pickle is cut short or has any other instruction.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}
    argument: Any

    def to_mark() -> list[Any]:
        start = marks.pop()
        if start < 0:
            raise IndexError("an instruction takes more than there is")
        items = stack[start:]
        del stack[start:]
        return items

    def set_items(pairs: list[Any]) -> None:
        names = pairs[::2]
        # Only strings are hashed: the hash of other keys could take forever.
        if type(stack[-1]) is not dict or not all(type(name) is str for name in names):
            raise Malformed("a dict has a key that is not a string")
        stack[-1].update(zip(names, pairs[1::2], strict=True))

    try:
        for opcode, argument, _ in pickletools.genops(file):
            match opcode.name:
                case "BINUNICODE" | "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                    stack.append(argument)
                case "BINPUT" | "LONG_BINPUT":
                    memo[argument] = stack[-1]
                case "BINGET" | "LONG_BINGET":
                    stack.append(memo[argument])
                case "MARK":
                    marks.append(len(stack))
                case "TUPLE":
                    stack.append(tuple(to_mark()))
                case "TUPLE1" | "TUPLE2" | "TUPLE3" as name:
                    marks.append(len(stack) - int(name[-1]))
                    stack.append(tuple(to_mark()))
                case "SETITEMS":
                    set_items(to_mark())
                case "SETITEM":
                    marks.append(len(stack) - 2)
                    set_items(to_mark())
                case "APPENDS":
                    items = to_mark()
                    stack[-1].extend(items)
                case "APPEND":
                    item = stack.pop()
                    stack[-1].append(item)
                case "GLOBAL":
                    stack.append(_global(argument))
                case "BINPERSID":
                    stack.append(_storage(stack.pop()))
                case "REDUCE":
                    arguments = stack.pop()
                    stack.append(_call(stack.pop(), arguments))
                case "BUILD":
                    # Attributes of the dict (versions of modules) are dropped.
                    stack.pop()
                case "PROTO":
                    if argument != 2:
                        raise Malformed(f"pickle protocol {argument}, not 2")
                case "STOP":
                    return stack.pop()
                case name if name in _CONSTANTS:
                    stack.append(_CONSTANTS[name]())
                case name:
                    raise Malformed(f"it does more than name tensors (instruction {name})")
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise Malformed("it is cut short, or its pickle is damaged") from error
    raise Malformed("it is cut short")


def _global(name: str) -> _Global:
    if name not in (_DICT, _TENSOR, *_DTYPES):
        raise Malformed(f"it refers to {name[:80].replace(' ', '.')!r}")
    return _Global(name)


def _storage(persistent_id: Any) -> Storage:
    """Return the storage of a persistent id: (kind, type, key, device, length[, no view])."""
    kind, dtype, key, _, length, *view = persistent_id
    if kind != "storage" or not isinstance(dtype, _Global) or dtype.name not in _DTYPES:
        raise Malformed("a storage is of an unknown type")
    if type(key) is not str or not _is_size(length) or view not in ([], [None]):
        raise Malformed("a storage has no key, no length, or is part of another")
    return Storage(key, np.dtype(_DTYPES[dtype.name]), length)


def _call(function: Any, arguments: Any) -> Any:
    if not isinstance(function, _Global) or type(arguments) is not tuple:
        raise Malformed("it calls what is not a function")
    if function.name == _DICT and not arguments:
        return {}
    if function.name != _TENSOR:
        raise Malformed(f"it calls {function.name.replace(' ', '.')!r}")
    storage, offset, shape, strides = arguments[:4]
    if type(storage) is not Storage or type(shape) is not tuple or type(strides) is not tuple:
        raise Malformed("a tensor has no storage or no shape")
    if not all(_is_size(n) for n in (offset, *shape, *strides)) or len(shape) != len(strides):
        raise Malformed("a tensor has an impossible shape")
    count, last = 1, offset
    for size, stride in zip(shape, strides, strict=True):
        count *= size
        last += (size - 1) * stride
    # With at most as many elements as its storage, a small file makes no large array.
    if len(shape) > 32 or count > storage.length or (count and last >= storage.length):
        raise Malformed("a tensor is larger than its storage")
    return Tensor(storage, offset, shape, strides)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MAX_BYTES
