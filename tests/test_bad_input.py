"""Every impossible argument is refused by name and value, before any work."""

import jax
import numpy as np
import pytest

import lrfjax
from lrfjax.codec.accounting import account
from lrfjax.evaluation.describe import describe

X = np.arange(12.0).reshape(4, 3)
IMAGE = np.zeros((16, 16, 3), np.uint8)


def _with(value):
    x = X.copy()
    x[2, 1] = value
    return x


SOLVERS = [lrfjax.imf, lrfjax.nmf, lrfjax.svd, lrfjax.factorize]


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("x", "rank", "error", "message"),
    [
        (
            _with(np.nan),
            1,
            lrfjax.InputError,
            r"x must be finite in float32, got nan at index \(2, 1\)",
        ),
        (
            _with(np.inf),
            1,
            lrfjax.InputError,
            r"x must be finite in float32, got inf at index \(2, 1\)",
        ),
        (np.zeros((0, 3)), 1, lrfjax.InputError, r"x must not be empty, got shape \(0, 3\)"),
        (np.zeros(3), 1, lrfjax.InputError, r"x must have at least 2 axes.*\(3,\)"),
        (_with(1e300), 1, lrfjax.InputError, r"x must be finite in float32, got 1e\+300"),
        (X.astype(complex), 1, lrfjax.InputTypeError, "x must hold real numbers.*complex128"),
        ([["a", "b"]], 1, lrfjax.InputTypeError, "x must hold real numbers"),
        ([[1, 2], [3]], 1, lrfjax.InputTypeError, "x must be an array"),
        (X, 0, lrfjax.InputError, "rank must be between 1 and 3, got 0"),
        (X, 4, lrfjax.InputError, "rank must be between 1 and 3, got 4"),
        (X, 2.0, lrfjax.InputTypeError, "rank must be an integer, got 2.0"),
        (X, True, lrfjax.InputTypeError, "rank must be an integer, got True"),
        (X, None, lrfjax.InputTypeError, "rank must be an integer, got None"),
    ],
)
def test_matrices_and_ranks(solver, x, rank, error, message):
    with pytest.raises(error, match=message):
        solver(x, rank)


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"bounds": (3, -3)}, lrfjax.InputError, r"bounds must be \(lower, upper\).*\(3, -3\)"),
        ({"bounds": (-1.5, 3)}, lrfjax.InputTypeError, r"bounds.*integers, got \(-1.5, 3\)"),
        ({"bounds": 4}, lrfjax.InputTypeError, "bounds must be a pair of integers, got 4"),
        ({"bounds": (0, np.inf)}, lrfjax.InputTypeError, "bounds"),
        ({"bounds": (0, 2**25)}, lrfjax.InputError, "bounds must not exceed"),
        ({"num_iters": -1}, lrfjax.InputError, "num_iters must be at least 0, got -1"),
        ({"num_iters": 2.5}, lrfjax.InputTypeError, "num_iters must be an integer, got 2.5"),
        ({"tol": -1e-3}, lrfjax.InputError, "tol must be at least 0.0, got -0.001"),
        ({"tol": np.nan}, lrfjax.InputError, "tol must be at least 0.0, got nan"),
        ({"tol": "x"}, lrfjax.InputTypeError, "tol must be a real number, got 'x'"),
        ({"init": "sdv"}, lrfjax.InputError, "init must be one of 'svd'.*got 'sdv'"),
        ({"init": 3}, lrfjax.InputTypeError, "init must be one of.*got 3"),
        ({"init": "random"}, lrfjax.InputError, "key must be given"),
        ({"init": "random", "key": -1}, lrfjax.InputError, "key must be between 0 and.*got -1"),
        ({"init": "random", "key": "k"}, lrfjax.InputTypeError, "key must be one.*'k'"),
        ({"bounds": ("-16", "15")}, lrfjax.InputTypeError, "bounds must be a pair of integers"),
        ({"init": lrfjax.Factors(None, None)}, lrfjax.InputTypeError, "init.u must hold real"),
        ({"record_every": 3}, lrfjax.InputError, "record_every must divide num_iters, got 3"),
        (
            {"init": lrfjax.Factors(np.ones((4, 2)), np.ones((3, 1)))},
            lrfjax.InputError,
            r"init.v must have shape \(3, 2\), got \(3, 1\)",
        ),
        (
            {"init": lrfjax.Factors(np.full((4, 2), np.nan), np.ones((3, 2)))},
            lrfjax.InputError,
            "init.u must be finite",
        ),
    ],
)
def test_solver_settings(params, error, message):
    with pytest.raises(error, match=message):
        lrfjax.imf(X, 2, **params)


