"""Times to encode and decode at one bit rate, beside JPEG, WebP, JPEG 2000 and AVIF in Pillow.

    python -m benchmarks.codec_speed --data KODAK [--bpp 0.5] [--repeats 9] [--memory]

Every codec at the setting whose rate is closest to the given one, found beforehand for each image.
Medians over the repeats, in which the codecs take turns, then means over the images. The first
call, on the first image and with all compiled code dropped, is apart.

With ``--memory``, the memory that encoding and decoding a large picture takes instead: the peak of
a process of its own, less that of one which decodes 16 x 16 pixels.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

import lrfjax
from benchmarks.rate_distortion import Codec, jpeg2000, ours, peers, pillow
from benchmarks.report import alternate, environment, geometric_mean, images, seconds

OURS = "lrfjax IMF"
# What our times are held against, for encoding and for decoding.
ENCODERS, DECODERS = ("AVIF",), ("JPEG 2000", "JPEG 2000, RGB")
CASES = ("baseline", "encode", "decode")


def codecs() -> dict[str, Codec]:
    """Return the codecs to time: ours, the peers, and two peers with Pillow's own defaults."""
    found = {OURS: ours(), **peers()}
    found["WebP, method 6"] = found.pop("WebP")
    found["WebP"] = pillow("WEBP")
    found["JPEG 2000, RGB"] = jpeg2000(color_transform=False)
    return dict(sorted(found.items(), key=lambda item: (item[0] != OURS, item[0])))


def nearest_file(image: np.ndarray, codec: Codec, bpp: float) -> tuple[float, bytes]:
    """Return the setting whose rate is closest to ``bpp`` in ratio, and its file, by bisection."""
    files: dict[float, bytes] = {}
    low, high = codec.lowest, 100.0
    while high - low >= 2 * codec.step:
        middle = codec.step * round((low + high) / 2 / codec.step)
        files[middle] = codec.encode(image, quality=middle)
        if lrfjax.bits_per_pixel(image.shape, files[middle]) < bpp:
            low = middle
        else:
            high = middle

    def distance(quality: float) -> float:
        return abs(np.log(lrfjax.bits_per_pixel(image.shape, files[quality]) / bpp))

    best = min(files, key=distance)
    return best, files[best]


def time_codecs(paths: list[Path], bpp: float, repeats: int) -> None:
    """Print the table of times and the ratios."""
    chosen = codecs()
    first: dict[str, tuple[float, float]] = {}
    # For each codec a row for each image: times in ms, rate, PSNR.
    rows: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in chosen}
    for path in tqdm(paths, leave=False):
        image = lrfjax.read_image(path)
        files = {name: nearest_file(image, codec, bpp) for name, codec in chosen.items()}
        calls = {}
        for name, codec in chosen.items():
            quality, file = files[name]
            calls[name, "encode"] = lambda i=image, c=codec, q=quality: c.encode(i, quality=q)
            calls[name, "decode"] = lambda c=codec, f=file: c.decode(f)
        if not first:
            for name in chosen:
                jax.clear_caches()
                first[name] = (seconds(calls[name, "encode"]), seconds(calls[name, "decode"]))
        times = alternate(calls, repeats)
        for name, codec in chosen.items():
            file = files[name][1]
            rows[name].append(
                (
                    1e3 * times[name, "encode"],
                    1e3 * times[name, "decode"],
                    lrfjax.bits_per_pixel(image.shape, file),
                    float(lrfjax.psnr(image, codec.decode(file))),
                )
            )
    print(f"\nms at {bpp:g} bpp: medians of {repeats}, means over {len(paths)} image(s)")
    print(
        f"{'':<16}{'encode':>9}{'decode':>9}{'bpp':>8}{'PSNR (dB)':>11}"
        f"{'first encode':>14}{'first decode':>14}"
    )
    for name, values in rows.items():
        encode, decode, rate, psnr = np.mean(values, axis=0)
        print(
            f"{name:<16}{encode:>9.1f}{decode:>9.1f}{rate:>8.3f}{psnr:>11.2f}"
            f"{1e3 * first[name][0]:>14.0f}{1e3 * first[name][1]:>14.0f}"
        )
    print("\nratios of our times, geometric means over the images")
    for column, verb, others in ((0, "encode", ENCODERS), (1, "decode", DECODERS)):
        for other in others:
            if other in rows:
                pairs = zip(rows[OURS], rows[other], strict=True)
                ratio = geometric_mean([own[column] / peer[column] for own, peer in pairs])
                print(f"  {verb} / {other} {verb}: {ratio:.2f}")


