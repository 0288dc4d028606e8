"""The entropy coder: two coders with the same bytes, and walks that undo each other."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import lrfjax
from lrfjax.codec.dictionary.atoms import ATOMS, BANDS
from lrfjax.codec.entropy import (
    ans,
    deflate,
    dictionary_coder,
    factor_coder,
    interlaced,
    magnitudes,
    trained,
)
from lrfjax.codec.entropy.ans import (
    CompiledStack,
    ReferenceStack,
    SymbolDecoder,
    SymbolEncoder,
    table_from_counts,
    uniform,
)
from lrfjax.codec.entropy.frequency_contexts import MAX_MAGNITUDE
from lrfjax.codec.entropy.magnitudes import ESCAPE, MAX_ENTRY, NUM_CLASSES
from lrfjax.codec.quantize import Range, quantize, scale_at_least

needs_wheel = pytest.mark.skipif(ans.constriction is None, reason="constriction is not installed")
BACKENDS = [pytest.param(CompiledStack, marks=needs_wheel), ReferenceStack]
GRIDS = [(1, 1), (1, 7), (5, 1), (2, 2), (6, 7)]

seeds = st.integers(0, 2**16)
few = settings(max_examples=40, deadline=None)


@pytest.fixture(params=BACKENDS)
def backend(request, monkeypatch):
    """Makes one of the coders the default."""
    monkeypatch.setattr(ans, "default_backend", lambda: request.param)
    return request.param


def random_table(rng):
    counts = rng.geometric(0.01, rng.integers(2, 40)) * rng.integers(0, 2)
    counts[rng.integers(0, len(counts))] += 1
    return table_from_counts(counts)


@needs_wheel
@given(seed=seeds, sizes=st.lists(st.integers(0, 60), max_size=4))
@few
def test_both_coders_write_the_same_bytes_and_read_them(seed, sizes):
    rng = np.random.default_rng(seed)
    tables = [random_table(rng) for _ in sizes]
    parts = [rng.integers(0, len(t.frequencies), n) for t, n in zip(tables, sizes, strict=True)]
    encoder = SymbolEncoder()
    for part, table in zip(parts, tables, strict=True):
        encoder.put(part, table)
    data = encoder.finish(ReferenceStack)
    assert data == encoder.finish(CompiledStack)
    for stack in (ReferenceStack, CompiledStack):
        decoder = SymbolDecoder(data, stack)
        for part, table in zip(parts, tables, strict=True):
            assert np.array_equal(decoder.take(len(part), table), part)
        decoder.finish()


@needs_wheel
@given(seed=seeds, words=st.lists(st.integers(0, 2**32 - 1), max_size=6))
@example(seed=0, words=[])
@few
def test_both_coders_make_the_same_of_any_words(seed, words):
    rng = np.random.default_rng(seed)
    data = np.array([*words, 1], "<u4").tobytes() if words else b""
    decoders = [SymbolDecoder(data, stack) for stack in (ReferenceStack, CompiledStack)]
    for _ in range(4):
        table, count = random_table(rng), int(rng.integers(0, 30))
        reference, compiled = (decoder.take(count, table) for decoder in decoders)
        assert np.array_equal(reference, compiled)
        assert reference.min(initial=0) >= 0
        assert reference.max(initial=0) < len(table.frequencies)
    is_empty = [decoder._stack.is_empty() for decoder in decoders]
    assert is_empty[0] == is_empty[1]


@pytest.mark.parametrize("data", [b"\1", b"\1\2\3\4\5", bytes(4), b"\1\0\0\0" + bytes(4)])
def test_bytes_that_no_encoder_writes_are_refused(data):
    with pytest.raises(lrfjax.FormatError, match="symbols"):
        SymbolDecoder(data)


def test_symbols_that_are_left_over_are_noticed(backend):
    encoder = SymbolEncoder()
    encoder.put(np.arange(50) % 16, uniform(16))
    decoder = SymbolDecoder(encoder.finish())
    decoder.take(49, uniform(16))
    with pytest.raises(lrfjax.FormatError, match="end"):
        decoder.finish()


@given(counts=st.lists(st.integers(0, 2**38 // 300), min_size=2, max_size=300))
@few
def test_frequencies_sum_up_and_none_is_zero(counts):
    counts[-1] += 1
    frequencies = table_from_counts(np.array(counts)).frequencies
    assert frequencies.sum() == ans.TOTAL
    assert frequencies.min() >= 1
    shares = np.array(counts) / sum(counts) * ans.TOTAL
    assert np.abs(frequencies - shares).max() <= 2 * len(counts)


def test_every_trained_table_is_whole():
    tables = [t for kind in trained.mean_tables() for plane in kind for t in plane.tables]
    tables += [t for p in trained.band_tables() for c in p for band in c for t in band.tables]
    tables += [t for kind in trained.factor_tables() for t in kind.tables]
    for table in set(tables):
        assert table.frequencies.sum() == ans.TOTAL
        assert table.frequencies.min() >= 1


def test_what_is_expected_stays_exact_in_float32():
    for plane, colors in enumerate(trained.band_contexts()):
        for color, bands in enumerate(colors):
            for context in bands[1:]:
                own = context.same_cell[1].sum(axis=0)
                around = context.vertical[1].sum(axis=0) + context.horizontal[1].sum(axis=0)
                before = sum(weights.sum(axis=0) for _, weights in context.planes)
                column = context.own_vertical + context.own_horizontal
                sums = own + before + 2 * around + 2 * color * column.ravel()
                sums = sums + 4 * plane * context.beside.ravel()
                largest = MAX_MAGNITUDE * sums + context.offset(1).ravel()
                assert largest.max() < 2**24
                for weights in (context.same_cell[1], context.vertical[1], context.beside):
                    assert np.all((weights >= 0) & (weights == np.floor(weights)))


def test_more_expected_is_no_lower_class():
    expected = np.concatenate([np.arange(30_000), 2 ** np.arange(15, 25)]).astype(np.float32)
    classes = magnitudes.classes_of(expected)
    assert np.all(np.diff(classes.astype(int)) >= 0)
    assert classes[0] == 0
    assert set(classes.tolist()) == set(range(NUM_CLASSES))


@given(seed=seeds, largest=st.sampled_from([0, 1, ESCAPE - 1, ESCAPE, 300, MAX_ENTRY]))
@few
def test_magnitudes_and_signs_come_back(seed, largest):
    rng = np.random.default_rng(seed)
    values = rng.integers(-largest, largest + 1, (3, 17))
    values[0, 0] = largest
    classes = rng.integers(0, NUM_CLASSES, values.shape).astype(np.uint8)
    skip = int(rng.integers(0, 5))
    values[classes < skip] = 0
    tables = trained.factor_tables()[0]
    encoder = SymbolEncoder()
    magnitudes.put_by_class(encoder, np.abs(values), classes, tables, skip)
    magnitudes.put_signs(encoder, values)
    decoder = SymbolDecoder(encoder.finish())
    reader = magnitudes.MagnitudeReader(decoder)
    assert np.array_equal(reader.signs(reader.by_class(classes, tables, skip)), values)
    decoder.finish()


def test_every_excess_comes_back_at_the_length_it_is_said_to_have():
    largest = magnitudes.MAX_ERROR - ESCAPE
    values = np.r_[0:70, 2 ** np.arange(7, 16) - 1, largest]
    encoder = SymbolEncoder()
    magnitudes.put_excesses(encoder, values)
    data = encoder.finish()
    reader = magnitudes.MagnitudeReader(SymbolDecoder(data))
    assert np.array_equal(reader.excesses(len(values), largest), values)
    with pytest.raises(lrfjax.FormatError, match="entry"):
        magnitudes.MagnitudeReader(SymbolDecoder(data)).excesses(len(values), largest - 1)
    assert 0 <= 8 * len(data) - magnitudes.excess_bits(values).sum() <= 64


@given(seed=seeds, lagrangian=st.sampled_from([0.0, 0.02, 0.14, 0.5]), skip=st.integers(0, 3))
@few
def test_decisions_have_the_least_distortion_plus_rate(seed, lagrangian, skip):
    rng = np.random.default_rng(seed)
    targets = np.abs(rng.laplace(0, 2, 60)) * rng.choice([1, 10], 60)
    classes = rng.integers(0, 12, 60).astype(np.uint8)
    bits = trained.factor_tables()[0].bits
    chosen, spent, *_ = magnitudes.decide(targets, classes, bits, lagrangian, skip)
    total = 0.0
    for x, c, value in zip(targets, classes, chosen, strict=True):
        # Those around the target, and none at all.
        candidates = np.array(sorted({0, *(max(int(np.rint(x)) - i, 0) for i in (0, 1))}))
        cost = bits[c, np.minimum(candidates, ESCAPE)] + (candidates > 0)
        cost[candidates >= ESCAPE] += magnitudes.excess_bits(candidates - ESCAPE)[
            candidates >= ESCAPE
        ]
        if c < skip:
            assert value == 0
            continue
        objective = (x - candidates) ** 2 + lagrangian * cost
        mine = objective[candidates == value]
        assert mine.size == 1
        assert mine[0] <= objective.min() + 1e-3
        total += cost[candidates == value][0]
    assert abs(spent - total) <= 1e-3 * total + np.count_nonzero(chosen) + 1e-3


# Planes are made of three kinds of numbers: small, smooth, and as large as they may be.
def planes_of(kind, shape, rng):
    if kind == "random":
        return rng.integers(-3, 4, shape)
    if kind == "smooth":
        return np.cumsum(np.cumsum(rng.integers(-2, 3, shape), -1), -2)
    return rng.choice([-MAX_ENTRY, 0, MAX_ENTRY], shape)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("kind", ["random", "smooth", "large"])
def test_factors_come_back(kind, grid, backend):
    rng = np.random.default_rng(0)
    factor = planes_of(kind, (4, *grid), rng).reshape(4, -1).T
    factor[:, 2] = 0
    for has_signs, part in ((True, factor), (False, np.abs(factor))):
        encoder = SymbolEncoder()
        for which in (0, 1):
            source = factor_coder.EncodingSource(part, grid, encoder, has_signs=has_signs)
            factor_coder.walk(source, 4, grid, which)
        decoder = SymbolDecoder(encoder.finish())
        for which in (0, 1):
            source = factor_coder.DecodingSource(decoder, has_signs)
            decoded = factor_coder.walk(source, 4, grid, which)
            assert np.array_equal(decoded, part)
        decoder.finish()


@pytest.mark.parametrize("largest", [MAX_ENTRY - ESCAPE, MAX_ENTRY])
def test_the_largest_entries_come_back(largest):
    factor = largest * np.array([[1, 1], [-1, 0], [1, -1], [1, 1]])
    encoder = SymbolEncoder()
    factor_coder.walk(
        factor_coder.EncodingSource(factor, (2, 2), encoder, has_signs=True), 2, (2, 2), 0
    )
    source = factor_coder.DecodingSource(SymbolDecoder(encoder.finish()), True)
    assert np.array_equal(factor_coder.walk(source, 2, (2, 2), 0), factor)


@given(size=st.tuples(st.integers(1, 40), st.integers(1, 40)))
@few
def test_the_passes_visit_each_cell_once_and_look_back_only(size):
    seen = np.zeros(size[0] * size[1] + 1, int)
    seen[[0, -1]] = 1
    for step in interlaced.passes(*size):
        assert np.all(seen[step.known] == 1)
        assert np.all(step.count == np.sum(step.known < size[0] * size[1], axis=0))
        assert step.count.min() >= 1
        seen[step.cells] += 1
    assert np.all(seen == 1)


def test_of_the_passes_over_a_large_grid_one_is_in_memory():
    cells = 2**18
    tracemalloc.start()
    assert sum(len(step.cells) for step in interlaced.passes(1, cells)) == cells - 1
    # Half of the cells are in the last pass, with 48 bytes each, and as much to find them.
    assert tracemalloc.get_traced_memory()[1] < 85 * cells
    tracemalloc.stop()


def ratios_of(kind, grid, photo):
    """Return what U would be if it were not rounded, (planes, cells, columns)."""
    rng = np.random.default_rng(3)
    shape = (3, grid[0] * grid[1], len(ATOMS))
    if kind == "large":
        return rng.choice([-MAX_ENTRY - 5, 0.2, 1.0, 17.0, 500.0], shape).astype(np.float32)
    decay = 60 / (1 + np.array([a + b for a, b in ATOMS])) ** 1.5
    if kind == "random":
        return (rng.laplace(0, 0.3, shape) * decay).astype(np.float32)
    # The coefficients of the photograph, as good as any for it: its Fourier transform's.
    blocks = photo[: 16 * grid[0], : 16 * grid[1]].astype(np.float32) - 128
    blocks = blocks.reshape(grid[0], 16, grid[1], 16, 3).transpose(4, 0, 2, 1, 3)
    spectrum = np.fft.fft2(blocks).real.reshape(3, -1, 16, 16)
    return np.stack([spectrum[..., a, b] for a, b in ATOMS], axis=-1) / 160


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("kind", ["random", "photo", "large"])
def test_decided_entries_are_those_that_are_decoded(kind, grid, backend, photo):
    if backend is ReferenceStack and grid == GRIDS[-1]:
        grid = (2, 3)
    ratios = ratios_of(kind, grid, photo)
    for bands, skip in (((len(BANDS),) * 3, 0), ((3, 3, 3), 2), ((1, 2, 1), 0)):
        stack = dictionary_coder.Stack(grid, bands, (400, 600, 700), skip)
        source = dictionary_coder.DecidingSource(ratios, stack, 0.14)
        decided = dictionary_coder.walk(source, stack)
        encoder = SymbolEncoder()
        kinds = np.arange(grid[0] * grid[1]) % 4
        source.write(encoder, kinds)
        data = encoder.finish()
        used = dictionary_coder.Stack(grid, source.used_bands(), stack.steps, skip)
        decoder = SymbolDecoder(data)
        reading = dictionary_coder.DecodingSource(decoder, used, kinds)
        decoded = dictionary_coder.walk(reading, used)
        decoder.finish()
        columns = decoded.shape[-1]
        assert np.array_equal(decoded, decided[..., :columns])
        assert not decided[..., columns:].any()


@pytest.mark.parametrize("encode", ["dct_encode", "svd_encode"])
def test_the_reference_reads_and_writes_the_same_files(encode, photo, monkeypatch):
    image = photo[:24, :40]
    data = getattr(lrfjax, encode)(image, quality=40)
    pixels = lrfjax.decode(data)
    monkeypatch.setattr(ans, "constriction", None)
    assert ans.default_backend() is ReferenceStack
    assert getattr(lrfjax, encode)(image, quality=40) == data
    assert np.array_equal(lrfjax.decode(data), pixels)


@given(
    seed=seeds,
    lower=st.integers(-300, 300),
    span=st.sampled_from([0, 1, 31, 255, 256, 65535]),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 5)),
)
@few
def test_deflated_columns_come_back(seed, lower, span, shape):
    limits = Range(lower, span)
    matrix = np.random.default_rng(seed).integers(lower, lower + span + 1, shape)
    streams = deflate.encode_columns(matrix, limits)
    decoded, ends = deflate.decode_columns(b"xy" + b"".join(streams) + b"z", 2, shape, limits)
    assert np.array_equal(decoded, matrix)
    assert np.diff([2, *ends]).tolist() == [len(s) for s in streams]


@given(seed=seeds, bits=st.integers(1, 8), rank=st.integers(1, 9))
@few
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
