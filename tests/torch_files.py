"""A writer of the files that ``torch.save`` writes, without PyTorch.

Stand-ins are pickled by their names, and the names replaced afterwards by those of PyTorch.
"""

import io
import pickle
import struct
import zipfile
from collections import OrderedDict

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
SYSTEM = {"protocol_version": 1001, "little_endian": True}


class FloatStorage: ...


class HalfStorage: ...


class LongStorage: ...


def _rebuild_tensor_v2(*arguments): ...


TYPES = {"f4": FloatStorage, "f2": HalfStorage, "i8": LongStorage}
MODULES = {t.__name__: "torch" for t in TYPES.values()} | {"_rebuild_tensor_v2": "torch._utils"}


class Storage:
    """The elements of an array in the order in which they are in memory."""

    def __init__(self, key, array, length=None):
        self.key, self.flat = key, array.ravel(order="K")
        self.length = self.flat.size if length is None else length


class Tensor:
    """A view of a storage; strides and offset count elements."""

    def __init__(self, storage, shape, strides, offset=0):
        self.storage = storage
        self.arguments = (storage, offset, shape, strides, False, OrderedDict())

    def __reduce__(self):
        return _rebuild_tensor_v2, self.arguments


class _Pickler(pickle.Pickler):
    rest: tuple = ()

    def persistent_id(self, thing):
        if not isinstance(thing, Storage):
            return None
        kind = TYPES[thing.flat.dtype.str[1:]]
        return ("storage", kind, thing.key, "cpu", thing.length, *self.rest)


def pickled(thing, rest=()):
    """Return a pickle of tensors in any container; ``rest`` goes to the end of persistent ids."""
    file = io.BytesIO()
    pickler = _Pickler(file, 2)
    pickler.rest = rest
    pickler.dump(thing)
    data = file.getvalue()
    for name, module in MODULES.items():
        data = data.replace(f"c{__name__}\n{name}\n".encode(), f"c{module}\n{name}\n".encode())
    return data


def tensors(arrays):
    """Return a tensor for each array, each with a storage of its own."""
    state = OrderedDict()
    for number, (name, array) in enumerate(arrays.items()):
        strides = tuple(stride // array.itemsize for stride in array.strides)
        state[name] = Tensor(Storage(str(number), array), array.shape, strides)
    return state


def _storages(state):
    return {tensor.storage.key: tensor.storage for tensor in state.values()}


def legacy(state, *, code=None, magic=MAGIC, system=SYSTEM, keys=None):
    """Return a file of the older layout; ``code`` is a pickle instead of that of the tensors."""
    storages = _storages(state)
    data = b"".join(pickle.dumps(part, 2) for part in (magic, VERSION, system))
    data += pickled(state, (None,)) if code is None else code
    data += pickle.dumps(list(storages) if keys is None else keys, 2)
    for storage in storages.values():
        data += struct.pack("<q", storage.length) + storage.flat.tobytes()
    return data


def archive(state, *, code=None, compression=zipfile.ZIP_STORED):
    """Return a file of the newer layout."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as members:
        members.writestr("model/data.pkl", pickled(state) if code is None else code)
        members.writestr("model/byteorder", "little")
        for storage in _storages(state).values():
            members.writestr(f"model/data/{storage.key}", storage.flat.tobytes())
    return file.getvalue()
