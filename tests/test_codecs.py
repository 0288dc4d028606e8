"""The codecs: round trips at every size, one pipeline, sizes of files, damage."""

import hashlib
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrfjax
from lrfjax.codec import container, deflate
from lrfjax.codec.layout import to_matrices
from lrfjax.codec.quantize import Range, quantize, scale_at_least
from lrfjax.codec.settings import make_layout, resolve_ranks

PAIRS = {
    "imf": (lrfjax.imf_encode, lrfjax.imf_decode),
    "svd": (lrfjax.svd_encode, lrfjax.svd_decode),
    "nmf": (lrfjax.nmf_encode, lrfjax.nmf_decode),
}
ODD_SIZES = [(1, 1), (1, 9), (7, 3), (17, 16), (31, 45)]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("size", ODD_SIZES)
def test_any_size_comes_back_gray_and_rgb(name, size, photo):
    encode, decode = PAIRS[name]
    for image in (photo[: size[0], : size[1], 1], photo[: size[0], : size[1]]):
        data = encode(image, quality=30)
        decoded = decode(data)
        assert decoded.dtype == np.uint8
        assert decoded.shape == image.shape
        assert np.array_equal(decoded, lrfjax.decode(data))


@pytest.mark.parametrize("name", PAIRS)
def test_more_rank_is_closer(name, photo):
    encode, decode = PAIRS[name]
    psnr = [float(lrfjax.psnr(photo, decode(encode(photo, rank=r)))) for r in (1, 4, 12)]
    assert psnr[0] < psnr[1] < psnr[2]
    assert psnr[0] > 14


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(
    "params",
    [
        {"color_space": "RGB"},
        {"color_space": "RGB", "patch": False},
        {"patch": False},
        {"patch_size": (4, 16)},
        {"scale_factor": (1.0, 0.3)},
    ],
    ids=str,
)
def test_every_layout_is_shared_by_the_codecs(name, params, photo):
    encode, decode = PAIRS[name]
    image = photo[:37, :50]
    decoded = decode(encode(image, quality=(40), **params))
    assert float(lrfjax.psnr(image, decoded)) > 17


def test_full_rank_svd_is_nearly_lossless(photo):
    data = lrfjax.svd_encode(photo, quality=100, color_space="RGB")
    assert float(lrfjax.psnr(photo, lrfjax.svd_decode(data))) > 30


@pytest.mark.parametrize("value", [0, 255, 77])
@pytest.mark.parametrize("name", PAIRS)
def test_constant_images_work(name, value):
    encode, decode = PAIRS[name]
    image = np.full((20, 24, 3), value, np.uint8)
    decoded = decode(encode(image, quality=10))
    assert np.abs(decoded.astype(int) - value).max() <= (12 if name == "imf" else 2)


@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("name", ["svd", "nmf"])
def test_nearly_black_images_can_be_read_again(name, bits, level):
    encode, decode = PAIRS[name]
    image = np.zeros((16, 24, 3), np.uint8)
    image[3, 4, 2] = level
    assert np.abs(decode(encode(image, rank=1, bits=bits)).astype(int) - image).max() <= 3
    image[..., 2] = level
    assert np.abs(decode(encode(image, rank=1, bits=bits)).astype(int) - image).max() <= 3


def test_ranks_may_be_arrays(photo):
    expected = lrfjax.imf_encode(photo, rank=(3, 2, 1))
    assert lrfjax.imf_encode(photo, rank=np.array([3, 2, 1])) == expected
    assert lrfjax.imf_encode(jnp.asarray(photo), rank=jnp.array([3, 2, 1])) == expected


def test_decoded_images_are_writable(photo):
    for image in (
        lrfjax.imf_decode(lrfjax.imf_encode(photo, rank=1)),
        lrfjax.pil_decode(lrfjax.pil_encode(photo)),
    ):
        image[0] = 0


def test_the_paper_settings_are_the_defaults_of_imf(photo):
    assert lrfjax.imf_encode(photo, quality=9) == lrfjax.imf_encode(
        photo, quality=9, **lrfjax.PAPER_SETTINGS
    )


