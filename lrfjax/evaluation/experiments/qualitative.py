"""A few images decoded by each codec at equal rates, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from tqdm import tqdm

from lrfjax.codec.codec import Rate
from lrfjax.errors import InputError
from lrfjax.evaluation import dataset
from lrfjax.evaluation.dataset import Item
from lrfjax.evaluation.experiments.base import Experiment, Finding, Outcome, Request
from lrfjax.evaluation.mean_curves import interpolate
from lrfjax.evaluation.methods import METHODS, Method
from lrfjax.evaluation.page import table
from lrfjax.evaluation.styles import method_color
from lrfjax.image.metrics import bits_per_pixel, psnr

RATES = (0.15, 0.25, 0.4)
MAX_IMAGES = 4
# The search ends at the first rate above the highest of RATES, so few of these are encoded.
_SEARCHED: Mapping[str, tuple[float, ...]] = {
    "imf-paper": METHODS["imf-paper"].levels[::2],
    "svd-paper": METHODS["svd-paper"].levels[::3],
    "jpeg": tuple(range(96)),
}
_NEWER = "dct"
_ORDER = ("imf-paper", "svd-paper", "jpeg", _NEWER)
_FRAME = "#D55E00"
_HEIGHT = 1.9


@dataclass(frozen=True, eq=False)
class Point:
    """An image decoded at one setting of a codec.

    Attributes:
        bpp: bits per pixel of the file.
        psnr_db: PSNR over all channels, in dB.
        decoded: decoded image in the shape of the original, uint8.
    """

    bpp: float
    psnr_db: float
    decoded: np.ndarray


def run(request: Request) -> Outcome:
    """Show a few images at ``RATES``, and compare PSNR there."""
    items = dataset.scan(request.data, lambda name, error: tqdm.write(f"skipped {name}: {error}"))
    chosen = spread(items)
    lines: list[list[str]] = []
    figures: dict[str, Figure] = {}
    gains: dict[str, list[float]] = {"svd-paper": [], "jpeg": []}
    hidden = None if request.show_progress else True
    for number, item in enumerate(tqdm(chosen, unit="image", disable=hidden), 1):
        image = dataset.load(item.path)
        curves = {name: points(METHODS[name], image) for name in _SEARCHED}
        shown = {name: [nearest(curve, rate) for rate in RATES] for name, curve in curves.items()}
        newer = [_at_rate(image, rate) for rate in RATES]
        columns: dict[str, Sequence[Point | None]] = {**shown, _NEWER: newer}
        gains["svd-paper"] += _gains(curves["imf-paper"], curves["svd-paper"], RATES)
        for point in filter(None, newer):
            level = at(curves["jpeg"], [point.bpp])[0]
            gains["jpeg"].append(point.psnr_db - level)
        crop = worst_square(image, shown["jpeg"][0].decoded)
        figures[f"picture_{number}"] = _draw(item, image, columns, crop)
        lines += [
            [f"{item.name}, {METHODS[name].label}", *map(_describe, columns[name])]
            for name in _ORDER
        ]
    note = (
        "Each cell is the setting with the nearest rate, in ratio: its actual rate in bpp and its "
        "PSNR over all channels in dB. The square marks the largest error of JPEG at the lowest "
        "rate."
    )
    heads = ["image and codec", *(f"{rate:g} bpp" for rate in RATES)]
    where = f"on {len(chosen)} images at {', '.join(f'{r:g}' for r in RATES)} bpp"
    findings = [
        _finding(f"the paper's IMF is above its SVD at each rate, {where}", gains["svd-paper"]),
        _finding(f"the DCT dictionary is above JPEG at each rate, {where}", gains["jpeg"]),
    ]
    return Outcome("Pictures at equal rates", [note, table(heads, lines)], findings, figures)


def spread(items: Sequence[Item]) -> list[Item]:
    """Return the first image and up to ``MAX_IMAGES - 1`` more, evenly spread over the folder."""
    places = np.linspace(0, len(items) - 1, min(MAX_IMAGES, len(items)))
    return [items[int(place)] for place in places]


def points(method: Method, image: np.ndarray) -> list[Point]:
    """Return an image at rising levels, up to the first rate above the highest of ``RATES``."""
    levels = _SEARCHED[method.name]
    found: list[Point] = []
    for files in replace(method, levels=levels).sweep_over([image], levels):
        found.append(_point(image, files[0], method))
        if found[-1].bpp > RATES[-1]:
            break
    return found


def _point(image: np.ndarray, data: bytes, method: Method) -> Point:
    decoded = method.codec.decode(data)
    return Point(bits_per_pixel(image.shape, data), float(psnr(image, decoded)), decoded)


def _at_rate(image: np.ndarray, rate: float) -> Point | None:
    """Return an image by the DCT dictionary at a rate; None if the image is too small for it."""
    method = METHODS[_NEWER]
    try:
        return _point(image, method.codec.encode(image, Rate(target_bpp=rate)), method)
    except InputError:
        return None


def nearest(curve: Sequence[Point], rate: float) -> Point:
    """Return the point whose rate is nearest in ratio; ties go to the higher PSNR."""
    return min(curve, key=lambda p: (abs(np.log(p.bpp / rate)), -p.psnr_db))


def at(curve: Sequence[Point], rates: Sequence[float]) -> np.ndarray:
    """Return the PSNR of a curve at given rates by linear interpolation; NaN beyond its ends."""
    lossy = [p for p in curve if np.isfinite(p.psnr_db)]
    if not lossy:
        return np.full(len(rates), np.nan)
    return interpolate([p.bpp for p in lossy], [p.psnr_db for p in lossy], rates, "linear")


def _gains(better: Sequence[Point], worse: Sequence[Point], rates: Sequence[float]) -> list[float]:
    return (at(better, rates) - at(worse, rates)).tolist()


def _finding(claim: str, gains: Sequence[float]) -> Finding:
    """Return whether all gains that could be measured are positive."""
    known = np.array([gain for gain in gains if np.isfinite(gain)])
    if not known.size:
        return Finding(claim, None, "no rate that both codecs reach")
    figures = (
        f"{known.min():+.2f} to {known.max():+.2f} dB, mean {known.mean():+.2f} dB, at "
        f"{known.size} common rates, by interpolation"
    )
    return Finding(claim, bool((known > 0).all()), figures)


def worst_square(image: np.ndarray, decoded: np.ndarray) -> tuple[slice, slice]:
    """Return the square, a quarter of the shorter side, with the most squared error.

    Args:
        image: shape (H, W) or (H, W, 3), uint8.
        decoded: decoded image of the same shape.

    Returns:
        The rows and the columns of the square; ties go to the first.

    Example:
        >>> image = np.zeros((16, 24), np.uint8)
        >>> decoded = image.copy()
        >>> decoded[8:12, 20:24] = 9
        >>> worst_square(image, decoded)
        (slice(8, 12, None), slice(20, 24, None))
    """
    side = max(min(image.shape[:2]) // 4, 1)
    error = (image.astype(np.int64) - decoded) ** 2
    error = error.sum(axis=2) if error.ndim == 3 else error
    sums = np.pad(error, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    row, column = np.unravel_index(np.argmax(inside), inside.shape)
    return slice(int(row), int(row) + side), slice(int(column), int(column) + side)


def _describe(point: Point | None) -> str:
    return "" if point is None else f"{point.bpp:.3f} bpp, {point.psnr_db:.2f} dB"


def _draw(
    item: Item,
    image: np.ndarray,
    columns: Mapping[str, Sequence[Point | None]],
    crop: tuple[slice, slice],
) -> Figure:
    ratio = image.shape[1] / image.shape[0]
    figure, axes = plt.subplots(
        1 + len(_ORDER),
        2 * len(RATES),
        figsize=((ratio + 1.08) * _HEIGHT * len(RATES), (_HEIGHT + 0.3) * (1 + len(_ORDER)) + 0.3),
        width_ratios=[ratio, 1] * len(RATES),
        layout="constrained",
        squeeze=False,
    )
    figure.suptitle(item.name)
    for pair, rate in zip(_pairs(axes[0]), RATES, strict=True):
        _show(pair, image, crop, f"original; below, near {rate:g} bpp", "black")
    for row, name in zip(axes[1:], _ORDER, strict=True):
        for pair, point in zip(_pairs(row), columns[name], strict=True):
            if point is None:
                for ax in pair:
                    ax.set_axis_off()
                pair[0].set_title(f"{METHODS[name].label}: not reached", loc="left", fontsize=8)
                continue
            title = f"{METHODS[name].label}  {point.bpp:.3f} bpp  {point.psnr_db:.2f} dB"
            _show(pair, point.decoded, crop, title, method_color(name))
    return figure


def _pairs(row: Sequence[Axes]) -> Iterator[Sequence[Axes]]:
    for k in range(0, len(row), 2):
        yield row[k : k + 2]


def _show(
    pair: Sequence[Axes], image: np.ndarray, crop: tuple[slice, slice], title: str, color: str
) -> None:
    """Show an image with the crop framed, and the crop magnified to the same height."""
    rows, columns = crop
    side = rows.stop - rows.start
    for ax, pixels in zip(pair, (image, image[crop]), strict=True):
        # Only the magnified crop shows single pixels; the whole image would be aliased.
        method = "antialiased" if ax is pair[0] else "nearest"
        ax.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation=method)
        ax.set_axis_off()
    frame = Rectangle(
        (columns.start - 0.5, rows.start - 0.5), side, side, fill=False, edgecolor=_FRAME
    )
    pair[0].add_patch(frame)
    pair[0].set_title(title, loc="left", fontsize=8, color=color)


EXPERIMENT = Experiment("qualitative", "a few images at equal rates, side by side", run)
