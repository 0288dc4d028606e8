"""Codecs as settings: each has its own, uses all of them, and is found by name or by path."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from importlib.metadata import EntryPoint
from typing import ClassVar

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import lrfjax
from lrfjax import cli
from lrfjax.codec import registry
from lrfjax.codec.doors import kind_with
from lrfjax.evaluation.methods import METHODS
from tests.make_golden import repeated_pattern

pytestmark = pytest.mark.unoptimized

PATH = __name__
OWN = [
    lrfjax.DCTCodec,
    lrfjax.IMFCodec,
    lrfjax.SVDCodec,
    lrfjax.NMFCodec,
    lrfjax.PaperIMFCodec,
    lrfjax.PaperSVDCodec,
]
DOORS = {
    "dct_encode": (lrfjax.DCTCodec,),
    "imf_encode": (lrfjax.IMFCodec, lrfjax.PaperIMFCodec),
    "svd_encode": (lrfjax.SVDCodec, lrfjax.PaperSVDCodec),
    "nmf_encode": (lrfjax.NMFCodec,),
}
DECODERS = {name: getattr(lrfjax, f"{name}_decode") for name in ("dct", "imf", "svd", "nmf")}


def names(kind: type[lrfjax.Codec]) -> list[str]:
    return [f.name for f in fields(kind)]


EVERY = sorted({name for kind in OWN for name in names(kind)})


@dataclass(frozen=True)
class Mine(lrfjax.Codec):
    """A codec from outside: the lower bits are dropped, and zlib takes the rest."""

    effort: int = 9
    offset: int = 0

    name: ClassVar[str] = "mine"
    label: ClassVar[str] = "My codec"
    levels: ClassVar[tuple[float, ...]] = (3, 5, 8)

    def encode(self, image: np.ndarray, rate: lrfjax.Rate) -> bytes:
        kept = (image + np.uint8(self.offset)) >> (8 - int(rate.quality))
        shape = np.array((*image.shape, 1)[:3], "<u2").tobytes()
        return shape + bytes([int(rate.quality)]) + zlib.compress(kept.tobytes(), self.effort)

    def decode(self, data: bytes) -> np.ndarray:
        shape = np.frombuffer(data[:6], "<u2")
        kept = np.frombuffer(zlib.decompress(data[7:]), np.uint8).reshape(shape)
        kept = kept[..., 0] if shape[2] == 1 else kept
        return kept << np.uint8(8 - data[6])


@dataclass(frozen=True, kw_only=True)
class NeedsHeight(Mine):
    """A codec whose setting has no default."""

    height: int


class NoName(lrfjax.Codec):
    """A codec without a name."""


class NoEncode(lrfjax.Codec):
    """A codec without functions."""

    name, label = "empty", "Empty"


class Wrong(Mine):
    """A codec that returns no bytes."""

    name = "wrong"

    def encode(self, image, rate):
        return 3


class Rateless(Mine):
    """A codec of a rate that does not exist."""

    rates = ("size",)


QUICK = Mine(effort=1)
NOT_A_CODEC = 3


@pytest.fixture
def image(photo: np.ndarray) -> np.ndarray:
    """A picture so small that codecs take no time: (17, 23, 3), uint8."""
    return photo[:17, :23]


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A registry that the test may change, with fresh entry points."""
    monkeypatch.setattr(registry, "_CODECS", dict(registry._CODECS))
    registry._offered.cache_clear()
    yield
    monkeypatch.undo()
    registry._offered.cache_clear()


# Each setting belongs to its codecs.


@pytest.mark.parametrize("setting", EVERY)
@pytest.mark.parametrize("door", DOORS)
def test_doors_refuse_the_settings_of_other_codecs(door, setting, image):
    if any(setting in names(kind) for kind in DOORS[door]):
        pytest.skip("its own setting")
    owners = " and ".join(kind.name for kind in OWN if setting in names(kind))
    said = f"^{setting} is a setting of {owners}, not of {door}$"
    with pytest.raises(lrfjax.InputTypeError, match=said):
        getattr(lrfjax, door)(image, quality=20, **{setting: 1})


@pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.name)
def test_the_command_refuses_the_settings_of_other_codecs(kind, image, tmp_path, capsys):
    np.save(tmp_path / "in.npy", image)
    command = ["encode", str(tmp_path / "in.npy"), str(tmp_path / "out"), "--quality", "20"]
    for setting in [name for name in EVERY if name not in names(kind)]:
        owners = " and ".join(other.name for other in OWN if setting in names(other))
        assert cli.main([*command, "--method", kind.name, "--set", f"{setting}=1"]) == 1
        said = capsys.readouterr().err
        assert f"{setting} is a setting of {owners}, not of --method {kind.name}" in said
    assert cli.main([*command, "--method", kind.name, "--set", "wavelet=1"]) == 1
    own = ", ".join(names(kind)) or "none"
    assert f"has no setting 'wavelet'; its settings are: {own}\n" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("door", DOORS)
