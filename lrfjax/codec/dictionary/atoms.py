"""The atoms of the dictionaries: their frequencies, their order and their bands.

An atom is a column of V. It has a vertical and a horizontal frequency (a, b), each from 0 to 15.
Atoms are ordered by a + b, then by a. A band is a run of atoms with neighbouring a + b; the entropy
coder codes U band by band.
"""

from __future__ import annotations

import itertools

SIDE = 16
"""The side of a patch in pixels, and the number of frequencies in each direction."""

PATCH_SIZE = (SIDE, SIDE)

ATOMS = sorted(
    ((a, b) for a in range(SIDE) for b in range(SIDE)), key=lambda f: (f[0] + f[1], f[0])
)
"""The frequencies (a, b) of each column of U."""

INDEX = {frequencies: index for index, frequencies in enumerate(ATOMS)}
"""The column of each pair of frequencies: the inverse of ``ATOMS``."""

_FIRST_SUMS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, 16, 20, 31)
BANDS = tuple(
    (
        sum(a + b < low for a, b in ATOMS),
        sum(a + b < high for a, b in ATOMS),
    )
    for low, high in itertools.pairwise(_FIRST_SUMS)
)
"""The first column of each band, and the one after its last."""


def band_of(atom: tuple[int, int]) -> int:
    """Return the index of the band of an atom.

    Example:
        >>> band_of((0, 0)), band_of((15, 15))
        (0, 13)
    """
    return sum(sum(atom) >= low for low in _FIRST_SUMS[1:])
