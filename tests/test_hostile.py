"""Hostile input is refused: at once where it claims too much, and never with another error."""

import itertools
import sys
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lrfjax
from lrfjax.codec.accounting import account
from lrfjax.codec.dictionary import tiles
from lrfjax.codec.dictionary.atoms import BANDS
from lrfjax.codec.dictionary.decode import finish_strips, reconstruct
from lrfjax.codec.entropy import (
    ans,
    deflate,
    dictionary_coder,
    factor_coder,
    magnitudes,
    trained,
)
from lrfjax.codec.file import container, learned_header
from lrfjax.codec.file.chunks import Reader, read_chunks, signed_varint, varint, write_chunks
from lrfjax.codec.file.header_parts import MAX_STEP, Finish
from lrfjax.codec.file.tiled_headers import DictionaryHeader
from lrfjax.codec.published import body as learned_body
from lrfjax.evaluation.describe import describe
from tests import fuzzing, parts
from tests.make_golden import FILES, read

SMALL = ("dct_pixel_gray", "svd_pixel", "dct_constant", "imf_linear")
HUGE = 2**31 - 1
seeds = st.integers(0, 2**32)


def refused(data, **params):
    """Return what the decoder says."""
    with pytest.raises(lrfjax.FormatError) as caught:
        lrfjax.decode(data, **params)
    return str(caught.value)


def chunks_of(name):
    """Return the chunks of a golden file."""
    return list(read_chunks(read(name)))


def headed(name, *parts):
    """Return a golden file with another header."""
    return write_chunks([(b"H", b"".join(parts)), *chunks_of(name)[1:]])


# Headers as lists of their numbers, as bytes, and beside each what it must not be.
NO_PLANES = [b"\0", b"\2", b"\4", b"\xff"]
NO_DEPTH = [b"\0", b"\1", b"\x0c", b"\x20", b"\xff"]
NO_STEP = [varint(0), varint(MAX_STEP + 1), varint(HUGE), b"\xff" * 6]
NO_COLOR = [varint(24579), signed_varint(-(2**29)), varint(HUGE)]
NO_SIDE = [varint(0), varint(HUGE), varint(2**27), b"\xff\xff\xff\xff\x7f", b"\x80" * 9 + b"\1"]


def finish(planes):
    color = [(signed_varint(4096 * (i % 4 == 0)), NO_COLOR) for i in range(9)]
    return [
        (bytes([planes]), NO_PLANES),
        (b"\x08", NO_DEPTH),
        (b"\x13", []),
        (b"\x10", [b"\x11", b"\xff"]),
        *[(varint(300), NO_STEP)] * planes,
        *(color if planes == 3 else []),
    ]


def dictionary_header(planes):
    no_rows = [varint(n) for n in (0, 3, 4, 2**20, HUGE)]
    size = [(varint(24), NO_SIDE), (varint(40), NO_SIDE)]
    return [(b"\0", [b"\3", b"\x80", b"\xff"]), *size, (varint(2), no_rows), *finish(planes)]


def basis_header(planes, method):
    no_method = [b"\3", b"\x80", b"\xff"]
    offsets = [(signed_varint(200), [signed_varint(257), varint(HUGE)])] * planes
    kind = [(b"\2", [b"\3", b"\x80"]), (bytes([method]), no_method)]
    return [*kind, *dictionary_header(planes)[1:], *(offsets if method == 2 else [])]


def stored_header(space, patch=8):
    no_choice = [b"\3", b"\4", b"\x80", b"\xff"]
    no_patch = [varint(n) for n in (0, 1025, 2**16, HUGE)]
    no_chroma = [varint(n) for n in (0, 41, HUGE)]
    no_rank = [varint(n) for n in (0, 500, 4097, HUGE)]
    no_scale = [varint(0), varint(2**30), varint(HUGE)]
    matrices = {"gray": 1, "RGB": 1, "YCbCr": 3}[space]
    chroma = [(varint(12), no_chroma), (varint(20), no_chroma), (b"\1", no_choice)]
    return [
        (b"\1", [b"\3", b"\x80", b"\xff"]),
        (b"\0", no_choice),
        (b"\1", no_choice),
        (bytes([learned_header.COLOR_SPACES.index(space)]), [b"\3", b"\x80", b"\xff"]),
        (b"\1", [b"\4", b"\5", b"\x80", b"\xff"]),
        (varint(24), NO_SIDE),
        (varint(40), NO_SIDE),
        *(chroma if space == "YCbCr" else []),
        *[(varint(patch), no_patch)] * 2,
        *[(varint(2), no_rank)] * matrices,
        (varint(200), [varint(2**16), varint(HUGE)]),
        (signed_varint(-100), [signed_varint(-(2**25) - 1), signed_varint(2**25), varint(HUGE)]),
        *[(varint(3), no_scale), (b"\4", [b"\x1f", b"\x20", b"\x40", b"\xff"])] * matrices,
    ]