def test_the_file_holds_the_factors_of_the_solver(photo):
    layout = make_layout(photo.shape, "YCbCr", (0.5, 0.5), True, (8, 8))
    header, factors, sizes = lrfjax.read_factors(lrfjax.imf_encode(photo, rank=5))
    assert header.layout == layout
    for x, rank, f in zip(to_matrices(photo, layout=layout), (5, 2, 2), factors, strict=True):
        result = lrfjax.imf(x, rank)
        assert np.array_equal(f.u, result.factors.u)
        assert np.array_equal(f.v, result.factors.v)
    assert [len(s) for s in sizes] == [10, 4, 4]


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("gray", [False, True])
def test_framing_is_at_most_64_bytes(name, gray, photo):
    image = photo[..., 0] if gray else photo
    data = PAIRS[name][0](image, quality=60)
    _, _, sizes = lrfjax.read_factors(data)
    assert len(data) - sum(map(sum, sizes)) <= 64


def test_jpeg_and_other_pillow_formats(photo):
    for format, params in (("JPEG", {"quality": 90}), ("WEBP", {"quality": 80}), ("PNG", {})):
        for image in (photo, photo[..., 0]):
            decoded = lrfjax.pil_decode(lrfjax.pil_encode(image, format, **params))
            expected = image if decoded.ndim == image.ndim else np.stack([image] * 3, -1)
            assert float(lrfjax.psnr(expected, decoded)) > 28


# Decoded pixels are integers all the way, so they are pinned; files are not, because another zlib
# may deflate the same columns into other bytes.
GOLDEN = {
    "gray_imf": "a3fd0bd6da252732fac57bc7d1e6404fad38bd1dd5abb6e5423640fbf54da6c5",
    "ycbcr_imf": "26b45ca3ea13620c0b355c684b46aa9c27e92b4df136bc81e2feb6143328bfad",
    "rgb_svd": "5c5d1d99c1c7146b8b800728f893de8ce57a0e4d1b6814496d08dfa87835ae43",
    "ycbcr_nmf": "59d90b938c24f701a5131f5c4789783516591e0f3b985e660b31b165bff1e69e",
}


def golden_path(name):
    from pathlib import Path

    return Path(__file__).parent / "golden" / f"{name}.lrfj"


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_files_decode_to_the_same_pixels(name):
    pixels = lrfjax.decode(golden_path(name).read_bytes())
    assert hashlib.sha256(pixels.tobytes()).hexdigest() == GOLDEN[name]
    with jax.disable_jit():
        assert np.array_equal(lrfjax.decode(golden_path(name).read_bytes()), pixels)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_files_are_rewritten_byte_for_byte(name):
    data = golden_path(name).read_bytes()
    header, body = container.read(data)
    assert container.write(header, body) == data


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_decoding_ignores_the_default_precision(precision):
    data = golden_path("ycbcr_imf").read_bytes()
    expected = lrfjax.decode(data)
    with jax.default_matmul_precision(precision), jax.enable_x64(True):
        assert np.array_equal(lrfjax.decode(data), expected)


def test_every_prefix_and_every_flipped_bit_is_refused(photo):
    data = lrfjax.imf_encode(photo[:16, :16], rank=1)
    for end in range(len(data)):
        with pytest.raises(lrfjax.FormatError):
            lrfjax.decode(data[:end])
    for bit in range(8 * len(data)):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        with pytest.raises(lrfjax.FormatError):
            lrfjax.decode(bytes(broken))
    with pytest.raises(lrfjax.FormatError, match="after its end"):
        lrfjax.decode(data + b"\0")


def _with_header(data, change):
    """Return a file whose header body was changed, its CRCs made right again."""
    length = data[6]
    body = bytearray(data[7 : 7 + length])
    change(body)
    out = data[:5]
    for tag, part in ((b"H", bytes(body)), (b"F", container.read(data)[1])):
        chunk = tag + container._varint(len(part)) + part
        out += chunk + zlib.crc32(chunk, zlib.crc32(out)).to_bytes(4, "little")
    return out


