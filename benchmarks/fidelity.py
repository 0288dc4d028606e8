"""Compare with the published numbers: decoded PSNR, bit rate, and relative error after each sweep.

Also, how many bytes the published factors take with the coder with contexts instead of deflate.

    python -m benchmarks.fidelity --data KODAK --reference REFERENCE

KODAK holds kodim01.png and so on; REFERENCE holds published_kodak.csv (columns image, method,
quality, bpp, psnr_db) and imf_objective.csv (image, channel, rank, sweep, relative_error).
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.report import environment, images
from lrfjax.codec.layout import to_matrices
from lrfjax.codec.settings import make_layout


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def codec_points(data: Path, reference: Path, count: int) -> np.ndarray:
    """Return four numbers for each image and quality from 2 to 40.

    The PSNR minus the published one in dB, the bit rate over the published one, and the bytes with
    contexts and with deflate.
    """
    published = defaultdict(dict)
    for row in rows(reference / "published_kodak.csv"):
        if row["method"] == "IMF" and 2 <= float(row["quality"]) <= 40:
            point = (float(row["bpp"]), float(row["psnr_db"]))
            published[row["image"]][float(row["quality"])] = point
    found = []
    for path in tqdm(images(data), desc="codec", leave=False):
        image = lrfjax.read_image(path)
        qualities = sorted(published[path.name])
        for index in np.linspace(0, len(qualities) - 1, count).round().astype(int):
            bpp, psnr = published[path.name][qualities[index]]
            settings = dict(lrfjax.PAPER_SETTINGS)
            encoded = lrfjax.imf_encode(image, quality=qualities[index], **settings)
            decoded = lrfjax.imf_decode(encoded)
            settings["entropy"] = "context"
            smaller = lrfjax.imf_encode(image, quality=qualities[index], **settings)
            if not np.array_equal(lrfjax.imf_decode(smaller), decoded):
                raise SystemExit(f"{path.name}: contexts decode to other pixels than deflate")
            rate = lrfjax.bits_per_pixel(image.shape, encoded) / bpp
            gain = float(lrfjax.psnr(image, decoded)) - psnr
            found.append((gain, rate, len(smaller), len(encoded)))
    return np.array(found)


def sweep_errors(data: Path, reference: Path) -> dict[int, np.ndarray]:
    """Return our relative error over the published one, minus 1, for sweeps 1, 2, 5 and 10."""
    published = defaultdict(dict)
    for row in rows(reference / "imf_objective.csv"):
        key = row["image"], row["channel"], int(row["rank"])
        published[key][int(row["sweep"])] = float(row["relative_error"])
    matrices = {}
    for path in images(data):
        image = lrfjax.read_image(path)
        layout = make_layout(image.shape, "YCbCr", (0.5, 0.5), True, (8, 8))
        y, cb, _ = to_matrices(image, layout=layout)
        matrices[path.stem, "Y"], matrices[path.stem, "Cb"] = y, cb
    found = defaultdict(list)
    here = {key: errors for key, errors in published.items() if key[:2] in matrices}
    for (image, channel, rank), errors in tqdm(here.items(), desc="sweeps", leave=False):
        result = lrfjax.imf(matrices[image, channel], rank)
        for sweep in (1, 2, 5, 10):
            ours = float(result.history.relative_error[sweep])
            found[sweep].append(ours / errors[sweep] - 1)
    return {sweep: np.array(values) for sweep, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--qualities", type=int, default=12, help="qualities for each image")
    options = parser.parse_args()

    print(environment("pillow"))
    points = codec_points(options.data, options.reference, options.qualities)
    psnr, rate, contexts, deflate = points.T
    share = contexts / deflate
    print(f"\nimf_encode with PAPER_SETTINGS, {len(points)} points, quality 2 to 40")
    print(f"  PSNR - published: mean {psnr.mean():+.4f} dB, least {psnr.min():+.4f} dB")
    print(f"  rate / published: mean {rate.mean():.4f}, largest {rate.max():.4f}")
    print(
        f"  the same factors and pixels, bytes with contexts / with deflate: "
        f"mean {share.mean():.4f}, least {share.min():.4f}, largest {share.max():.4f}, "
        f"of all files together {contexts.sum() / deflate.sum():.4f}"
    )
    print("\nrelative error over published - 1")
    every = sweep_errors(options.data, options.reference)
    for sweep, values in every.items():
        print(
            f"  sweep {sweep:>2}: mean {values.mean():+.3%}, largest {values.max():+.2%}"
            f"  ({len(values)} rows)"
        )
    values = np.concatenate(list(every.values()))
    print(f"  all     : mean {values.mean():+.3%}, largest {values.max():+.2%}")


if __name__ == "__main__":
    main()
