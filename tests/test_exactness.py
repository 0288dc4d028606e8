"""The same file gives the same pixels: on any backend, at any setting, in plain NumPy as well."""

import itertools
import subprocess
import sys

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrfjax
from lrfjax.codec import planes
from lrfjax.codec.dictionary import dictionaries, tiles
from lrfjax.codec.dictionary.atoms import BANDS
from lrfjax.codec.entropy import ans
from lrfjax.codec.file.header_parts import MAX_STEP, Finish
from tests import reference_decoder
from tests.make_golden import FILES, checksum, read, sums

# One of each: gray and colour dictionaries of 8 bits, 16 bits, tiles, learned, the classic layouts.
FEW = (
    "dct_gray",
    "dct_rgb",
    "dct_rgb16",
    "dct_tiles",
    "svd_rgb",
    "imf_linear",
    "svd_nearest",
    "svd_planes",
)


def opaque(pixels):
    return pixels[..., :3] if pixels.ndim == 3 else pixels


def test_there_are_enough_golden_files():
    assert len(sums()) >= 30
    assert set(sums()) == set(FILES)


@pytest.mark.parametrize("name", FILES)
def test_golden_files_decode_to_the_same_pixels(name):
    data = read(name)
    pixels = lrfjax.decode(data)
    assert checksum(pixels) == sums()[name]
    reference = reference_decoder.render(lrfjax.read_factors(data))
    assert reference.dtype == pixels.dtype
    assert np.array_equal(reference, opaque(pixels))


# Eager mode compiles each operation for each shape.
@pytest.mark.parametrize("name", ["dct_rgb16", "svd_rgb", "imf_linear"])
def test_eager_mode_gives_the_same_pixels(name):
    with jax.disable_jit():
        assert checksum(lrfjax.decode(read(name))) == sums()[name]


@pytest.mark.parametrize("name", FEW)
def test_settings_of_jax_do_not_matter(name):
    with jax.default_matmul_precision("bfloat16"), jax.enable_x64(True):
        assert checksum(lrfjax.decode(read(name))) == sums()[name]


@pytest.mark.parametrize("name", FEW)
def test_the_reference_of_the_coder_gives_the_same_pixels(name, monkeypatch):
    monkeypatch.setattr(ans, "constriction", None)
    assert checksum(lrfjax.decode(read(name))) == sums()[name]


def test_the_order_of_files_does_not_matter():
    for names in itertools.islice(itertools.permutations(FEW), 0, None, 9001):
        assert [checksum(lrfjax.decode(read(n))) for n in names] == [sums()[n] for n in names]


_ON_A_DEVICE = """
import sys

import jax
import lrfjax
from tests.make_golden import checksum, read, sums

assert len(jax.devices()) == 8
with jax.default_device(jax.devices()[5]), jax.default_matmul_precision("bfloat16"):
    for name in sys.argv[1:]:
        assert checksum(lrfjax.decode(read(name))) == sums()[name], name
"""


@pytest.mark.slow
def test_one_of_eight_devices_gives_the_same_pixels(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
    command = [sys.executable, "-c", _ON_A_DEVICE, *FEW[1:6]]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def gpus():
    try:
        return jax.devices("gpu")
    except RuntimeError:
        return []


@pytest.mark.skipif(not gpus(), reason="there is no GPU")
@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_a_gpu_gives_the_same_pixels(backend):
    with jax.default_device(jax.devices(backend)[0]):
        for name in FILES:
            assert checksum(lrfjax.decode(read(name))) == sums()[name]


# From here on with factors that no image has: what a hostile file may hold.
wild = settings(max_examples=25, deadline=None)


def wrapped(x):
    """Return integers modulo 2^32, as int32."""
    return x.astype(np.int64).astype(np.uint32).astype(np.int32)


@given(seed=st.integers(0, 2**16), largest=st.sampled_from([1, 15, 40, 300, 2**15 - 1]))
@wild
def test_products_with_dictionaries_are_exact(seed, largest):
    rng = np.random.default_rng(seed)
    u = rng.integers(-largest, largest + 1, (3, 6, BANDS[2][1])).astype(np.int16)
    kinds = rng.integers(0, 4, 6).astype(np.int32)
    steps = rng.integers(1, MAX_STEP + 1, 3).astype(np.int32)
    patches = tiles.reconstruct_tile(u, kinds, steps, 16)
    for plane, m in itertools.product(range(3), range(6)):
        v = dictionaries.dictionary(kinds[m])[:, : u.shape[2]].astype(np.int64)
        product = wrapped(v @ u[plane, m].astype(np.int64)).astype(np.int64)
        limit = 2**27 // steps[plane]
        expected = (np.clip(product, -limit, limit) * steps[plane] + 2**9) >> 10
        assert np.array_equal(patches[plane, ..., m].ravel(), expected)


@given(
    seed=st.integers(0, 2**16),
    depth=st.sampled_from([8, 16]),
    deblocking=st.sampled_from([0, 1, 19, 255]),
    step=st.sampled_from([1, 16, 300, MAX_STEP]),
    size=st.sampled_from([1.0, 20.0, 2.0**18]),
    grid=st.sampled_from([(1, 1), (1, 4), (3, 1), (2, 3)]),
    restored=st.sampled_from([(0, (8, 9)), (16, (16, 16)), (5, (8, 8))]),
)
@wild
def test_pixels_of_any_planes_are_exact(seed, depth, deblocking, step, size, grid, restored):
    rng = np.random.default_rng(seed)
    bits = planes.FRACTION_BITS[depth]
    limit = 512 << bits
    restoration, side = restored
    height, width = (n * length for n, length in zip(grid, side, strict=True))
    whole = rng.normal(0, size * 2**bits, (3, height, width))
    whole = np.clip(whole, -limit, limit).astype(np.int32)
    patches = whole.reshape(3, grid[0], side[0], grid[1], side[1]).transpose(0, 2, 4, 1, 3)
    inverse = rng.integers(-4096, 4097, (3, 3)).astype(np.int32)
    finish = Finish(
        depth, tuple(map(tuple, inverse.tolist())), (step, 1, 77), deblocking, restoration
    )
    shape = (height - 1, width - 2)
    pixels = planes.to_pixels(
        patches,
        np.array(finish.steps, np.int32),
        deblocking,
        inverse,
        restoration=restoration,
        size=shape,
        first_row=0,
        depth=depth,
    )
    assert patches.shape == (3, *side, *grid)
    reference = reference_decoder._finish(list(whole.astype(np.int64)), finish, shape, side)
    assert np.array_equal(pixels, reference)


DICTIONARIES = (
    "1798f283fb078f76c28ed4ad7df5e7b2c898ee91209b96a88c59e301915b4d96",
    "78a338b239deef94fe9417a955e8b6ecc5bf7e4d431bf094f0bf40bde43c609e",
    "bb1c7069438ed4bfb8da6d0804a4abb565b414793094f0579b025eefe8205a87",
    "38ab0fcaf190e95db2382b25c510dd812a974d567c5a883e0f09f188c17b0092",
)


def test_the_dictionaries_are_the_same_everywhere():
    assert tuple(checksum(dictionaries.dictionary(kind)) for kind in range(4)) == DICTIONARIES
    # No entry is near a tie, so no machine rounds it another way.
    for matrix in (dictionaries._dct(16), dictionaries._dct(8)):
        parts = np.abs(matrix * 2**dictionaries.TRANSFORM_BITS) % 1
        assert np.abs(parts - 0.5).min() > 1e-3
