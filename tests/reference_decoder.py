"""A second decoder, from integer factors to pixels, in plain NumPy: int64, one patch at a time.

It shares no code with the package but the dictionaries and the headers, and is written from what
the docstrings and the description of the format say.
"""

import itertools
from pathlib import Path

import numpy as np

from lrfjax.codec.decode import Contents
from lrfjax.codec.dictionary.dictionaries import dictionary
from lrfjax.codec.entropy import trained
from lrfjax.codec.file.header_parts import Finish
from lrfjax.codec.file.tiled_headers import BasisHeader, DictionaryHeader
from lrfjax.codec.published.layout import Layout
from lrfjax.codec.quantize import IntegerFactors

FRACTION_BITS = {8: 4, 16: 8}


def render(contents: Contents) -> np.ndarray:
    """Return the pixels of a file without alpha, (H, W) or (H, W, 3)."""
    header = contents.header
    if isinstance(header, DictionaryHeader):
        planes = _dictionary_planes(contents)
        pixels = _finish(planes, header.finish, header.size, (16, 16))
    elif isinstance(header, BasisHeader):
        planes = _basis_planes(contents)
        pixels = _finish(planes, header.finish, header.size, (16, 16))
    else:
        pixels = _classic(contents.factors, header.layout)
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def _shifted(x: np.ndarray, shift: int) -> np.ndarray:
    """Return x / 2^shift, rounded, halves up."""
    return (2 * x + 2**shift) // 2 ** (shift + 1)


def _scaled_product(f: IntegerFactors) -> np.ndarray:
    product = f.u.astype(np.int64) @ f.v.astype(np.int64).T
    return _shifted(product * f.scale.mantissa, f.scale.shift)