def test_negative_entries_are_refused_by_nmf():
    with pytest.raises(lrfjax.InputError, match=r"x must be non-negative for nmf.*-2"):
        lrfjax.nmf(_with(-2), 1)


def test_traced_arguments_are_checked_by_type_and_shape():
    with pytest.raises(lrfjax.InputTypeError, match="rank must be an integer scalar"):
        jax.jit(lambda r: lrfjax.imf(X, r))(1.5)
    with pytest.raises(lrfjax.InputTypeError, match="tol must be a scalar"):
        jax.jit(lambda t: lrfjax.imf(X, 1, tol=t))(np.zeros(2))
    with pytest.raises(lrfjax.InputTypeError, match="bounds must be concrete"):
        jax.jit(lambda b: lrfjax.imf(X, 1, bounds=(b, 4)))(-3.0)


@pytest.mark.parametrize("rank", [4, -1])
def test_truncated_svd_checks_its_rank(rank):
    with pytest.raises(lrfjax.InputError, match="rank must be between 0 and 3"):
        lrfjax.truncated_svd(X, rank)


def test_shapes_are_checked_under_jit_too():
    with pytest.raises(lrfjax.InputError, match="rank must be between 1 and 3, got 9"):
        jax.jit(lambda x: lrfjax.imf(x, 9))(X)


ENCODERS = [lrfjax.imf_encode, lrfjax.svd_encode, lrfjax.nmf_encode]


@pytest.mark.parametrize("encode", ENCODERS)
@pytest.mark.parametrize(
    ("image", "params", "error", "message"),
    [
        (IMAGE, {}, lrfjax.InputError, "exactly one of rank, quality, target_bpp.*got none"),
        (IMAGE, {"rank": 1, "quality": 1}, lrfjax.InputError, "exactly one of.*rank and quality"),
        (
            IMAGE,
            {"target_bpp": 1, "target_psnr": 30},
            lrfjax.InputError,
            "exactly one of.*target_bpp and target_psnr",
        ),
        (IMAGE, {"quality": 101}, lrfjax.InputError, "quality must be.*got 101"),
        (IMAGE, {"quality": -1}, lrfjax.InputError, "quality must be.*got -1"),
        (IMAGE, {"quality": (1, 2)}, lrfjax.InputTypeError, r"quality.*got \(1, 2\)"),
        (IMAGE, {"quality": "high"}, lrfjax.InputTypeError, "quality.*got 'high'"),
        (IMAGE, {"quality": np.nan}, lrfjax.InputError, "quality.*got nan"),
        (IMAGE, {"rank": 0}, lrfjax.InputError, "rank must be.*got 0"),
        (IMAGE, {"rank": 257}, lrfjax.InputError, "rank must be between 1 and .*got 257"),
        (IMAGE, {"rank": 1.5}, lrfjax.InputTypeError, "rank must be an integer, got 1.5"),
        (IMAGE, {"rank": (1, 1, 1)}, lrfjax.InputTypeError, "rank must be an integer"),
        (IMAGE, {"target_bpp": 0}, lrfjax.InputError, "target_bpp must be positive"),
        (IMAGE, {"target_bpp": -1}, lrfjax.InputError, "target_bpp must be.*got -1"),
        (IMAGE, {"target_bpp": "low"}, lrfjax.InputTypeError, "target_bpp.*got 'low'"),
        (IMAGE, {"target_psnr": -1}, lrfjax.InputError, "target_psnr must be.*got -1"),
        (IMAGE, {"target_psnr": 201}, lrfjax.InputError, "target_psnr must be.*got 201"),
        (IMAGE, {"target_psnr": True}, lrfjax.InputTypeError, "target_psnr.*got True"),
        (IMAGE.astype(float), {"rank": 1}, lrfjax.InputTypeError, "image.*float64"),
        (IMAGE.astype(np.int16), {"rank": 1}, lrfjax.InputTypeError, "uint8 or uint16, got int16"),
        (IMAGE[..., :2], {"rank": 1}, lrfjax.InputError, r"image.*\(16, 16, 2\)"),
        (IMAGE[:0], {"rank": 1}, lrfjax.InputError, r"image must not be empty.*\(0, 16, 3\)"),
        (
            np.zeros((4, 4, 4), np.uint16),
            {"rank": 1},
            lrfjax.InputError,
            r"image must have shape \(H, W\) or \(H, W, 3\), got \(4, 4, 4\)",
        ),
        ("x.png", {"rank": 1}, lrfjax.InputTypeError, "image must be a uint8 or uint16 array.*str"),
        (IMAGE, {"rank": 1, "color_space": "HSV"}, lrfjax.InputError, "color_space.*'HSV'"),
        (IMAGE, {"rank": 1, "patch_size": (8, 0)}, lrfjax.InputError, "patch_size.*0"),
        (IMAGE, {"rank": 1, "entropy": "zip"}, lrfjax.InputError, "entropy.*'zip'"),
        (IMAGE, {"quality": 1, "icc_profile": "x"}, lrfjax.InputTypeError, "icc_profile.*bytes"),
        (IMAGE, {"quality": 1, "exif": 3}, lrfjax.InputTypeError, "exif must be bytes, got int"),
    ],
)
def test_codec_settings(encode, image, params, error, message):
    with pytest.raises(error, match=message):
        encode(image, **params)