def test_unknown_settings_list_the_own_ones(door, image):
    own = dict.fromkeys(name for kind in DOORS[door] for name in names(kind))
    said = f"^{door} has no setting 'wavelet'; its settings are: {', '.join(own) or 'none'}$"
    with pytest.raises(lrfjax.InputTypeError, match=said):
        getattr(lrfjax, door)(image, quality=20, wavelet=3)


def test_settings_of_two_codecs_are_told_apart():
    kinds = (lrfjax.DCTCodec, lrfjax.PaperIMFCodec)
    assert kind_with("it", kinds, []) is lrfjax.DCTCodec
    assert kind_with("it", kinds, ["color_space"]) is lrfjax.DCTCodec
    assert kind_with("it", kinds, ["bounds", "color_space"]) is lrfjax.PaperIMFCodec
    with pytest.raises(lrfjax.InputTypeError, match="effort of mine and dct, bounds of imf-paper"):
        kind_with("it", (Mine, *kinds), ["effort", "bounds"])


# Another valid value of each setting, and what else it needs. A new setting needs a line.
YCBCR = {"color_space": "YCbCr"}
LAYOUT = {
    "scale_factor": ((1.0, 0.25), YCBCR),
    "patch": (False, {}),
    "patch_size": ((4, 16), {}),
    "upsampling": ("linear", YCBCR),
    "entropy": ("context", {}),
}
OTHERS = {
    "dct": {"color_space": ("RGB", {}), "effort": (1, {})},
    "imf": {"num_iters": (0, {}), "effort": (1, {})},
    "svd": {"effort": (1, {})},
    "nmf": {"num_iters": (0, {}), "effort": (1, {})},
    "imf-paper": {
        **LAYOUT,
        "color_space": ("RGB", {}),
        "bounds": ((-4, 5), {}),
        "num_iters": (0, {}),
        "init": ("balanced", {}),
        "key": (3, {"init": "random"}),
    },
    "svd-paper": {**LAYOUT, **YCBCR, "color_space": ("YCbCr", {}), "bits": (5, {})},
}
NO_BYTES = {"imf-paper": {"dtype", "verbose"}}
"""Settings that are checked, or print, and leave the file as it is."""


