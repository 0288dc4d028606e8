"""Agreement and accuracy of an ImageNet classifier on decoded images, over the rate.

A file keeps the five most likely classes of the originals and of every decoded image. Agreement and
accuracy are counted from it, so an interrupted experiment resumes, and labels can be added to a
finished one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from PIL import features
from tqdm import tqdm

from lrfjax.errors import LrfError
from lrfjax.evaluation import dataset
from lrfjax.evaluation.classification.classifier import load_classifier, read_labels, top_k
from lrfjax.evaluation.dataset import Item
from lrfjax.evaluation.experiments.base import Experiment, Finding, Outcome, Request
from lrfjax.evaluation.experiments.class_rows import ORIGINAL, ClassRow, ClassRows, row_key
from lrfjax.evaluation.experiments.class_shares import METRICS, RATES, Shares, count
from lrfjax.evaluation.methods import METHODS, Method
from lrfjax.evaluation.page import table
from lrfjax.evaluation.report import label
from lrfjax.evaluation.styles import curve_styles
from lrfjax.image.metrics import bits_per_pixel

LOW_RATE = 0.3
FEWEST_IMAGES = 5
# Mostly between 0.05 and 1 bpp on photographs.
LEVELS: Mapping[str, tuple[float, ...]] = {
    "imf-paper": (0, 3, 4.7, 6.3, 8, 9.4, 11, 12.5, 15.7, 20, 25, 31, 38),
    "svd-paper": (0.5, 1.1, 1.6, 2.1, 2.7, 3.2, 3.7, 4.7, 5.8),
    "jpeg": (0, 3, 5, 7, 9, 12, 15, 18, 22, 26, 31, 37, 44, 52, 60, 70),
    "imf": (0, 5, 10, 15, 18, 22, 26, 30, 34, 38, 43, 48, 53),
    "dct": (0, 5, 10, 15, 18, 22, 26, 30, 34, 38, 43, 48, 53),
    "webp": (0, 3, 7, 12, 18, 25, 33, 42, 52, 62, 72),
}
_PENDING = 16

Predict = Callable[[Sequence[np.ndarray]], np.ndarray]


def run(request: Request) -> Outcome:
    """Classify all images before and after each codec, and compare.

    Raises:
        InputError: before any encoding, if the classifier is not installed, the labels cannot be
            read, no image can be used, or the file of classes cannot be written or read.
    """
    classifier = load_classifier()
    labels = None if request.labels is None else read_labels(request.labels)
    items = dataset.scan(request.data, lambda name, error: tqdm.write(f"skipped {name}: {error}"))
    methods = [
        replace(METHODS[name], levels=levels)
        for name, levels in LEVELS.items()
        if name != "webp" or features.check("webp")
    ]
    with closing(ClassRows(request.out / "classes.jsonl")) as rows:
        _classify(items, methods, classifier.predict, rows, request.show_progress)
        by_key = dict(rows.rows)
    names = [method.name for method in methods]
    originals = {
        item: by_key[row_key(item, ORIGINAL)].classes[0]
        for item in items
        if row_key(item, ORIGINAL) in by_key
    }
    counted = {"agreement": {m: count(originals, by_key, LEVELS, names, m) for m in METRICS}}
    parts = [
        "Shares of images at rates in bpp, plus or minus one standard error, with the number of "
        "images in brackets. At each rate, an image counts with its largest file up to that rate; "
        f"an image without such a file is left out. {len(originals)} images. "
        "Agreement: the most likely class of the original is the most likely class of the decoded "
        "image (top-1) or among its five most likely ones (top-5)."
    ]
    if labels is not None:
        known = {item: labels[item.name] for item in originals if item.name in labels}
        if missing := [item.name for item in originals if item.name not in labels]:
            tqdm.write(f"{len(missing)} images have no label, such as {missing[0]}")
        if known:
            counted["accuracy"] = {m: count(known, by_key, LEVELS, names, m) for m in METRICS}
            own = [by_key[row_key(item, ORIGINAL)].classes for item in known]
            first = np.mean([c[0] == k for c, k in zip(own, known.values(), strict=True)])
            five = np.mean([k in c for c, k in zip(own, known.values(), strict=True)])
            parts.append(
                "Accuracy: the same with the label in place of the original's class, on "
                f"{len(known)} images. Accuracy on the originals: {first:.3f} (top-1), {five:.3f} "
                "(top-5)."
            )
    figures = {}
    for kind, by_metric in counted.items():
        for metric, shares in by_metric.items():
            parts.append(f"## {kind.capitalize()}, {metric}\n\n{_table(shares)}")
            figures[f"{kind}_{metric.replace('-', '')}"] = _draw(shares, f"{kind}, {metric}")
    return Outcome(
        "Classification of decoded images",
        parts,
        [low_rate_finding(counted["agreement"]["top-5"])],
        figures,
    )


def _classify(
    items: Sequence[Item],
    methods: Sequence[Method],
    predict: Predict,
    rows: ClassRows,
    show_progress: bool,
) -> None:
    """Add the missing rows: the classes of the originals and of the decoded images."""
    wanted = [
        row_key(item, name, level)
        for item in items
        for name, levels in [(ORIGINAL, (0.0,)), *((m.name, m.levels) for m in methods)]
        for level in levels
    ]
    missing = sum(key not in rows.rows for key in wanted)
    hidden = None if show_progress else True
    pending: list[tuple[Item, str, float, float, np.ndarray]] = []

    def flush() -> None:
        if not pending:
            return
        classes = top_k(predict([pixels for *_, pixels in pending]), 5)
        rows.append(
            [
                ClassRow(item.name, item.digest, name, level, bpp, tuple(own))
                for (item, name, level, bpp, _), own in zip(pending, classes.tolist(), strict=True)
            ]
        )
        bar.update(len(pending))
        pending.clear()

    with tqdm(
        total=len(wanted), initial=len(wanted) - missing, unit="picture", disable=hidden
    ) as bar:
        for batch in dataset.batches(items):
            images: list[np.ndarray] = []
            for method in (None, *methods):
                name, levels = (method.name, method.levels) if method else (ORIGINAL, (0.0,))
                todo = {float(level): _missing(batch, name, level, rows) for level in levels}
                todo = {level: own for level, own in todo.items() if own}
                if not todo:
                    continue
                images = images or [dataset.load(item.path) for item in batch]
                bar.set_postfix_str(f"{label(name)}, {batch[0].name}", refresh=False)
                try:
                    for level, k, bpp, pixels in _decoded(images, method, todo):
                        pending.append((batch[k], name, level, bpp, pixels))
                        if len(pending) >= _PENDING:
                            flush()
                except (LrfError, MemoryError) as error:
                    others = f" and {len(batch) - 1} more" * (len(batch) > 1)
                    tqdm.write(f"skipped {batch[0].name}{others} with {label(name)}: {error}")
        flush()


def _missing(batch: Sequence[Item], name: str, level: float, rows: ClassRows) -> list[int]:
    """Return the indices of the images in a batch that lack a row."""
    return [k for k, item in enumerate(batch) if row_key(item, name, level) not in rows.rows]


def _decoded(
    images: Sequence[np.ndarray], method: Method | None, todo: Mapping[float, Sequence[int]]
) -> Iterator[tuple[float, int, float, np.ndarray]]:
    """Yield level, index in the batch, rate and pixels of each image to classify."""
    if method is None:
        yield from ((0.0, k, 0.0, images[k]) for own in todo.values() for k in own)
        return
    if not method.is_batched:
        for level, own in todo.items():
            for k in own:
                data = method.encode_at(images[k], level)
                yield level, k, bits_per_pixel(images[k].shape, data), method.codec.decode(data)
        return
    for (level, own), files in zip(todo.items(), method.sweep_over(images, [*todo]), strict=True):
        for k in own:
            rate = bits_per_pixel(images[k].shape, files[k])
            yield level, k, rate, method.codec.decode(files[k])


def low_rate_finding(shares: Mapping[str, Shares]) -> Finding:
    """Return whether the paper's IMF keeps more agreement than JPEG at low rates.

    The claim is from arXiv 2408.12691, on the classification of ImageNet. At each rate, only images
    count that both codecs reach, and only rates with at least ``FEWEST_IMAGES`` of them.
    """
    claim = f"the paper's IMF keeps more top-5 agreement than JPEG below {LOW_RATE:g} bpp"
    gains = (shares["imf-paper"].hits - shares["jpeg"].hits)[:, np.array(RATES) < LOW_RATE]
    counts = np.isfinite(gains).sum(axis=0)
    usable = counts >= FEWEST_IMAGES
    if not usable.any():
        most = int(counts.max(initial=0))
        return Finding(claim, None, f"both codecs reach one rate for at most {most} images")
    means = np.nanmean(gains[:, usable], axis=0)
    rates = np.array(RATES)[: len(usable)][usable]
    each = ", ".join(
        f"{mean:+.3f} at {rate:g} bpp ({n} images)"
        for mean, rate, n in zip(means, rates, counts[usable], strict=True)
    )
    # The standard error between images shows how little a few of them can tell.
    seen = gains[:, usable][np.isfinite(gains[:, usable]).any(axis=1)]
    error = np.std(np.nanmean(seen, axis=1), ddof=1) / np.sqrt(len(seen))
    figures = f"mean {means.mean():+.3f}, standard error {error:.3f}: {each}"
    return Finding(claim, bool(means.mean() > 0), figures)


def _table(shares: Mapping[str, Shares]) -> str:
    lines = []
    for name, own in shares.items():
        cells = []
        for mean, error, n in zip(own.mean, own.standard_error, own.count, strict=True):
            spread = f" ± {error:.3f}" if np.isfinite(error) else ""
            cells.append(f"{mean:.3f}{spread} ({n})" if n else "")
        lines.append([label(name), *cells])
    return table(["codec", *(f"{rate:g}" for rate in RATES)], lines)


def _draw(shares: Mapping[str, Shares], name: str) -> Figure:
    figure, ax = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    for method, style in curve_styles(shares).items():
        own = shares[method]
        ax.plot(RATES, own.mean, **style, markersize=3.5, label=label(method))
        low, high = own.mean - own.standard_error, own.mean + own.standard_error
        ax.fill_between(RATES, low, high, color=style["color"], alpha=0.15, linewidth=0)
    ax.set_xlabel("bit rate (bpp)")
    ax.set_ylabel(f"{name}\nband: one standard error")
    ax.set_ylim(-0.03, 1.03)
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return figure


EXPERIMENT = Experiment(
    "classification", "agreement and accuracy of a classifier on decoded images", run
)
