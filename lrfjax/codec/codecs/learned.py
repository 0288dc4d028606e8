"""The codecs that solve for both factors: IMF, SVD and NMF in one pipeline.

They share all stages with each other but the factorization: the colours, the patches, the decision
of both factors by their rate, the contexts, deblocking and the control of the rate. V is stored by
its deviations from the DCT dictionaries. A comparison of these codecs compares factorizations.

V differs in what suits each. IMF starts from the dictionary that is best for a patch. The SVD has a
V of 8 x 8 pixels, which the quarters of a patch share: one of 16 x 16 costs it far more bits than
it saves. NMF has at most 32 columns, which have no order to cut them off by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from lrfjax import checks
from lrfjax.codec.codecs.dct import check_tiled
from lrfjax.codec.dictionary.atoms import ATOMS
from lrfjax.codec.file_codec import DialCodec, Encoder, Extras
from lrfjax.codec.learned import encode as learned_encode
from lrfjax.codec.learned.fit import (
    Factorization,
    IntegerFactorization,
    NonNegativeFactorization,
    SingularVectors,
)


@dataclass(frozen=True)
class _Learned(DialCodec):
    levels: ClassVar[tuple[float, ...]] = (0, 4, 8, 13, 18, 24, 30, 36, 42, 48, 54, 60)

    def encoder(self, image: np.ndarray, rank: int | None, extras: Extras) -> Encoder:
        """See ``DialCodec``; ranks go up to 256."""
        check_tiled(image, extras.max_pixels)
        if rank is not None:
            rank = checks.integer("rank", rank, 1, len(ATOMS))
        return learned_encode.ImageEncoder(image, self.factorization(), rank, extras.progress)

    def factorization(self) -> Factorization:
        """Return how U and V are found."""
        raise NotImplementedError


@dataclass(frozen=True)
class IMFCodec(_Learned):
    """Integer matrix factorization: both factors are integers, and both are solved for.

    What is minimised is the squared error plus the bits of both factors. An entry of V that does
    not pay for its bits stays that of the DCT dictionary.

    Attributes:
        num_iters: largest number of alternations between V and U. It ends earlier where they gain
            next to nothing. With 0, V is the DCT dictionary.
        effort: effort of the choice among the dictionaries that V starts from: 1 takes one for all
            patches, 2 estimates the best one for each patch, 3 tries them all.
    """

    num_iters: int = 3
    effort: int = 2

    name: ClassVar[str] = "imf"
    label: ClassVar[str] = "IMF"
    method: ClassVar[str] = "imf"

    def __post_init__(self) -> None:
        checks.integer("num_iters", self.num_iters, 0)
        checks.integer("effort", self.effort, 1, 3)

    def factorization(self) -> Factorization:
        """See ``_Learned``."""
        return IntegerFactorization(effort=self.effort, num_iters=self.num_iters)


@dataclass(frozen=True)
class SVDCodec(_Learned):
    """The truncated SVD: V holds singular vectors, rounded as finely as pays."""

    name: ClassVar[str] = "svd"
    label: ClassVar[str] = "SVD"
    method: ClassVar[str] = "svd"

    def factorization(self) -> Factorization:
        """See ``_Learned``."""
        return SingularVectors()


@dataclass(frozen=True)
class NMFCodec(_Learned):
    """Non-negative matrix factorization of planes that a constant lifts above zero.

    Attributes:
        num_iters: number of solver sweeps.
    """

    num_iters: int = 30

    name: ClassVar[str] = "nmf"
    label: ClassVar[str] = "NMF"
    method: ClassVar[str] = "nmf"
    levels: ClassVar[tuple[float, ...]] = (0, 5, 10, 15, 20, 25, 31, 37, 43)

    def __post_init__(self) -> None:
        checks.integer("num_iters", self.num_iters, 0)

    def factorization(self) -> Factorization:
        """See ``_Learned``."""
        return NonNegativeFactorization(num_iters=self.num_iters)