@pytest.mark.parametrize(
    ("kind", "setting"),
    [(kind, name) for kind in OWN for name in names(kind)],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_every_setting_is_used(kind, setting, photo):
    if setting in NO_BYTES.get(kind.name, ()):
        pytest.skip("checked below")
    value, needed = OTHERS[kind.name][setting]
    if setting == "key":
        needed = {**needed, "key": value + 1}
    before, after = kind(**needed), kind(**{**needed, setting: value})
    assert getattr(before, setting) != value
    image = photo[:32, :48] if "color_space" in names(kind) else photo[:32, :48, 1]
    if kind is lrfjax.IMFCodec:
        # What V gains has to pay for its bits.
        image = repeated_pattern()
    files = [lrfjax.encode(image, codec, quality=30) for codec in (before, after)]
    assert files[0] != files[1]
    assert lrfjax.decode(files[1]).shape == image.shape


def test_a_dtype_has_to_hold_the_bounds(image):
    plain = lrfjax.imf_encode(image, 3, **lrfjax.PAPER_SETTINGS)
    for dtype in (np.int8, "int16", np.dtype("int32"), jnp.int8, "torch.int8"):
        assert lrfjax.imf_encode(image, 3, **lrfjax.PAPER_SETTINGS, dtype=dtype) == plain
    assert lrfjax.PaperIMFCodec(dtype=np.int8) == lrfjax.PaperIMFCodec(dtype="torch.int8")
    for dtype, bounds in ((np.int8, (-16, 128)), ("uint8", (-1, 9)), ("int16", (-1, 40000))):
        with pytest.raises(lrfjax.InputError, match=rf"int.*does not hold bounds \({bounds[0]}"):
            lrfjax.PaperIMFCodec(bounds=bounds, dtype=dtype)
    for dtype in ("float32", "abc", np.float16, True, 8):
        with pytest.raises(lrfjax.InputTypeError, match="dtype must be an integer type"):
            lrfjax.PaperIMFCodec(dtype=dtype)


def test_a_talkative_encoder_tells_each_matrix(image, capsys):
    plain = lrfjax.imf_encode(image, 3, **lrfjax.PAPER_SETTINGS)
    assert capsys.readouterr().out == ""
    assert lrfjax.imf_encode(image, 3, **lrfjax.PAPER_SETTINGS, verbose=True) == plain
    lines = capsys.readouterr().out.splitlines()
    shapes = ["IMF of 9 x 64, rank 3", "IMF of 2 x 64, rank 1", "IMF of 2 x 64, rank 1"]
    assert [line.split(":")[0] for line in lines] == shapes
    with pytest.raises(lrfjax.InputTypeError, match="verbose must be True or False, got 'yes'"):
        lrfjax.PaperIMFCodec(verbose="yes")


# Settings and rates that exclude each other.


@pytest.mark.parametrize("kind", OWN, ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    "given", [{}, {"quality": 5, "rank": 1}, {"rank": 1, "target_bpp": 1.0, "target_psnr": 9.0}]
)
def test_exactly_one_rate_is_given(kind, given, image):
    with pytest.raises(lrfjax.InputError, match=r"exactly one of rank, quality, target_bpp"):
        lrfjax.encode(image, kind, **given)
    with pytest.raises(lrfjax.InputError, match="exactly one of"):
        lrfjax.Rate(**given)


RATES = {"quality": 20, "rank": 1, "target_bpp": 1.0, "target_psnr": 20.0}


@pytest.mark.parametrize("codec", METHODS)
def test_codecs_refuse_the_rates_that_they_do_not_take(codec, image):
    found = lrfjax.find_codec(codec)
    for kind in RATES.keys() - set(found.rates):
        said = f"^{kind} is not taken by {codec}, which takes {' and '.join(found.rates)}$"
        with pytest.raises(lrfjax.InputError, match=said):
            lrfjax.encode(image, codec, **{kind: RATES[kind]})
        with pytest.raises(lrfjax.InputError, match=said):
            found.encode(image, lrfjax.Rate.of(kind, RATES[kind]))


@pytest.mark.parametrize("codec", METHODS)
def test_codecs_refuse_the_depth_alpha_and_metadata_that_they_do_not_take(codec, image):
    kind = lrfjax.find_codec(codec).rates[0]
    rate = {kind: RATES[kind]}
    if codec in ("imf-paper", "svd-paper"):
        with pytest.raises(lrfjax.InputError, match=f"uint8 for {codec}, got uint16"):
            lrfjax.encode(image.astype(np.uint16), codec, **rate)
    if codec in [own.name for own in OWN]:
        return
    with pytest.raises(lrfjax.InputTypeError, match=r"image.*uint16"):
        lrfjax.encode(image.astype(np.uint16), codec, **rate)
    with pytest.raises(lrfjax.InputError, match=r"image.*\(17, 23, 4\)"):
        lrfjax.encode(np.dstack([image, image[..., 0]]), codec, **rate)
    for extra in ("icc_profile", "exif"):
        with pytest.raises(lrfjax.InputError, match=f"{extra} cannot be stored by {codec}"):
            lrfjax.encode(image, codec, **rate, **{extra: b"x"})


PAPERS = [lrfjax.PaperIMFCodec, lrfjax.PaperSVDCodec]


@pytest.mark.parametrize("kind", PAPERS, ids=lambda kind: kind.name)
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"patch": False, "patch_size": (4, 4)}, r"patch_size belongs to patch=True, got \(4, 4\)"),
        ({"color_space": "RGB", "scale_factor": (0.5, 1)}, "scale_factor is for YCbCr.*'RGB'"),
        ({"color_space": "RGB", "upsampling": "linear"}, "upsampling is for YCbCr.*RGB"),
    ],
)
def test_settings_of_a_layout_that_exclude_each_other(kind, settings, said):
    with pytest.raises(lrfjax.InputError, match=said):
        kind(**settings)
    kind(color_space="RGB", scale_factor=(1, 1), patch_size=[8, 8])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"init": "random"}, "key belongs to init='random', got None"),
        ({"key": 3}, "key belongs to init='random', got 3 and 'svd'"),
        ({"init": "balanced", "key": 0}, "key belongs to init='random', got 0"),
        ({"bounds": (-99, 200), "dtype": np.int8}, "dtype.*does not hold"),
        ({"bounds": (0, 40000), "entropy": "context"}, "bounds must be within 32767"),
    ],
)
def test_settings_of_the_published_imf_that_exclude_each_other(settings, said):
    with pytest.raises(lrfjax.InputError, match=said):
        lrfjax.PaperIMFCodec(**settings)


