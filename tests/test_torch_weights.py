"""Weights files of PyTorch: whole, cut, damaged and hostile."""

import os
import pickle
import struct
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

from lrfjax.errors import InputError
from lrfjax.evaluation.classification.torch_weights import decode_torch_weights, read_torch_weights
from tests.torch_files import SYSTEM, Storage, Tensor, archive, legacy, pickled, tensors

SMALL = {
    "kernel": np.arange(12, dtype=np.float32).reshape(3, 4).T,
    "count": np.array(7, np.int64),
    "half": np.array([0.5, -2.0], np.float16),
    "empty": np.zeros((0, 3), np.float32),
}
LAYOUTS = pytest.mark.parametrize("layout", [legacy, archive])


@LAYOUTS
def test_weights_come_back(layout):
    state = tensors(SMALL)
    shared = Storage("shared", np.arange(20, dtype=np.float32))
    state["all"] = Tensor(shared, (20,), (1,))
    state["part"] = Tensor(shared, (2, 5), (10, 1), offset=5)
    state._metadata = OrderedDict([("", {"version": 1}), ("layer", {"version": 1})])
    parts = {"all": shared.flat, "part": np.array([range(5, 10), range(15, 20)], np.float32)}
    out = decode_torch_weights(layout(state))
    assert list(out) == [*SMALL, *parts]
    for name, array in (SMALL | parts).items():
        assert out[name].dtype == array.dtype
        assert not out[name].flags.writeable
        np.testing.assert_array_equal(out[name], array)


@LAYOUTS
def test_every_cut_is_refused(layout):
    data = layout(tensors(SMALL))
    assert list(decode_torch_weights(data)) == list(SMALL)
    for length in range(len(data)):
        with pytest.raises(InputError, match="weights 'data'"):
            decode_torch_weights(data[:length])


@LAYOUTS
def test_damage_raises_nothing_else(layout):
    data, refused = layout(tensors(SMALL)), 0
    for position in range(len(data)):
        for flip in (0x01, 0x20, 0xFF):
            damaged = bytearray(data)
            damaged[position] ^= flip
            try:
                decode_torch_weights(bytes(damaged))
            except InputError:
                refused += 1
    assert refused > len(data)