def _classic(encode):
    """Return what takes an encoder the classic way."""
    settings = {"color_space": "YCbCr"}
    return settings | ({"dictionary": "learned"} if encode is lrfjax.imf_encode else {})


@pytest.mark.parametrize("encode", ENCODERS)
@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"quality": (1, 2)}, lrfjax.InputError, "quality must be a scalar or hold 3"),
        ({"quality": 101}, lrfjax.InputError, "quality must be.*got 101"),
        ({"quality": "high"}, lrfjax.InputTypeError, "quality.*got 'high'"),
        ({"rank": 5}, lrfjax.InputError, "rank must be between 1 and 4, got 5"),
        ({"rank": np.array([1, 1])}, lrfjax.InputError, "rank.*one for each matrix"),
        ({"rank": (1, 1, 99)}, lrfjax.InputError, "rank must be.*got 99"),
        ({"target_bpp": 1}, lrfjax.InputError, "target_bpp needs color_space='rotated'"),
        ({"target_psnr": 30}, lrfjax.InputError, "target_psnr needs color_space='rotated'"),
        ({"rank": 1, "scale_factor": (0, 1)}, lrfjax.InputError, "scale_factor"),
        ({"rank": 1, "scale_factor": 0.5}, lrfjax.InputTypeError, "scale_factor.*0.5"),
        ({"rank": 1, "patch_size": (8, 0)}, lrfjax.InputError, "patch_size.*got 0"),
        ({"rank": 1, "patch_size": 8}, lrfjax.InputTypeError, "patch_size.*got 8"),
        ({"rank": 1, "patch": 1}, lrfjax.InputTypeError, "patch must be True or False"),
        ({"rank": 1, "upsampling": "cubic"}, lrfjax.InputError, "upsampling.*'cubic'"),
        ({"rank": 1, "entropy": "zip"}, lrfjax.InputError, "entropy.*'zip'"),
    ],
)
def test_settings_of_the_classic_way(encode, params, error, message):
    with pytest.raises(error, match=message):
        encode(IMAGE, **_classic(encode), **params)


@pytest.mark.parametrize("encode", ENCODERS)
def test_the_classic_way_has_8_bits(encode):
    with pytest.raises(lrfjax.InputError, match="uint16 needs color_space='rotated'"):
        encode(IMAGE.astype(np.uint16), rank=1, **_classic(encode))


LEARNED = {"dictionary": "learned", "color_space": "RGB"}


@pytest.mark.parametrize(
    ("encode", "params", "error", "message"),
    [
        (lrfjax.imf_encode, {**LEARNED, "bounds": (5, 1)}, lrfjax.InputError, "bounds"),
        (
            lrfjax.imf_encode,
            {**LEARNED, "bounds": (0, 70000)},
            lrfjax.InputError,
            "bounds must span",
        ),
        (lrfjax.imf_encode, {**LEARNED, "init": "warm"}, lrfjax.InputError, "init must be one of"),
        (lrfjax.imf_encode, {"num_iters": -2}, lrfjax.InputError, "num_iters"),
        (lrfjax.imf_encode, {"effort": 0}, lrfjax.InputError, "effort must be between 1 and 3"),
        (lrfjax.imf_encode, {"effort": 2.5}, lrfjax.InputTypeError, "effort must be an integer"),
        (lrfjax.imf_encode, {"dictionary": "dst"}, lrfjax.InputError, "dictionary must be one of"),
        (lrfjax.imf_encode, {"patch_size": (8, 8)}, lrfjax.InputError, r"patch_size must be \(16"),
        (lrfjax.imf_encode, {"entropy": "deflate"}, lrfjax.InputError, "entropy must be"),
        (
            lrfjax.imf_encode,
            {"dictionary": "learned", "entropy": "deflate"},
            lrfjax.InputError,
            "entropy must be",
        ),
        (lrfjax.svd_encode, {"bits": 9}, lrfjax.InputError, "bits must be between 1 and 8, got 9"),
        (lrfjax.svd_encode, {"patch_size": (4, 8)}, lrfjax.InputError, "patch_size.*got 4"),
        (lrfjax.nmf_encode, {"bits": 0}, lrfjax.InputError, "bits"),
        (lrfjax.nmf_encode, {"num_iters": -1}, lrfjax.InputError, "num_iters"),
    ],
)
def test_settings_of_single_codecs(encode, params, error, message):
    with pytest.raises(error, match=message):
        encode(IMAGE, rank=1, **params)


