"""Imports and compilation: the time to the first result of a process.

python -m benchmarks.cold_start --data KODAK
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from tqdm import tqdm

import lrfjax
from benchmarks.harness import Benchmark, Row, Rows, group, run
from benchmarks.report import images
from benchmarks.workloads import luma_of
from lrfjax.evaluation.page import table
from lrfjax.evaluation.timing import compilations

ABOUT = """\
Each time is the median over fresh processes, in seconds: an import, or the first call after the
imports on the first image (`imf`: rank 16, on its luma patches). "Warm cache" is the same with
JAX's persistent compilation cache in a folder that one such process has filled; "stored" counts the
programs of that process, "added" those that later ones still added. The second table is about one
process: the seconds of three calls in turn and the programs that each compiled."""

ROOT = Path(__file__).parents[1]
CALLS = ("dct_encode", "imf_encode, PAPER_SETTINGS", "dct_decode", "imf")
LIMITS = {"import lrfjax": 1.5, "dct_encode": 6.0, "imf_encode, PAPER_SETTINGS": 6.0}
"""Upper limits for the cold case, in seconds."""
SETTINGS: dict[str, dict[str, Any]] = {
    "default": {"codec": "dct", "quality": 30},
    "PAPER_SETTINGS": {"codec": "imf-paper", "quality": 7},
}
CACHE_VARIABLES = ("JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE", "JAX_ENABLE_COMPILATION_CACHE")


def first_call(name: str, path: Path, encoded: Path) -> Callable[[], Any]:
    """Return one of ``CALLS`` on an image; ``encoded`` is the file to decode."""
    if name == "imf":
        x = luma_of(path)
        return lambda: jax.block_until_ready(lrfjax.imf(x, 16))
    if name == "dct_decode":
        data = encoded.read_bytes()
        return lambda: lrfjax.dct_decode(data)
    image = lrfjax.read_image(path)
    settings = SETTINGS["PAPER_SETTINGS" if "PAPER_SETTINGS" in name else "default"]
    return lambda: lrfjax.encode(image, **settings)


def time_here(name: str, path: str, encoded: str) -> float:
    """Return the seconds of a call in this process, which must be fresh."""
    call = first_call(name, Path(path), Path(encoded))
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def sizes_here(path: str, names: list[str]) -> Rows:
    """Return a row for each of three calls in this process, for each of some ``SETTINGS``."""
    image = lrfjax.read_image(path)
    rows: list[Row] = []
    pictures = {"first": image, "again": image, "another size": image[:-32, :-48]}
    for name in names:
        for call, picture in pictures.items():
            before, start = compilations(), time.perf_counter()
            lrfjax.encode(picture, **SETTINGS[name])
            rows.append(
                {
                    "kind": "size",
                    "settings": name,
                    "call": call,
                    "call_s": time.perf_counter() - start,
                    "num_compiled": compilations() - before,
                }
            )
    return rows


def process(code: str, cache: Path | None = None) -> Any:
    """Run code in a fresh process and return the JSON value of its last line."""
    env = {name: v for name, v in os.environ.items() if not name.startswith(CACHE_VARIABLES)}
    if cache is not None:
        env["JAX_COMPILATION_CACHE_DIR"] = str(cache)
        env["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=env,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def import_code(module: str) -> str:
    """Return code that prints the seconds of an import; nothing may import jax before."""
    return (
        f"import time; start = time.perf_counter(); import {module}; "
        "print(time.perf_counter() - start)"
    )


def call_code(function: str, *arguments: Any) -> str:
    """Return code that prints what a function of this module returns."""
    listed = ", ".join(map(repr, arguments))
    return (
        f"import json; from benchmarks.cold_start import {function}; "
        f"print(json.dumps({function}({listed})))"
    )


def num_stored(cache: Path) -> int:
    """Return the number of programs in a persistent cache."""
    # A program may have a second file with the time of its last use.
    return sum(not path.name.endswith("-atime") for path in cache.glob("*"))


def call_row(name: str, code: str, cache: Path, repeats: int) -> Row:
    """Return the row of a call; without repeats, the process that fills the cache is cold.

    Args:
        name: one of ``CALLS``.
        code: code of the process.
        cache: folder of the persistent cache.
        repeats: number of processes without the cache, and of those with it.
    """
    cold = [process(code) for _ in range(repeats)]
    before = num_stored(cache)
    filling = process(code, cache)
    filled = num_stored(cache)
    warm = [process(code, cache) for _ in range(max(repeats, 1))]
    return {
        "kind": "case",
        "case": name,
        "median_s": statistics.median(cold or [filling]),
        "min_s": min(cold or [filling]),
        "warm_cache_median_s": statistics.median(warm),
        "warm_cache_min_s": min(warm),
        "num_stored": filled - before,
        "num_added": num_stored(cache) - filled,
        "limit_s": LIMITS.get(name),
    }


def measure(options: argparse.Namespace) -> Rows:
    """Return a row for each import and call, and for each call of the process of many sizes."""
    path = images(options.data.resolve())[0]
    modules, calls, settings = ["jax", "lrfjax"], list(CALLS), list(SETTINGS)
    repeats = options.repeats
    if options.quick:
        modules, calls, settings, repeats = [], ["imf"], ["default"], 0
    rows: list[Row] = []
    for module in modules:
        times = [process(import_code(module)) for _ in range(repeats)]
        row = {"kind": "case", "case": f"import {module}", "median_s": statistics.median(times)}
        rows.append(row | {"min_s": min(times), "limit_s": LIMITS.get(f"import {module}")})
    with tempfile.TemporaryDirectory() as name:
        encoded, cache = Path(name) / "encoded.lrfj", Path(name) / "cache"
        if "dct_decode" in calls:
            image = lrfjax.read_image(path)
            encoded.write_bytes(lrfjax.encode(image, **SETTINGS["default"]))
        for call in tqdm(calls, leave=False):
            code = call_code("time_here", call, str(path), str(encoded))
            rows.append(call_row(call, code, cache, repeats))
    rows += process(call_code("sizes_here", str(path), settings))
    return rows


def show(rows: Rows) -> str:
    """Return the cases, then the calls of one process."""
    kinds = group(rows, "kind")
    lines = []
    for row in kinds["case",]:
        line = [row["case"], f"{row['median_s']:.2f}"]
        if "warm_cache_median_s" in row:
            line += [
                f"{row['warm_cache_median_s']:.2f}",
                str(row["num_stored"]),
                str(row["num_added"]),
            ]
        else:
            line += ["", "", ""]
        lines.append([*line, "" if row["limit_s"] is None else f"{row['limit_s']:.1f}"])
    heads = [
        "first call or import",
        "cold (s)",
        "warm cache (s)",
        "stored",
        "added",
        "limit, cold (s)",
    ]
    sizes = [
        [row["settings"], row["call"], f"{row['call_s']:.2f}", str(row["num_compiled"])]
        for row in kinds["size",]
    ]
    return "\n\n".join(
        [
            table(heads, lines),
            "`encode` on an image, on the same image again and on one of another size:",
            table(["settings", "call", "time (s)", "programs compiled"], sizes),
        ]
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the number of repeats."""
    parser.add_argument("--repeats", type=int, default=5, help="processes of each case")


BENCHMARK = Benchmark("cold_start", ABOUT, measure, show, add_arguments)

if __name__ == "__main__":
    run(BENCHMARK)