def _dictionary_planes(contents: Contents) -> list[np.ndarray]:
    """Return the planes, padded to whole patches, in gray levels with fractional bits."""
    header = contents.header
    finish = header.finish
    bits = FRACTION_BITS[finish.depth]
    rows, columns = (-(-n // 16) for n in header.size)
    atoms = [dictionary(kind).astype(np.int64) for kind in range(4)]
    planes = [np.zeros((16 * rows, 16 * columns), np.int64) for _ in finish.steps]
    factors = iter(contents.factors)
    first = 0
    for kinds in contents.kinds:
        for plane, step in zip(planes, finish.steps, strict=True):
            u = next(factors).u.astype(np.int64)
            for patch, kind in enumerate(kinds):
                product = atoms[kind][:, : u.shape[1]] @ u[patch]
                product = np.clip(product, -(2**27 // step), 2**27 // step)
                # Norms of columns of V are 2^14, steps have four fractional bits.
                level = _shifted(product * step, 18 - bits).reshape(16, 16)
                row, column = divmod(first + patch, columns)
                plane[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = level
        first += len(kinds)
    return planes


def _basis_planes(contents: Contents) -> list[np.ndarray]:
    """Return the planes like ``_dictionary_planes``, with the columns of V one by one."""
    header = contents.header
    finish = header.finish
    bits = FRACTION_BITS[finish.depth]
    rows, columns = (-(-n // 16) for n in header.size)
    count = len(finish.steps)
    planes = [np.zeros((16 * rows, 16 * columns), np.int64) for _ in finish.steps]
    atoms = [dictionary(kind).astype(np.int64) for kind in range(4)]
    deviations, shift = contents.basis.deviations, contents.basis.unit_bits
    first = 0
    for tile, kinds in enumerate(contents.kinds):
        # The last plane has the columns of U of all planes.
        u = contents.factors[count * (tile + 1) - 1].u.astype(np.int64)
        rank = u.shape[1] // count
        for q, (plane, step) in enumerate(zip(planes, finish.steps, strict=True)):
            for patch, kind in enumerate(kinds):
                product = np.zeros(256, np.int64)
                for column in np.flatnonzero(u[patch]):
                    p, atom = divmod(int(column), rank)
                    own = deviations[256 * q : 256 * q + 256, 256 * p + atom].astype(np.int64)
                    v = _shifted(atoms[kind] @ own, shift)
                    if p == q:
                        v = v + atoms[kind][:, atom]
                    if header.method == "nmf":
                        v = np.maximum(v, 0)
                    product += u[patch, column] * v
                product = np.clip(product, -(2**27 // step), 2**27 // step)
                level = _shifted(product * step, 18 - bits) - (header.offsets[q] << bits)
                level = np.clip(level, -(512 << bits), 512 << bits).reshape(16, 16)
                row, column = divmod(first + patch, columns)
                plane[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = level
        first += len(kinds)
    return planes


def _finish(
    planes: list[np.ndarray], finish: Finish, size: tuple[int, int], patch: tuple[int, int]
) -> np.ndarray:
    """Deblock, restore, crop, and change colours."""
    bits = FRACTION_BITS[finish.depth]
    done = []
    for plane, step in zip(planes, finish.steps, strict=True):
        limit = max((step << (bits - 4)) * finish.deblocking // 16, 1)
        plane = _smooth_borders(plane, patch[1], limit)
        plane = _smooth_borders(plane.T, patch[0], limit).T
        done.append(np.clip(plane, -(512 << bits), 512 << bits))
    if finish.restoration:
        steps = [step << (bits - 4) for step in finish.steps]
        numbers = _block_classes(done[0], steps[0])
        done = [
            _restore(plane, number, step, finish.restoration, numbers)
            for number, (plane, step) in enumerate(zip(done, steps, strict=True))
        ]
    done = [np.clip(plane, -(512 << bits), 512 << bits)[: size[0], : size[1]] for plane in done]
    channels = []
    for row in finish.inverse:
        level = np.zeros(size, np.int64)
        for factor, plane in zip(row, done, strict=True):
            level += factor * plane
        level = _shifted(level, 12) + (128 << bits)
        if finish.depth == 8:
            channels.append(np.clip(_shifted(level, bits), 0, 255).astype(np.uint8))
        else:
            level = np.clip(level, 0, 255 << bits)
            channels.append(_shifted(257 * level, bits).astype(np.uint16))
    return np.dstack(channels)


def _smooth_borders(plane: np.ndarray, length: int, limit: int) -> np.ndarray:
    """Smooth the vertical borders that are ``length`` pixels apart."""
    out = plane.copy()
    slope = 64 * 2**16 // limit
    for border in range(length, plane.shape[1], length):
        for line in range(plane.shape[0]):
            p = [int(plane[line, border - 1 - i]) for i in range(4)]
            q = [int(plane[line, border + i]) for i in range(4)]
            jump = (4 * (q[0] - p[0]) - (p[0] - p[1]) - (q[1] - q[0])) // 4
            rough = abs(p[0] - 2 * p[1] + p[2]) + abs(q[0] - 2 * q[1] + q[2])
            rough += (abs(p[1] - p[3]) + abs(q[1] - q[3])) // 2
            by_jump = min(max(limit - abs(jump), 0) * slope // 2**16, 32)
            by_rough = min(max(2 * limit - 3 * rough, 0) * slope // 2**17, 32)
            moved = ((by_jump * by_rough + 16) // 32 * jump + 16) // 32
            for i, share in enumerate((22, 10, 3)):
                part = (share * moved + 32) // 64
                out[line, border - 1 - i] += part
                out[line, border + i] -= part
    return out


def _around(padded: np.ndarray, top: int, left: int, down: int, right: int) -> np.ndarray:
    """Return a block of 8 x 8 samples, moved, of a plane with two more samples on each side."""
    return padded[top + 2 + down : top + 10 + down, left + 2 + right : left + 10 + right]


def _block_classes(plane: np.ndarray, step: int) -> dict[tuple[int, int], int]:
    """Return the class of each block of 8 x 8 samples by the place of its first sample."""
    padded = np.pad(plane, 2, mode="edge")
    bounds = [a * step // 16 for a in (41, 82, 143, 225, 348, 512, 750, 1100, 1600)]
    numbers = {}
    for top, left in itertools.product(range(0, plane.shape[0], 8), range(0, plane.shape[1], 8)):
        twice = 2 * _around(padded, top, left, 0, 0)
        v, h, f, r = (
            int(
                np.abs(
                    twice - _around(padded, top, left, i, j) - _around(padded, top, left, -i, -j)
                ).sum()
            )
            for i, j in ((1, 0), (0, 1), (1, 1), (1, -1))
        )
        activity = sum(v + h >= bound for bound in bounds)
        diagonal = abs(f - r) > abs(v - h)
        m, n = (f, r) if diagonal else (v, h)
        strength = sum(2 * max(m, n) > ratio * min(m, n) for ratio in (3, 5))
        number = 9 * activity
        if strength:
            number += 4 * strength - 3 + 2 * diagonal + (m < n)
        numbers[top, left] = number
    return numbers


def _restore(
    plane: np.ndarray, number: int, step: int, strength: int, classes: dict[tuple[int, int], int]
) -> np.ndarray:
    """Restore a plane, block by block."""
    with np.load(Path(trained.__file__).with_name("trained.npz")) as arrays:
        weights = arrays[f"restoration_{number}"].astype(np.int64) * strength // 16
    limits = [max(c * step // 256, 1) for c in ((20, 110) if number else (20, 60, 180, 540))]
    out = plane.copy()
    padded = np.pad(plane, 2, mode="edge")
    for (top, left), of_block in classes.items():
        x = _around(padded, top, left, 0, 0)
        total = np.zeros_like(x)
        for i, (a, b) in enumerate(((0, 1), (1, 0), (0, 2), (1, 1), (1, -1), (2, 0))):
            for j, limit in enumerate(limits):
                weight = weights[len(limits) * i + j, of_block]
                for other in (
                    _around(padded, top, left, a, b),
                    _around(padded, top, left, -a, -b),
                ):
                    total += weight * np.clip(other - x, -limit, limit)
        out[top : top + 8, left : left + 8] = x + _shifted(total, 10)
    return out


def _unpatch(
    matrix: np.ndarray,
    channels: int,
    size: tuple[int, int],
    patch: tuple[int, int],
) -> list[np.ndarray]:
    """Return planes whose patches are the rows of a matrix, without their padding."""
    p, q = patch
    rows, columns = -(-size[0] // p), -(-size[1] // q)
    out = np.zeros((channels, rows * p, columns * q), np.int64)
    for m, line in enumerate(matrix):
        i, j = divmod(m, columns)
        out[:, i * p : i * p + p, j * q : j * q + q] = line.reshape(channels, p, q)
    top, left = (rows * p - size[0]) // 2, (columns * q - size[1]) // 2
    return list(out[:, top : top + size[0], left : left + size[1]])


def _classic(factors: list[IntegerFactors], layout: Layout) -> np.ndarray:
    planes = []
    for i, f in enumerate(factors):
        x = np.clip(_scaled_product(f), -(2**13), 2**13)
        size = layout.chroma_size if i else layout.size
        if layout.patch_size is None:
            planes.append(x)
        else:
            channels = f.v.shape[0] // (layout.patch_size[0] * layout.patch_size[1])
            planes += _unpatch(x, channels, size, layout.patch_size)
    if layout.color_space == "YCbCr":
        enlarge = _interpolated if layout.upsampling == "linear" else _nearest
        y, cb, cr = (
            enlarge(enlarge(plane, layout.size[0]).T, layout.size[1]).T for plane in planes
        )
        red, blue = cr - 128, cb - 128
        unit = 2**16
        planes = [
            y + _shifted(round(1.402 * unit) * red, 16),
            y + _shifted(round(-0.344136 * unit) * blue + round(-0.714136 * unit) * red, 16),
            y + _shifted(round(1.772 * unit) * blue, 16),
        ]
    return np.dstack([np.clip(plane, 0, 255) for plane in planes]).astype(np.uint8)


def _nearest(plane: np.ndarray, length: int) -> np.ndarray:
    given = plane.shape[0]
    return np.stack([plane[(2 * i + 1) * given // (2 * length)] for i in range(length)])


def _interpolated(plane: np.ndarray, length: int) -> np.ndarray:
    given = plane.shape[0]
    rows = []
    for i in range(length):
        place = min(max(64 * ((2 * i + 1) * given - length) // (2 * length), 0), 64 * (given - 1))
        low, share = divmod(place, 64)
        high = min(low + 1, given - 1)
        rows.append(_shifted((64 - share) * plane[low] + share * plane[high], 6))
    return np.stack(rows)