def test_settings_are_compared_by_value():
    for kind in OWN:
        assert kind() == kind()
        assert hash(kind()) == hash(kind())
        assert kind().changed() == {}
    loose = lrfjax.PaperIMFCodec(
        bounds=[-16.0, 15], patch_size=[8, 8], scale_factor=np.full(2, 0.5)
    )
    assert loose == lrfjax.PaperIMFCodec()
    assert lrfjax.PaperIMFCodec(bounds=np.array([-8, 7])).changed() == {"bounds": (-8, 7)}


# Files and their decoders.


def test_decoders_take_the_files_of_their_doors_only(image):
    files = {
        "dct": [lrfjax.dct_encode(image, quality=20)],
        "imf": [
            lrfjax.imf_encode(image, quality=20, num_iters=1),
            lrfjax.imf_encode(image, quality=20, **lrfjax.PAPER_SETTINGS),
        ],
        "svd": [lrfjax.svd_encode(image, quality=20), lrfjax.svd_encode(image, 2, bits=8)],
        "nmf": [lrfjax.nmf_encode(image, quality=20, num_iters=1)],
    }
    for name, made in files.items():
        for data in made:
            pixels = lrfjax.decode(data)
            for other, decode in DECODERS.items():
                if other == name:
                    assert np.array_equal(decode(data), pixels)
                    continue
                said = f"a file of {name}_encode, not of {other}_encode"
                with pytest.raises(lrfjax.FormatError, match=said):
                    decode(data)


def test_the_command_decodes_with_the_codec_that_it_is_told(image, tmp_path, capsys):
    (tmp_path / "x").write_bytes(lrfjax.dct_encode(image, quality=20))
    command = ["decode", str(tmp_path / "x"), str(tmp_path / "x.png")]
    assert cli.main([*command, "--method", "svd"]) == 1
    assert "a file of dct_encode, not of svd_encode" in capsys.readouterr().err
    assert cli.main([*command, "--method", "dct"]) == 0


# Codecs by name, from here and from elsewhere.


def test_names_are_taken_once(own_registry):
    assert registry.register(Mine) == Mine()
    assert lrfjax.find_codec("mine") == Mine()
    assert registry.register(QUICK) is QUICK
    assert lrfjax.find_codec("mine") is QUICK

    class Thief(Mine):
        name = "dct"

    with pytest.raises(lrfjax.InputError, match="'dct' is the name of DCTCodec already"):
        lrfjax.register_codec(Thief())
    assert lrfjax.find_codec("dct") == lrfjax.DCTCodec()


@pytest.mark.parametrize(
    ("codec", "error", "said"),
    [
        (NoName, TypeError, "NoName must have a name, a string"),
        (NoEncode(), TypeError, "NoEncode must have a function encode"),
        (lrfjax.Codec, TypeError, "Codec must have a name"),
        (NeedsHeight, ValueError, "NeedsHeight needs settings"),
        (Rateless(), ValueError, r"Rateless must have rates among.*\('size',\)"),
        (3, TypeError, "codec must be a Codec or its name, got 3"),
        (None, TypeError, "codec must be a Codec or its name, got None"),
        (f"{PATH}:NoEncode", TypeError, f"{PATH}:NoEncode NoEncode must have a function encode"),
        (f"{PATH}:NOT_A_CODEC", TypeError, "NOT_A_CODEC must be a Codec or its name, got 3"),
        (f"{PATH}:Nothing", ValueError, f"{PATH}:Nothing' cannot be imported: .*Nothing"),
        (f"{PATH}:Mine.nothing", ValueError, "cannot be imported: .*nothing"),
        (f"{PATH}:", ValueError, "cannot be imported"),
        (":Mine", ValueError, "cannot be imported"),
        ("no_such_module:Mine", ValueError, "cannot be imported: No module named 'no_such_module'"),
        ("dtc", ValueError, "codec 'dtc' is unknown: did you mean 'dct'"),
        ("wavelets", ValueError, "codec 'wavelets' is unknown: known are dct, imf, svd, nmf"),
    ],
)
@pytest.mark.parametrize("find", [lrfjax.find_codec, lambda codec: lrfjax.choose_methods([codec])])
def test_objects_that_are_no_codecs_are_named(find, codec, error, said):
    assert issubclass(lrfjax.InputError, ValueError)
    with pytest.raises(error, match=said) as caught:
        find(codec)
    assert isinstance(caught.value, lrfjax.LrfError)