@given(position=st.integers(0, 40), value=st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_a_forged_header_is_decoded_or_refused(position, value):
    data = golden_path("ycbcr_imf").read_bytes()

    def change(body):
        body[position % len(body)] = value

    try:
        image = lrfjax.decode(_with_header(data, change), max_pixels=100_000)
        assert image.dtype == np.uint8
    except lrfjax.FormatError:
        pass


def test_huge_claims_are_refused_before_anything_is_allocated():
    data = golden_path("ycbcr_imf").read_bytes()

    def change(body):
        body[4:6] = container._varint(2**31 - 1) + container._varint(2**31 - 1)

    with pytest.raises(lrfjax.FormatError, match="exceeds the limit"):
        lrfjax.decode(_with_header(data, change))
    with pytest.raises(lrfjax.FormatError, match="exceeds the limit of 10"):
        lrfjax.decode(data, max_pixels=10)


def test_other_versions_and_methods_are_refused(photo):
    data = lrfjax.imf_encode(photo[:8, :8], rank=1)
    with pytest.raises(lrfjax.FormatError, match="version 9"):
        lrfjax.decode(data[:4] + b"\x09" + data[5:])
    with pytest.raises(lrfjax.FormatError, match="imf_encode, not of svd_encode"):
        lrfjax.svd_decode(data)
    with pytest.raises(lrfjax.FormatError, match="not an lrfjax file"):
        lrfjax.decode(b"\x89PNG\r\n")


@given(
    seed=st.integers(0, 2**16),
    lower=st.integers(-300, 300),
    span=st.sampled_from([0, 1, 31, 255, 256, 65535]),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 5)),
)
@settings(max_examples=60, deadline=None)
def test_deflated_columns_come_back(seed, lower, span, shape):
    limits = Range(lower, span)
    matrix = np.random.default_rng(seed).integers(lower, lower + span + 1, shape)
    streams = deflate.encode_columns(matrix, limits)
    decoded, ends = deflate.decode_columns(b"xy" + b"".join(streams) + b"z", 2, shape, limits)
    assert np.array_equal(decoded, matrix)
    assert np.diff([2, *ends]).tolist() == [len(s) for s in streams]


def test_a_deflate_bomb_is_cut_off():
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = coder.compress(bytes(10**7)) + coder.flush()
    with pytest.raises(lrfjax.FormatError, match="entries"):
        deflate.decode_columns(bomb, 0, (100, 1), Range(0, 255))


@given(seed=st.integers(0, 2**16), bits=st.integers(1, 8), rank=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_quantization_is_within_a_step_and_the_box(seed, bits, rank):
    rng = np.random.default_rng(seed)
    u, v = rng.normal(size=(30, rank)), np.abs(rng.normal(size=(20, rank)))
    q = quantize(u, v, bits)
    for part, limits in ((q.u, q.range_u), (q.v, q.range_v)):
        assert part.min() >= limits.lower
        assert part.max() <= limits.lower + limits.span == limits.lower + 2**bits - 1
    assert q.range_v.lower == 0
    if bits == 8:
        error = float(q.scale) * q.u @ q.v.T - u @ v.T
        assert np.sqrt((error**2).mean()) < 0.05 * rank


@pytest.mark.parametrize("value", [1e-30, 1e-9, 0.001, 0.3, 1.0, 1.5, 700.0])
def test_scales_round_up_and_little(value):
    scale = scale_at_least(value, 2**20)
    assert float(scale) >= min(value, float(scale))
    if value >= 0.001:
        assert value <= float(scale) <= value * 1.01
    assert scale.mantissa * 2**20 + 2 ** max(scale.shift - 1, 0) < 2**31
    assert scale.mantissa < 2**14 or value > 2**13


def test_ranks_from_quality_and_rank():
    layout = make_layout((512, 768, 3), "YCbCr", (0.5, 0.5), True, (8, 8))
    assert resolve_ranks(layout, None, 10) == [6, 3, 3]
    assert resolve_ranks(layout, None, 0) == [1, 1, 1]
    assert resolve_ranks(layout, None, (50, 10, 20)) == [32, 6, 13]
    assert resolve_ranks(layout, 7, None) == [7, 3, 3]
    assert resolve_ranks(layout, 1, None) == [1, 1, 1]
    assert resolve_ranks(layout, (3, 2, 1), None) == [3, 2, 1]
    rgb = make_layout((512, 768, 3), "RGB", (0.5, 0.5), True, (8, 8))
    assert rgb.matrix_shapes == [(6144, 192)]
    assert resolve_ranks(rgb, None, 10) == [19]