TEMPLATES = [
    dictionary_header(1),
    dictionary_header(3),
    basis_header(1, 2),
    basis_header(3, 0),
    *map(stored_header, ("gray", "RGB", "YCbCr")),
]


def hostile_header(rng):
    """Return a header with a wrong number or more, or cut off, or that goes on."""
    template = TEMPLATES[rng.integers(0, len(TEMPLATES))]
    parts = [good for good, _ in template]
    case = rng.integers(0, 12)
    if case == 0:
        return b"".join(parts)[: rng.integers(0, len(b"".join(parts)))]
    if case == 1:
        return b"".join(parts) + rng.bytes(rng.integers(1, 20))
    for _ in range(rng.integers(1, 4)):
        fields = [i for i, (_, bad) in enumerate(template) if bad]
        place = fields[rng.integers(0, len(fields))]
        bad = template[place][1]
        parts[place] = bad[rng.integers(0, len(bad))]
    return b"".join(parts)


def test_the_headers_to_be_spoiled_are_fine():
    for template in TEMPLATES:
        container.read_header(Reader(b"".join(good for good, _ in template)), 10_000)


def test_a_thousand_hostile_headers_are_refused_with_little_work():
    rng = np.random.default_rng(0)
    for _ in range(1000):
        data = headed("dct_gray", hostile_header(rng))
        num_calls = itertools.count()
        sys.setprofile(lambda frame, event, argument, n=num_calls: next(n))
        try:
            refused(data)
        finally:
            sys.setprofile(None)
        assert next(num_calls) < 2000, data.hex()


@pytest.mark.parametrize("name", ["dct_rgb", "svd_rgb", "imf_linear", "imf_paper"])
def test_huge_claims_are_refused_before_anything_is_allocated(name):
    body = chunks_of(name)[0][1]
    at = (1, 5, 2)[body[0]]
    start = Reader(body, at)
    size = start.varint("height"), start.varint("width")
    for height, width in ((HUGE, HUGE), (1, 89_478_486), (9460, 9460), (HUGE, 1)):
        data = headed(name, body[:at], varint(height), varint(width), body[start.position :])
        tracemalloc.start()
        assert "exceeds the limit of 89478485" in refused(data)
        assert tracemalloc.get_traced_memory()[1] < 100_000
        tracemalloc.stop()
    pixels = size[0] * size[1]
    assert f"exceeds the limit of {pixels - 1}" in refused(read(name), max_pixels=pixels - 1)
    assert lrfjax.decode(read(name), max_pixels=4 * pixels).size >= pixels


@pytest.mark.parametrize("name", ["dct_gray", "imf_gray", "imf_paper"])
def test_the_account_refuses_what_the_decoder_refuses(name):
    *before, (tag, body) = chunks_of(name)
    # Words are read from the end, deflate streams from the beginning.
    longer = body + b"\0" if name == "imf_paper" else body[:6] + bytes([1, 2, 3, 4]) + body[6:]
    data = write_chunks([*before, (tag, longer)])
    said = refused(data)
    with pytest.raises(lrfjax.FormatError) as caught:
        account(data)
    assert str(caught.value) == said