def run_case(case: str, folder: Path) -> None:
    """Do one thing that takes memory, and print the peak of this process in bytes."""
    if case == "encode":
        image, quality = np.load(folder / "image.npy"), float((folder / "quality").read_text())
        (folder / "decode").write_bytes(ours().encode(image, quality=quality))
    else:
        ours().decode((folder / case).read_bytes())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(peak * (1 if sys.platform == "darwin" else 1024))


def prepare(path: Path, size: tuple[int, int], bpp: float, folder: Path) -> None:
    """Write what the cases read: a large picture, the setting for it and a tiny file.

    The picture is a wall of mirrored copies of an image, which has no seams and needs about as
    many bits a pixel as the image at one setting.
    """
    image = lrfjax.read_image(path)
    quality, _ = nearest_file(image, ours(), bpp)
    extra = [(0, max(n - m, 0)) for n, m in zip(size, image.shape[:2], strict=True)]
    padding = extra + [(0, 0)] * (image.ndim - 2)
    np.save(folder / "image.npy", np.pad(image, padding, "symmetric")[: size[0], : size[1]])
    (folder / "quality").write_text(str(quality))
    (folder / "baseline").write_bytes(ours().encode(image[:16, :16], quality=quality))


def measure_memory(path: Path, size: tuple[int, int], bpp: float) -> None:
    """Print the memory that encoding and decoding a large picture takes."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def run(case: str) -> str:
            command = [sys.executable, "-m", "benchmarks.codec_speed", "--case", case, name]
            arguments = [
                "--data",
                str(path.resolve()),
                "--bpp",
                str(bpp),
                "--size",
                *map(str, size),
            ]
            root = Path(__file__).parents[1]
            return subprocess.run(
                command + arguments, cwd=root, check=True, stdout=subprocess.PIPE, text=True
            ).stdout

        # On Linux a child's peak begins at what its parent held, so this process stays small and
        # leaves even the preparation to a child.
        run("prepare")
        peaks = {case: int(run(case)) for case in tqdm(CASES, leave=False)}
        shape = np.load(folder / "image.npy", mmap_mode="r").shape
        rate = lrfjax.bits_per_pixel(shape, (folder / "decode").read_bytes())
    pixels = int(np.prod(shape))
    print(
        f"\n{shape[1]} x {shape[0]} pixels, {pixels / 1e6:.0f} MB, {rate:.3f} bpp, pixels included"
    )
    print(f"  {'baseline':<9}{peaks['baseline'] / 1e6:>8.0f} MB")
    for case in CASES[1:]:
        extra = peaks[case] - peaks["baseline"]
        print(f"  {case:<9}{extra / 1e6:>+8.0f} MB, {extra / pixels:.2f} times the pixels' bytes")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--bpp", type=float, default=0.5)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--images", type=int, default=3, help="only the first so many")
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    parser.add_argument(
        "--size", type=int, nargs=2, default=(3000, 4000), metavar=("ROWS", "COLUMNS")
    )
    # For the processes that --memory starts.
    parser.add_argument("--case", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()

    if options.case:
        case, folder = options.case[0], Path(options.case[1])
        if case == "prepare":
            prepare(options.data, tuple(options.size), options.bpp, folder)
        else:
            run_case(case, folder)
        return
    print(environment("pillow"))
    paths = images(options.data)[: options.images]
    if options.memory:
        measure_memory(paths[0], tuple(options.size), options.bpp)
    else:
        time_codecs(paths, options.bpp, options.repeats)


if __name__ == "__main__":
    main()
