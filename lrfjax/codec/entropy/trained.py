"""Weights and symbol counts trained on photographs, all integers (``trained.npz``)."""

from __future__ import annotations

import functools
from importlib import resources

import numpy as np

from lrfjax.codec.dictionary.atoms import BANDS
from lrfjax.codec.entropy.ans import Table, table_from_counts
from lrfjax.codec.entropy.frequency_contexts import BandContext, band_context
from lrfjax.codec.entropy.magnitudes import ClassTables
from lrfjax.codec.entropy.sign_prediction import (
    SIGN_UNIT,
    SIGNS_PER_SYMBOL,
    prediction_matrices,
)

ZONES = (0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9)
"""The index of the tables of each band."""


@functools.lru_cache(maxsize=1)
def _arrays() -> dict[str, np.ndarray]:
    with resources.files("lrfjax.codec.entropy").joinpath("trained.npz").open("rb") as file:
        return dict(np.load(file, allow_pickle=False))


def _class_tables(counts: np.ndarray) -> ClassTables:
    return ClassTables.of([table_from_counts(row) for row in counts])


def context_weights() -> np.ndarray:
    """Return the context weights, see ``frequency_contexts.band_context``."""
    return _arrays()["weights"]


@functools.lru_cache(maxsize=1)
def band_contexts() -> list[list[list[BandContext]]]:
    """Return the context weights by plane, colour and band."""
    weights = context_weights()
    return [
        [[band_context(weights, p, c, b) for b in range(len(BANDS))] for c in (0, 1)]
        for p in range(3)
    ]


@functools.lru_cache(maxsize=1)
def band_tables() -> list[list[list[ClassTables]]]:
    """Return the tables by plane, colour and band."""
    return [
        [
            [zones[z] for z in ZONES]
            for zones in ([_class_tables(zone) for zone in c] for c in plane)
        ]
        for plane in _arrays()["band_counts"]
    ]


@functools.lru_cache(maxsize=1)
def mean_tables() -> list[list[ClassTables]]:
    """Return the tables of the means by kind of pass and plane."""
    return [[_class_tables(plane) for plane in kind] for kind in _arrays()["mean_counts"]]


@functools.lru_cache(maxsize=1)
def factor_weights() -> np.ndarray:
    """Return the weights of ``factor_coder``, int64, shape (kinds, situations, features)."""
    return _arrays()["factor_weights"].astype(np.int64)


@functools.lru_cache(maxsize=1)
def factor_tables() -> list[ClassTables]:
    """Return the tables of ``factor_coder`` for U and V."""
    return [_class_tables(kind) for kind in _arrays()["factor_counts"]]


@functools.lru_cache(maxsize=1)
def sign_matrices() -> list[list[np.ndarray]]:
    """Return the matrices of each plane, see ``sign_prediction.prediction_matrices``."""
    return [prediction_matrices(plane) for plane in _arrays()["sign_weights"]]


@functools.lru_cache(maxsize=1)
def sign_tables() -> list[Table]:
    """Return the tables of symbols of wrong predictions, one for each class of confidence."""
    wrong = np.bitwise_count(np.arange(1 << SIGNS_PER_SYMBOL)).astype(np.int64)
    return [
        table_from_counts((SIGN_UNIT - n) ** (SIGNS_PER_SYMBOL - wrong) * n**wrong)
        for n in _arrays()["sign_errors"].astype(np.int64)
    ]


@functools.lru_cache(maxsize=1)
def restoration_weights() -> list[np.ndarray]:
    """Return the weights of ``image.restore`` for each plane, int32, shape (..., NUM_CLASSES)."""
    return [_arrays()[f"restoration_{plane}"].astype(np.int32) for plane in range(3)]