def test_a_description_holds_one_tile_at_a_time():
    rest = chunks_of("dct_pixel_gray")[0][1][4:]
    tile = b"F", bytes([14, 0, 0, 0, 0, 1])  # 14 bands, no symbols: all entries are 0.
    peaks = []
    for count in (1, 8):
        size = varint(1024 * count) + varint(16) + varint(64)
        data = write_chunks([(b"H", b"\0" + size + rest), *[tile] * count])
        describe(data)
        tracemalloc.start()
        describe(data)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_tiles_are_counted_before_they_are_listed():
    body = chunks_of("dct_pixel_gray")[0][1]
    data = headed("dct_pixel_gray", b"\0", varint(89_478_485), varint(1), varint(1), body[4:])
    tracemalloc.start()
    assert "requires 5592406" in refused(data, max_pixels=2**31)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()
    # What follows the last tile of the header is not read.
    chunks = [*chunks_of("dct_gray"), *[(b"F", b"")] * 100_000]
    data = write_chunks(chunks)
    tracemalloc.start()
    assert "more chunks of factors than the 1" in refused(data)
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["dct_pixel_gray", "dct_pixel_rgb", "svd_pixel", "imf_gray"])
def test_padding_counts_for_the_limit_of_pixels(name):
    body = chunks_of(name)[0][1]
    at = (1, 5, 2)[body[0]]
    reader = Reader(body, at)
    reader.varint("height"), reader.varint("width")
    for sides in ((6_500_000, 1), (1, 12_700_000)):
        data = headed(name, body[:at], *map(varint, sides), body[reader.position :])
        tracemalloc.start()
        assert "padded to" in refused(data, max_pixels=max(sides))
        assert tracemalloc.get_traced_memory()[1] < 100_000
        tracemalloc.stop()


def test_long_thin_images_are_decoded():
    image = np.repeat(np.arange(100, dtype=np.uint8), 1000)[:, None]
    data = lrfjax.dct_encode(image, quality=50)
    assert np.abs(lrfjax.decode(data).astype(int) - image).max() < 9


@pytest.mark.parametrize("codec", ["dct", "imf", "imf-paper"])
def test_encoders_refuse_the_padding_that_decoders_refuse(codec):
    image = np.broadcast_to(np.zeros(1, np.uint8), (2_000_000, 1))
    with pytest.raises(lrfjax.InputError, match=r"pads .* \(2000000, 1\) .*max_pixels 2000000"):
        lrfjax.encode(image, codec, quality=50, max_pixels=2_000_000)


def test_numbers_have_one_form():
    assert "longer than it needs" in refused(headed("dct_gray", b"\0\x98\0", b"\x28\2"))
    for wrong in (b"\x80\0", b"\xff\0", b"\x80\x80\0", b"\x81\x80\x80\x80\0"):
        with pytest.raises(lrfjax.FormatError, match=r"the number .* longer than it needs"):
            Reader(wrong).varint("the number")
    for value in (0, 1, 127, 128, 2**14 - 1, 2**14, HUGE):
        assert Reader(varint(value)).varint("the number") == value


@pytest.mark.parametrize("name", [*FILES][:24])
def test_every_prefix_is_refused(name):
    data = read(name)
    for end in range(len(data)):
        refused(data[:end])