class Mischief:
    """Makes a folder where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("where", ["magic", "system", "code", "keys", "archive"])
def test_hostile_pickles_run_nothing(tmp_path, where):
    made = tmp_path / "made"
    hostile = {"x": Mischief(str(made))}
    pickle.loads(pickle.dumps(hostile, 2))
    made.rmdir()
    if where == "archive":
        data = archive({}, code=pickle.dumps(hostile, 2))
    elif where == "code":
        data = legacy({}, code=pickle.dumps(hostile, 2))
    else:
        data = legacy(tensors(SMALL), **{where: hostile})
    with pytest.raises(InputError, match="mkdir"):
        decode_torch_weights(data)
    assert not made.exists()


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (b"cos\nsystem\nX\x04\0\0\0true\x85R.", "os.system"),
        (b"cbuiltins\neval\nX\x010\x85R.", "eval"),
        # Names that are known, in places where they must not be called or held.
        (b"ccollections\nOrderedDict\n(]tR.", "OrderedDict"),
        (b"ctorch\nFloatStorage\n)R.", "FloatStorage"),
        (b"ctorch\nFloatStorage\n.", "dict of dense tensors"),
        (b"}X\x01\0\0\0ANs.", "dict of dense tensors"),
        (b"NN\x85R.", "not a function"),
        # A memo entry of index 2^31, which has pickle ask for a table of that length.
        (b"Nr" + struct.pack("<I", 1 << 31) + b".", "dict of dense tensors"),
        # A key that is a tuple of 60 levels, each twice the one below: its hash takes 2^60 steps.
        (b"})" + b"q\0h\0\x86" * 60 + b"Ns.", "not a string"),
        (b"\x96" + struct.pack("<Q", 1 << 40) + b".", "cut short"),
        (b"X" + struct.pack("<I", 1 << 31) + b".", "cut short"),
        (b"(" * 1000 + b".", "cut short"),
        (b"K\x01\x86.", "damaged"),
        (b"\x80\x05N.", "protocol 5"),
        (b"N2.", "DUP"),
    ],
)
def test_pickles_that_do_something_else_are_refused(code, message):
    for data in (legacy({}, code=code), archive({}, code=code)):
        with pytest.raises(InputError, match=message):
            decode_torch_weights(data)


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((9,), (1,), 0),
        ((8,), (1,), 1),
        ((4,), (3,), 0),
        ((1000, 1000), (0, 0), 0),
        ((1 << 40, 0), (1, 1), 0),
        ((2,), (-1,), 1),
        ((-1,), (1,), 0),
        ((2, 2), (1,), 0),
        ((2.0,), (1,), 0),
        ((True,), (1,), 0),
        ([2], [1], 0),
        ((1,) * 33, (1,) * 33, 0),
        ((2,), (1,), -1),
    ],
)
def test_tensors_outside_of_their_storage_are_refused(shape, strides, offset):
    storage = Storage("0", np.zeros(8, np.float32))
    for layout in (legacy, archive):
        assert decode_torch_weights(layout({"x": Tensor(storage, (8,), (1,))}))["x"].shape == (8,)
        with pytest.raises(InputError, match="a tensor"):
            decode_torch_weights(layout({"x": Tensor(storage, shape, strides, offset)}))


def test_storages_that_do_not_fit_are_refused():
    elements = np.zeros(8, np.float32)

    def one(**changes):
        return {"x": Tensor(Storage("0", elements, **changes), (2,), (1,))}

    two = one() | {"y": Tensor(Storage("0", np.zeros(4, np.int64)), (4,), (1,))}
    view = pickled(one(), (("0", 0, 8),))
    for data, message in [
        (legacy(one(length=9)), "cut short"),
        (legacy(one(length=1 << 29)), "cut short"),
        (legacy(one(length=7)), "too many"),
        (legacy(one(length=-1)), "no length"),
        (archive(one(length=9)), "another length"),
        (archive(one(length=7)), "another length"),
        (legacy(one())[:-40] + struct.pack("<q", 7) + bytes(32), "another length"),
        (legacy(one()) + b"\0", "too many"),
        (legacy(two), "two storages"),
        (legacy(one(), keys=["0", "0"]), "not those"),
        (legacy(one(), keys=["1"]), "not those"),
        (legacy(one(), keys=[0]), "list of strings"),
        (legacy(one(), keys="0"), "list of strings"),
        (legacy(one(), code=view), "part of another"),
        (legacy(one(), system=SYSTEM | {"little_endian": False}), "byte order"),
        (legacy(one(), magic=1), "magic"),
        (archive(one(), compression=zipfile.ZIP_DEFLATED), "compressed"),
        (b"PK\x03\x04", "damaged archive"),
        (b"", "cut short"),
        (b"\x89PNG\r\n\x1a\n", "not a PyTorch state dict"),
    ]:
        with pytest.raises(InputError, match=message):
            decode_torch_weights(data)


def test_files_are_read_and_named(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(legacy(tensors(SMALL)))
    assert list(read_torch_weights(path)) == list(SMALL)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"weights\.pth' are not a PyTorch"):
        read_torch_weights(path)


def test_what_is_not_a_file(tmp_path):
    for path in (tmp_path, tmp_path / "missing.pth", "\0"):
        with pytest.raises(InputError, match="not a file"):
            read_torch_weights(path)


def test_large_files_are_refused_undecode_torch_weights(tmp_path):
    path = tmp_path / "large.pth"
    with open(path, "wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(InputError, match="more than"):
        read_torch_weights(path)