def test_targets_that_cannot_be_met():
    noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    with pytest.raises(lrfjax.InputError, match="this image takes at least"):
        lrfjax.imf_encode(noise, target_bpp=0.01)
    with pytest.raises(lrfjax.InputError, match="this image reaches at most"):
        lrfjax.imf_encode(noise, target_psnr=150)


@pytest.mark.parametrize(
    "read", [lrfjax.decode, lrfjax.imf_decode, lrfjax.read_factors, lrfjax.read_metadata]
)
def test_files_that_are_too_large_or_damaged(read):
    data = lrfjax.imf_encode(IMAGE, quality=1)
    with pytest.raises(lrfjax.FormatError, match="exceeds the limit of 100"):
        read(data, max_pixels=100)
    with pytest.raises(lrfjax.FormatError, match="damaged"):
        read(data[:-1] + bytes([data[-1] ^ 1]))


def test_files_of_another_codec():
    data = lrfjax.imf_encode(IMAGE, quality=1)
    for decode in (lrfjax.svd_decode, lrfjax.nmf_decode):
        with pytest.raises(lrfjax.FormatError, match="a file of imf_encode"):
            decode(data)


@pytest.mark.parametrize(
    "decode",
    [
        lrfjax.decode,
        lrfjax.imf_decode,
        lrfjax.pil_decode,
        lrfjax.read_factors,
        lrfjax.read_metadata,
        account,
        describe,
    ],
)
@pytest.mark.parametrize("data", [b"", b"\0", b"nonsense" * 20])
def test_foreign_bytes(decode, data):
    with pytest.raises(lrfjax.FormatError, match="data"):
        decode(data)
    with pytest.raises(lrfjax.InputTypeError, match="data must be bytes"):
        decode("text")


def test_pillow_settings():
    with pytest.raises(lrfjax.InputError, match=r"format must be one of.*'NOPE'"):
        lrfjax.pil_encode(IMAGE, "nope")
    with pytest.raises(lrfjax.InputError, match=r"quality.*got 200"):
        lrfjax.pil_encode(IMAGE, quality=200)


def test_errors_are_one_family_and_familiar():
    for error, builtin in (
        (lrfjax.InputError, ValueError),
        (lrfjax.InputTypeError, TypeError),
        (lrfjax.FormatError, ValueError),
        (lrfjax.SolverError, RuntimeError),
    ):
        assert issubclass(error, lrfjax.LrfError)
        assert issubclass(error, builtin)


@pytest.mark.parametrize("function", [lrfjax.plot_convergence, lrfjax.plot_rate_distortion])
def test_empty_plots(function):
    with pytest.raises(lrfjax.InputError, match="results"):
        function({})


def test_evaluation_settings():
    with pytest.raises(lrfjax.InputTypeError, match="encoder must be a function, got 'jpeg'"):
        lrfjax.eval_compression(IMAGE, "jpeg", lrfjax.pil_decode)
    with pytest.raises(lrfjax.InputError, match="does not exist"):
        lrfjax.eval_compression("none.png", lrfjax.pil_encode, lrfjax.pil_decode)
    with pytest.raises(lrfjax.InputError, match="decoder gave shape"):
        lrfjax.eval_compression(IMAGE, lrfjax.pil_encode, lambda data: IMAGE[:3])
    with pytest.raises(lrfjax.InputError, match="must hold at least one row"):
        lrfjax.vis_collage({"A": []}, [0.1])
    with pytest.raises(lrfjax.InputError, match="anchor_rates"):
        lrfjax.bd_rate([0.1, -0.2], [1, 2], [0.1, 0.2], [1, 2])
    with pytest.raises(lrfjax.InputError, match="rates"):
        lrfjax.bd_rate([0.1, 0.2], [1, 2], [0.1], [1, 2])