@pytest.mark.parametrize("name", SMALL)
def test_every_flipped_bit_is_noticed(name):
    data = read(name)
    assert len(data) < 300
    for bit in range(8 * len(data)):
        broken = bytearray(data)
        broken[bit // 8] ^= 1 << bit % 8
        refused(bytes(broken))


def test_what_comes_after_the_end_is_refused():
    for name in SMALL:
        for more in (b"\0", b"F", bytes(9), read(name)):
            refused(read(name) + more)


def test_other_versions_chunks_and_kinds_are_refused():
    data = read("dct_rgba")
    chunks = chunks_of("dct_rgba")
    head, alpha, factors = chunks
    assert "version 9" in refused(data[:4] + b"\x09" + data[5:])
    assert "version 1" in refused(data[:4] + b"\x01" + data[5:])
    assert "not an lrfjax file" in refused(b"\x89PNG\r\n")
    assert "not an lrfjax file" in refused(b"")
    assert "header" in refused(data[:5])
    assert "b'Z' is unknown" in refused(write_chunks([*chunks, (b"Z", b"")]))
    assert "kind of file 3" in refused(write_chunks([(b"H", b"\3" + head[1][1:]), *chunks[1:]]))
    for wrong in (
        [alpha, head, factors],
        [head, alpha, alpha, factors],
        [head, factors, alpha],
        [head, head, alpha, factors],
        [alpha, factors],
    ):
        refused(write_chunks(wrong))


@pytest.mark.parametrize("name", ["dct_rgb", "dct_tiles", "svd_rgb", "imf_paper"])
def test_each_tile_is_there_once(name):
    chunks = chunks_of(name)
    assert "chunks of factors" in refused(write_chunks(chunks[:-1]))
    assert "chunks of factors" in refused(write_chunks([*chunks, chunks[-1]]))
    assert "chunks of factors" in refused(write_chunks(chunks[:1]))


def test_alpha_is_for_color_images_of_8_bits():
    alpha = zlib.compress(bytes(24 * 40))
    for name in ("dct_gray", "dct_gray16", "dct_rgb16", "imf_gray", "imf_wide"):
        chunks = chunks_of(name)
        assert "alpha" in refused(write_chunks([chunks[0], (b"A", alpha), *chunks[1:]]))


@pytest.mark.parametrize(
    "alpha",
    [
        zlib.compress(bytes(10**8)),
        zlib.compress(bytes(24 * 40 - 1)),
        zlib.compress(bytes(24 * 40)) + b"\0",
        zlib.compress(bytes(24 * 40))[:-1],
        b"",
        b"\0" * 20,
    ],
    ids=["bomb", "short", "more", "cut", "empty", "zeros"],
)
def test_alpha_of_another_size_is_refused(alpha):
    chunks = chunks_of("dct_rgb")
    data = write_chunks([chunks[0], (b"A", alpha), *chunks[1:]])
    tracemalloc.start()
    assert "alpha" in refused(data)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("name", ["dct_rgb", "svd_rgb", "imf_paper"])
def test_alpha_and_heads_of_tiles_are_read_before_pixels(name, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("too early")

    monkeypatch.setattr(tiles, "read_tile", fail)
    monkeypatch.setattr(learned_body, "read", fail)
    monkeypatch.setattr(deflate, "decode_columns", fail)
    head, *bodies = chunks_of(name)
    assert "alpha" in refused(write_chunks([head, (b"A", zlib.compress(bytes(9))), *bodies]))
    chunks = chunks_of("dct_tiles")
    chunks[-1] = b"F", b"\x7f" + chunks[-1][1][1:]
    assert "number of bands" in refused(write_chunks(chunks))


def test_deflated_columns_are_refused_if_their_bytes_are_too_few():
    sides = varint(9000), varint(9000)
    body = bytes([1, 0, 0, 0, 3]) + b"".join(sides) + b"\0\0" + varint(4096) + b"\0\0"
    tracemalloc.start()
    said = refused(write_chunks([(b"H", body), (b"F", bytes(40))]))
    assert "40 bytes cannot hold 4096 columns of 9000 entries" in said
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()


def test_a_deflate_bomb_is_cut_off():
    coder = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = coder.compress(bytes(10**8)) + coder.flush()
    chunks = chunks_of("imf_paper")
    tracemalloc.start()
    assert "entries" in refused(write_chunks([chunks[0], (b"F", bomb)]))
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("count", "seed"), [(250, 0), pytest.param(30_000, 1, marks=pytest.mark.slow)]
)
def test_mutants_are_decoded_or_refused(count, seed):
    found = fuzzing.fuzz(count, seed).outcomes
    assert sum(found.values()) == count
    assert set(found) <= {"decoded", "FormatError"}
    assert found["decoded"] > count / 100


def test_golden_files_in_parts_are_the_whole_files():
    for data in fuzzing.golden():
        chunks = parts.parse(data)
        assert len(chunks[0].parts) >= 8
        joined = b"".join(chunk.joined() for chunk in chunks)
        assert parts.repaired(data[:5] + joined) == data


def test_the_fuzzer_notices_time_memory_and_readers_that_disagree(monkeypatch):
    def slow(data):
        time.sleep(0.05)
        return str(np.ones(2**23).sum())

    monkeypatch.setattr(fuzzing, "outcome", slow)
    _, seconds, growth = fuzzing.measured(b"")
    assert seconds >= 0.05
    assert 50 << 20 < growth < 100 << 20
    for name in ("LONGEST_SECONDS", "LARGEST_GROWTH"):
        with monkeypatch.context() as patch:
            patch.setattr(fuzzing, name, 0.01)
            with pytest.raises(AssertionError, match="took" if "SECONDS" in name else "grew"):
                fuzzing.fuzz(1, 0)
    monkeypatch.undo()
    monkeypatch.setattr(fuzzing, "describe", lambda data, max_pixels: "fine")
    with pytest.raises(AssertionError, match="not an lrfjax file"):
        fuzzing.outcome(b"")


# Targets of their own: what mutants of whole files hardly ever reach.
some = settings(max_examples=100, deadline=None)


@given(counts=st.lists(st.integers(0, 255), min_size=4, max_size=4).filter(any))
@some
def test_any_counts_make_a_table(counts):
    frequencies = ans.table_from_counts(np.array(counts)).frequencies
    assert frequencies.sum() == ans.TOTAL
    assert frequencies.min() >= 1
    body = bytes([1, 0, *counts]) + np.array([7, 9, 1], "<u4").tobytes()
    u_or_error(lambda: tiles.read_tile(body, (3, 3), (40,)))


def u_or_error(call):
    """Return what a call returns, or None if it raises FormatError; anything else is an error."""
    try:
        return call()
    except lrfjax.FormatError:
        return None


def words(rng, count=None):
    count = int(rng.integers(0, 60)) if count is None else count
    data = rng.integers(0, 2**32, count, dtype=np.uint64)
    # Words of zeros and of ones are what broken files are made of.
    data[rng.random(count) < 0.1] = 0
    data[rng.random(count) < 0.1] = 2**32 - 1
    return np.append(data, 1 + rng.integers(0, 2**32 - 1)).astype("<u4").tobytes()


@given(seed=seeds)
@some
def test_random_words_give_symbols_in_their_range(seed):
    rng = np.random.default_rng(seed)
    decoder = ans.SymbolDecoder(words(rng))
    reader = magnitudes.MagnitudeReader(decoder)
    for _ in range(3):
        size = int(rng.integers(2, 300))
        table = ans.table_from_counts(rng.integers(0, 1000, size) + (np.arange(size) == 0))
        symbols = decoder.take(int(rng.integers(0, 50)), table)
        assert symbols.min(initial=0) >= 0
        assert symbols.max(initial=0) < size
        classes = rng.integers(0, magnitudes.NUM_CLASSES, 20).astype(np.uint8)
        found = u_or_error(lambda c=classes: reader.by_class(c, trained.factor_tables()[0]))
        if found is not None:
            assert 0 <= found.min() <= found.max() <= magnitudes.MAX_ENTRY
    u_or_error(decoder.finish)


@given(seed=seeds)
@some
def test_random_words_give_dictionary_factors_that_can_be_rendered(seed):
    rng = np.random.default_rng(seed)
    bands = tuple(rng.integers(1, len(BANDS) + 1, 3).tolist())
    steps = tuple(rng.choice([1, 16, 300, MAX_STEP], 3).tolist())
    stack = dictionary_coder.Stack((2, 3), bands, steps, int(rng.integers(0, 32)))
    decoder = ans.SymbolDecoder(words(rng, 400))
    kinds = rng.integers(0, 4, 6).astype(np.int32)
    source = dictionary_coder.DecodingSource(decoder, stack, kinds)
    u = u_or_error(lambda: dictionary_coder.walk(source, stack))
    if u is None:
        return
    inverse = rng.integers(-4096, 4097, (3, 3))
    finishing = Finish(8, tuple(map(tuple, inverse.tolist())), steps, 255, 16)
    header = DictionaryHeader((32, 48), 2, finishing)
    ((_, pixels),) = finish_strips(header, [reconstruct(header, u, kinds)])
    assert (pixels.shape, pixels.dtype) == ((32, 48, 3), np.uint8)


@given(seed=seeds, grid=st.sampled_from([(1, 1), (1, 9), (4, 5)]), kind=st.integers(0, 1))
@some
def test_random_words_give_learned_factors_in_their_range(seed, grid, kind):
    rng = np.random.default_rng(seed)
    decoder = ans.SymbolDecoder(words(rng, 100))
    source = factor_coder.DecodingSource(decoder, has_signs=bool(rng.integers(0, 2)))
    factor = u_or_error(lambda: factor_coder.walk(source, 8, grid, kind))
    if factor is not None:
        assert factor.shape == (grid[0] * grid[1], 8)
        assert np.abs(factor).max() <= magnitudes.MAX_ENTRY


@given(seed=seeds, name=st.sampled_from(["dct_gray", "dct_rgb", "svd_rgb", "imf_paper_contexts"]))
@some
def test_random_bodies_are_refused(seed, name):
    rng = np.random.default_rng(seed)
    *before, (tag, body) = chunks_of(name)
    start = int(rng.integers(0, 8))
    broken = body[:start] + words(rng)
    u_or_error(lambda: lrfjax.decode(write_chunks([*before, (tag, broken)])))
