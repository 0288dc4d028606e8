"""IMF, SVD and NMF in one pipeline: what is solved for, what is stored, what is decoded."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

import lrfjax
from lrfjax.codec.accounting import account
from lrfjax.codec.dictionary import tiles
from lrfjax.codec.dictionary.atoms import ATOMS
from lrfjax.codec.dictionary.dictionaries import dictionary
from lrfjax.codec.dictionary.tiles import reconstruct_tile
from lrfjax.codec.entropy import basis_coder
from lrfjax.codec.entropy.ans import SymbolEncoder
from lrfjax.codec.file.chunks import read_chunks, signed_varint, write_chunks
from lrfjax.codec.learned import decode as learned_decode
from lrfjax.codec.learned import encode as learned_encode
from lrfjax.codec.learned import fit as basis_fit
from lrfjax.codec.learned import quarters
from lrfjax.codec.learned import solvers as basis_solvers
from lrfjax.codec.learned.basis import Basis, products, read_basis
from lrfjax.codec.learned.choice import joined, reconstruction
from lrfjax.codec.products import scaled_product
from tests import reference_decoder
from tests.make_golden import deep, repeated_pattern

pytestmark = pytest.mark.unoptimized

METHODS = ("imf", "svd", "nmf")
BY_METHOD = pytest.mark.parametrize("method", METHODS)


def encoder(image, method, num_iters=2, rank=None):
    factorization = {
        "imf": basis_fit.IntegerFactorization(effort=2, num_iters=num_iters),
        "svd": basis_fit.SingularVectors(),
        "nmf": basis_fit.NonNegativeFactorization(num_iters=num_iters),
    }[method]
    return learned_encode.ImageEncoder(image, factorization, rank)


def encode(image, method, **rate):
    settings = {} if method == "svd" else {"num_iters": 2}
    return getattr(lrfjax, f"{method}_encode")(image, **settings, **rate)


def some_deviations(planes, in_quarters, rng):
    """Return E with a few entries of any size, where the format has entries."""
    groups = basis_coder.groups_of(planes, in_quarters)
    sizes = rng.integers(-60, 61, groups.shape) * (rng.random(groups.shape) < 0.01)
    return np.where(groups == basis_coder.NONE, 0, sizes).astype(np.int32)


@BY_METHOD
@pytest.mark.parametrize("patches", [4096, 16])
def test_the_measured_error_is_that_of_the_decoded_file(method, patches, photo, monkeypatch):
    monkeypatch.setattr(tiles, "PATCHES_PER_TILE", patches)
    monkeypatch.setattr(learned_encode, "SAMPLE_PATCHES", 2 * patches)
    image = photo if method == "imf" else photo[..., 0]
    made, error = encoder(image, method).measure(300.0)
    decoded = learned_decode.decode_tiles(made.header, made.bodies).reshape(image.shape)
    assert error == np.mean(np.square(image.astype(float) - decoded))
    assert made.bodies == encoder(image, method).encode(300.0).bodies


@BY_METHOD
def test_the_reference_decodes_to_the_same_pixels(method, photo):
    for image in (photo[:40, :50], deep(photo[:40, :50, 0])):
        data = encode(image, method, quality=40)
        decoded = lrfjax.decode(data)
        assert np.array_equal(reference_decoder.render(lrfjax.read_factors(data)), decoded)
        assert decoded.dtype == image.dtype
        peak = np.iinfo(image.dtype).max
        assert np.mean(np.square(image.astype(float) - decoded)) < (0.15 * peak) ** 2


@BY_METHOD
def test_the_factors_of_a_file_are_its_planes(method, photo):
    data = encode(photo[..., 0], method, quality=35)
    contents = lrfjax.read_factors(data)
    ((kinds,), (factors,)) = contents.kinds, contents.factors
    steps = contents.header.finish.steps
    exact = products(factors.u[None], kinds, contents.basis, steps)[0].T
    for kind in np.unique(kinds):
        v = contents.basis.columns(int(kind), 0)[:, : factors.u.shape[1]]
        product = replace(factors, v=v.astype(np.int32))
        rows = kinds == kind
        assert np.array_equal(product.u[rows] @ product.v.T, exact[rows])
        level = scaled_product(product)[rows]
        assert np.abs(level - exact[rows] * steps[0] / 2**18).max() <= 0.5
    assert np.array_equal(factors.v, contents.basis.columns(0, 0)[:, : factors.u.shape[1]])


def test_without_alternations_v_is_the_dictionary(photo):
    contents = lrfjax.read_factors(lrfjax.imf_encode(photo, quality=30, num_iters=0))
    assert not contents.basis.deviations.any()
    for plane, factors in enumerate(contents.factors):
        rank = factors.u.shape[1] // (plane + 1)
        assert np.array_equal(factors.v[:, plane * rank :], dictionary(0)[:, :rank])
        assert not factors.v[:, : plane * rank].any()


@pytest.mark.parametrize("depth", [8, 16])
def test_undeviating_products_are_those_of_the_dictionaries(depth):
    rng = np.random.default_rng(0)
    u = (rng.integers(-90, 91, (3, 12, 256)) * (rng.random((3, 12, 256)) < 0.1)).astype(np.int16)
    kinds = rng.integers(0, 4, 12).astype(np.int32)
    steps = (2, 300, 16384)
    fixed = np.asarray(reconstruct_tile(u, kinds, np.array(steps, np.int32), depth))
    made = encoder(np.zeros((48, 64, 3), np.uint8), "imf", 0).encode(300.0).header
    header = replace(made, finish=replace(made.finish, steps=steps, depth=depth))
    found = learned_decode.reconstruct(header, Basis.of_atoms(3, 6), u, kinds)
    # Products beyond 32 bits wrap with a dictionary; they are clipped here.
    assert np.array_equal(found.reshape(fixed.shape)[1:], fixed[1:])


def test_alternations_lower_the_cost_of_both_factors(monkeypatch):
    found = []
    fit = basis_fit.IntegerFactorization.fit

    def kept(*args):
        found.append(fit(*args))
        return found[-1]

    monkeypatch.setattr(basis_fit.IntegerFactorization, "fit", kept)
    made = encoder(repeated_pattern(), "imf", 3).encode(320.0)
    encoder(repeated_pattern(), "imf", 0).encode(320.0)
    learned, plain = found
    costs = learned.costs
    assert all(after < before for before, after in itertools.pairwise(costs))
    assert costs[-1] < 0.95 * plain.costs[-1]
    assert np.any(learned.basis.stored)
    # The cost is that of the file: the error of its factors, and the bits of its chunks.
    problem, decision = learned.problem, learned.decision
    left = joined(problem.x) - reconstruction(decision.u, learned.basis)
    bits = 8 * (len(made.bodies[1]) + len(made.bodies[0]))
    cost = float(np.square(left).sum()) + problem.lagrangian * bits
    assert abs(cost - costs[-1]) < 200 * problem.lagrangian
    assert made.bodies[1] == decision.body


def test_factors_of_nmf_are_not_negative(photo):
    contents = lrfjax.read_factors(encode(photo, "nmf", quality=35))
    for factors in contents.factors:
        assert factors.u.min() >= 0
        assert factors.v.min() >= 0
        assert factors.u.any()


def test_columns_of_the_svd_are_singular_vectors(photo):
    x = np.random.default_rng(0).normal(size=(1, 60, 256)).astype(np.float32)
    x *= 200 * 0.95 ** np.arange(256)
    found = basis_solvers.singular_columns(x, [256])
    basis, live = basis_solvers.rounded(found, 7, 1e-9, is_signed=True)
    matrix = quarters.split(x[0])
    _, _, vectors = np.linalg.svd(matrix, full_matrices=False)
    columns = np.eye(64) + basis.stored / basis.unit
    for vector in vectors[:5]:
        assert np.abs(columns.T @ vector).max() > 0.99
    assert live.any()


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("in_quarters", [False, True])
@pytest.mark.parametrize("unit_bits", [3, 10])
def test_deviations_come_back(planes, in_quarters, unit_bits):
    rng = np.random.default_rng(planes)
    for deviations in (some_deviations(planes, in_quarters, rng), None):
        if deviations is None:
            deviations = np.zeros_like(some_deviations(planes, in_quarters, rng))
        basis = Basis(deviations, planes, unit_bits)
        body = basis.encode()
        back = read_basis(body, planes, is_nonnegative=False)
        assert np.array_equal(back.stored, deviations)
        assert back.unit_bits == unit_bits
        assert abs(8 * len(body) - basis.bits) < 150


def test_quarters_share_a_v_of_8_by_8_pixels():
    rng = np.random.default_rng(1)
    own = 64 * (rng.integers(-9, 10, (64, 64)))
    whole = quarters.expanded(own, 1)
    # The quarters of D (I + E) are those of atoms of 8 x 8 pixels with the same coordinates.
    x = rng.normal(size=(5, 256))
    assert np.allclose(np.square(quarters.split(x)).sum(), np.square(x).sum())
    moved, expected = quarters.split(x @ whole.T), quarters.split(x) @ own.T
    assert np.abs(moved - expected).max() < 0.01 * np.abs(expected).max()
    # As FORMAT.md has it, entry by entry.
    for _ in range(200):
        (k, l, m, n), (a, b, c, d) = rng.integers(0, 8, 4), rng.integers(0, 2, 4)  # noqa: E741
        places = {f: i for i, f in enumerate(quarters.frequencies())}
        weight, mixed = 1, 0
        for first, second, i, j in ((k, m, a, c), (l, n, b, d)):
            if (first == 0) != (second == 0):
                weight, mixed = weight * (-1 if i == j == 1 else 1), mixed + 1
            else:
                weight *= int(i == j)
        weight *= (256, 181, 128)[mixed]
        row = ATOMS.index((2 * k + a, 2 * l + b))
        column = ATOMS.index((2 * m + c, 2 * n + d))
        entry = int(own[places[k, l], places[m, n]])
        assert whole[row, column] == (entry * weight + 128) >> 8


@BY_METHOD
def test_the_account_of_a_file_adds_up(method, photo):
    data = encode(photo, method, quality=30)
    found = account(data)
    total = sum(share.bits for share in found.shares) + found.choices + found.rest
    assert round(total) == 8 * lrfjax.read_factors(data).sizes["factors"]
    assert abs(found.rest) < 400
    (of_v,) = (share for share in found.shares if share.factor == "V")
    assert of_v.bits > 0


@BY_METHOD
def test_a_rank_drops_columns(method, photo):
    contents = lrfjax.read_factors(encode(photo[..., 0], method, rank=5))
    # With the SVD, each of the four quarters of a patch has as many columns of its own.
    most = 20 if method == "svd" else 5
    assert np.count_nonzero(contents.factors[0].u.any(axis=0)) <= most


def spoiled(data, at, change):
    """Return a file with another chunk."""
    chunks = list(read_chunks(data))
    chunks[at] = chunks[at][0], change(chunks[at][1])
    return write_chunks(chunks)


def test_broken_chunks_of_v_are_refused(photo):
    data = encode(photo[:17, :23], "imf", quality=40)

    def refused(broken):
        with pytest.raises(lrfjax.FormatError) as caught:
            lrfjax.decode(broken)
        with pytest.raises(lrfjax.FormatError):
            account(broken)
        return str(caught.value)

    assert "sharing of V" in refused(spoiled(data, 1, lambda v: b"\2" + v[1:]))
    assert "unit of V" in refused(spoiled(data, 1, lambda v: v[:1] + b"\x0b" + v[2:]))
    assert refused(spoiled(data, 1, lambda v: v[:2] + bytes([1, 2, 3, 4]) + v[2:]))
    refused(spoiled(data, 1, lambda v: v[:1]))
    refused(spoiled(data, 1, lambda v: b""))
    head, v, *rest = read_chunks(data)
    assert "chunks of factors" in refused(write_chunks([head, v]))
    assert "factors before a chunk of V" in refused(write_chunks([head, *rest]))
    for wrong in ([head, v, v, *rest], [head, *rest, v]):
        refused(write_chunks(wrong))


def test_deviations_beyond_the_limit_are_refused():
    deviations = np.zeros((256, 256), np.int32)
    deviations[3, 3] = 65
    out = SymbolEncoder()
    basis_coder.write(out, deviations, basis_coder.groups_of(1))
    with pytest.raises(lrfjax.FormatError, match="a deviation of V exceeds 8 atoms"):
        read_basis(bytes([0, 3]) + out.finish(), 1, is_nonnegative=False)
    assert read_basis(bytes([0, 4]) + out.finish(), 1, is_nonnegative=False).stored[3, 3] == 65


def test_the_largest_factors_stay_exact():
    deviations = np.full((256, 256), 8 << 10, np.int32)
    basis = Basis(deviations, 1, 10)
    u = np.full((1, 2, 256), 32767, np.int16)
    found = products(u, np.zeros(2, np.int32), basis, (1,))
    v = basis.columns(0, 0)
    assert np.abs(v).max() < 2**23
    exact = [sum(32767 * int(n) for n in row) for row in v]
    assert np.array_equal(found[0, :, 0], np.clip(exact, -(2**27), 2**27))


def test_offsets_beyond_the_limit_are_refused(photo):
    data = encode(photo[:17, :23, 0], "nmf", quality=20)
    ((offset,),) = [lrfjax.read_factors(data).header.offsets]
    assert offset > 0
    end = len(signed_varint(offset))
    with pytest.raises(lrfjax.FormatError, match="offset"):
        lrfjax.decode(spoiled(data, 0, lambda head: head[:-end] + signed_varint(257)))