def test_a_module_that_fails_is_one_error(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    for name, code in (("raises_at_import", "1 / 0"), ("exits_at_import", "raise SystemExit(3)")):
        (tmp_path / f"{name}.py").write_text(code)
        with pytest.raises(lrfjax.InputError, match=f"codec '{name}:X' cannot be imported"):
            lrfjax.find_codec(f"{name}:X")


def test_entry_points_offer_codecs(own_registry, monkeypatch, image):
    group = registry.ENTRY_POINTS
    points = [
        EntryPoint("mine", f"{PATH}:Mine", group),
        EntryPoint("broken", "no_such_module:Codec", group),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    assert lrfjax.find_codec("mine") == Mine()
    assert lrfjax.decode(lrfjax.encode(image, quality=20)).shape == image.shape
    (method,) = lrfjax.choose_methods(["mine"])
    assert (method.name, method.label, method.levels) == ("mine", "My codec", (3, 5, 8))
    # A broken one harms itself only.
    with pytest.raises(lrfjax.InputError, match="no_such_module:Codec' cannot be imported"):
        lrfjax.find_codec("broken")
    assert "broken" not in registry.codecs()
    with pytest.raises(lrfjax.InputError, match="did you mean 'broken'"):
        lrfjax.find_codec("brokem")


# A codec of somebody else, everywhere that ours go.


def test_a_codec_from_outside_is_encoded_with(image):
    for codec in (Mine, Mine(), f"{PATH}:Mine"):
        data = lrfjax.encode(image, codec, quality=8)
        assert np.array_equal(Mine().decode(data), image)
    assert lrfjax.find_codec(f"{PATH}:QUICK") is QUICK
    with pytest.raises(lrfjax.InputTypeError, match="codec wrong must return bytes, got int"):
        lrfjax.encode(image, Wrong, quality=8)
    with pytest.raises(lrfjax.InputError, match="rank is not taken by mine, which takes quality"):
        lrfjax.encode(image, Mine, rank=3)


def test_a_codec_from_outside_is_evaluated(image, tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(image).save(folder / "a.png")
    Image.fromarray(image[..., 0]).save(folder / "b.png")
    methods = lrfjax.choose_methods([f"{PATH}:QUICK"], {"mine": [5, 3]})
    lrfjax.evaluate(folder, methods, tmp_path / "rows.jsonl", show_progress=False)
    rows = lrfjax.read_rows(tmp_path / "rows.jsonl")
    found = {(row.image, row.method, row.level) for row in rows}
    assert found == {(name, "mine", level) for name in ("a.png", "b.png") for level in (3.0, 5.0)}
    for row in rows:
        picture = lrfjax.read_image(folder / row.image)
        data = QUICK.encode(picture, lrfjax.Rate(quality=row.level))
        assert row.num_bytes == len(data)
        assert row.psnr_db == pytest.approx(float(lrfjax.psnr(picture, QUICK.decode(data))), 1e-3)
        assert row.parameters == {"effort": 1}


def test_the_command_takes_a_codec_from_outside(image, tmp_path, capsys):
    Image.fromarray(image).save(tmp_path / "in.png")
    coded, out = tmp_path / "x.mine", tmp_path / "out.png"
    method = ["--method", f"{PATH}:QUICK"]
    encode = ["encode", str(tmp_path / "in.png"), str(coded), "--quality", "8", *method]
    decode = ["decode", str(coded), str(out), *method]
    assert cli.main(encode) == 0
    assert coded.read_bytes() == lrfjax.encode(image, QUICK, quality=8)
    assert cli.main(decode) == 0
    assert np.array_equal(lrfjax.read_image(out), image)
    # The other settings of the object stay.
    assert cli.main([*encode, "--set", "offset=1"]) == 0
    assert coded.read_bytes() == lrfjax.encode(image, Mine(1, 1), quality=8)
    assert cli.main([*encode, "--set", "bounds=(0, 1)"]) == 1
    assert (
        f"bounds is a setting of imf-paper, not of --method {PATH}:QUICK" in capsys.readouterr().err
    )
    assert cli.main([*encode, "--set", "depth=1"]) == 1
    assert "no setting 'depth'; its settings are: effort, offset" in capsys.readouterr().err
    # Without its name the file is none of ours.
    assert cli.main(decode[:3]) == 1
    assert "not an lrfjax file" in capsys.readouterr().err
    assert cli.main(["decode", str(tmp_path / "none"), str(out), *method]) == 1
    assert cli.main([*decode, "--max-pixels", "100"]) == 1
    assert "max_pixels" in capsys.readouterr().err
