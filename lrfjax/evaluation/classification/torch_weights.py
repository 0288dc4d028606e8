"""Read weights from files of ``torch.save``, without PyTorch and without trusting the file.

Two layouts are supported. The older is a sequence of pickles (magic number, version, system, state
dict, storage keys), followed for each storage by its number of elements, int64, and the elements.
The newer is a ZIP archive with one pickle and one member per storage.
"""

from __future__ import annotations

import io
import os
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lrfjax.errors import InputError
from lrfjax.evaluation.classification.torch_pickle import (
    MAX_BYTES,
    Malformed,
    Storage,
    Tensor,
    parse,
)

_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001


def read_torch_weights(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read a state dict that ``torch.save`` wrote, in the older or the newer (ZIP) layout.

    Args:
        path: path of the file.

    Returns:
        An array for each name: a read-only view, not always contiguous, of a float16, float32,
        float64, int32 or int64 storage.

    Raises:
        InputError: if the file cannot be read, is cut short or damaged, or holds anything but a
            dict of dense tensors of these types.
    """
    name = os.fspath(path)
    try:
        if not Path(path).is_file():
            raise InputError(f"weights {name!r} are not a file")
        size = Path(path).stat().st_size
        if size > MAX_BYTES:
            raise InputError(f"weights {name!r} have {size} bytes, more than {MAX_BYTES}")
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"weights {name!r} cannot be read: {error.strerror}") from error
    return decode_torch_weights(data, name)


def decode_torch_weights(data: bytes, name: str = "data") -> dict[str, np.ndarray]:
    """Return the state dict in the bytes of such a file; see ``read_torch_weights``.

    Args:
        data: the whole file.
        name: name of the file in an error message.

    Raises:
        InputError: if the data are not such a file.
    """
    try:
        with warnings.catch_warnings():
            # pickletools and zipfile warn of oddities that are harmless, or refused anyway.
            warnings.simplefilter("ignore")
            return _read_archive(data) if data.startswith(b"PK\x03\x04") else _read_legacy(data)
    except Malformed as error:
        raise InputError(f"weights {name!r} are not a PyTorch state dict: {error}") from error


def _read_legacy(data: bytes) -> dict[str, np.ndarray]:
    file = io.BytesIO(data)
    if parse(file) != _MAGIC or parse(file) != _VERSION:
        raise Malformed("no magic number at the start")
    system = parse(file)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise Malformed("the byte order is not little-endian")
    tensors = _tensors(parse(file))
    expected = _storages(tensors)
    keys = parse(file)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise Malformed("the storage keys are not a list of strings")
    if sorted(keys) != sorted(expected):
        raise Malformed("the storages are not those that its tensors lie in")
    position, storages = file.tell(), {}
    for key in keys:
        storage = expected[key]
        end = position + 8 + storage.length * storage.dtype.itemsize
        if end > len(data):
            raise Malformed("it is cut short")
        if struct.unpack_from("<q", data, position) != (storage.length,):
            raise Malformed(f"storage {key[:40]!r} has another length than its tensors say")
        storages[key] = _elements(data[position + 8 : end], storage)
        position = end
    if position != len(data):
        raise Malformed(f"{len(data) - position} bytes too many")
    return {name: _view(tensor, storages) for name, tensor in tensors.items()}


def _read_archive(data: bytes) -> dict[str, np.ndarray]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {info.filename: info for info in archive.infolist()}
            # Compressed members could be of any size, and PyTorch writes none.
            if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
                raise Malformed("a member of the archive is compressed")
            if sum(info.file_size for info in members.values()) > len(data):
                raise Malformed("members of the archive overlap")
            pickles = [name for name in members if name.endswith("/data.pkl")]
            if len(pickles) != 1:
                raise Malformed("the archive has no single data.pkl")
            folder = pickles[0].removesuffix("data.pkl")
            order = folder + "byteorder"
            if order in members and archive.read(order) != b"little":
                raise Malformed("the byte order is not little-endian")
            tensors = _tensors(parse(io.BytesIO(archive.read(pickles[0]))))
            storages = {
                key: _elements(archive.read(f"{folder}data/{key}"), storage)
                for key, storage in _storages(tensors).items()
            }
    except (zipfile.BadZipFile, zlib.error, struct.error) as error:
        raise Malformed(f"damaged archive, {error}") from error
    except (KeyError, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise Malformed("a member of the archive cannot be read") from error
    return {name: _view(tensor, storages) for name, tensor in tensors.items()}


def _tensors(state: Any) -> dict[str, Tensor]:
    if not isinstance(state, dict) or not all(isinstance(x, Tensor) for x in state.values()):
        raise Malformed("it is not a dict of dense tensors")
    return state


def _storages(tensors: Mapping[str, Tensor]) -> dict[str, Storage]:
    storages: dict[str, Storage] = {}
    for tensor in tensors.values():
        if storages.setdefault(tensor.storage.key, tensor.storage) != tensor.storage:
            raise Malformed(f"two storages have the key {tensor.storage.key[:40]!r}")
    return storages


def _elements(data: bytes, storage: Storage) -> np.ndarray:
    if len(data) != storage.length * storage.dtype.itemsize:
        raise Malformed(f"storage {storage.key[:40]!r} has another length than its tensors say")
    # A copy is aligned, which the bytes in the file need not be.
    elements = np.frombuffer(data, storage.dtype).astype(storage.dtype.newbyteorder("="))
    elements.flags.writeable = False
    return elements


def _view(tensor: Tensor, storages: Mapping[str, np.ndarray]) -> np.ndarray:
    flat = storages[tensor.storage.key][tensor.offset :]
    strides = tuple(stride * flat.itemsize for stride in tensor.strides)
    return np.lib.stride_tricks.as_strided(flat, tensor.shape, strides, writeable=False)
