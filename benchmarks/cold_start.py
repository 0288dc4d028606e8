"""What a process waits for before its first result: imports and compilation.

    python -m benchmarks.cold_start --data KODAK [--repeats 5] [--json FILE]

Each case is a process of its own: the import of jax and of lrfjax, then the first call on the first
image of the folder (or on its luma patches), without and with JAX's persistent compilation cache in
a temporary folder that one such process has filled. Medians of the seconds, and how many programs
that process stored and how many the later ones still had to add: none, where the cache works. Then,
in one process, what a second image of another size costs, and how many programs it compiles.
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

from benchmarks.report import environment, images, write_json

ROOT = Path(__file__).parents[1]
CALLS = ("encode", "decode", "paper_encode", "imf")
TARGETS = {"import lrfjax": 1.5, "encode": 6.0, "paper_encode": 6.0}
"""Seconds that the cold case should stay below."""
CACHE_SETTINGS = ("JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE", "JAX_ENABLE_COMPILATION_CACHE")


def first_call(name: str, path: str) -> Callable[[], Any]:
    """Return the call of a case."""
    import jax

    import lrfjax
    from benchmarks.convergence import luma_of

    image = lrfjax.read_image(path)
    if name == "imf":
        x = luma_of(Path(path))
        return lambda: jax.block_until_ready(lrfjax.imf(x, 16))
    if name == "paper_encode":
        return lambda: lrfjax.imf_encode(image, quality=7, **lrfjax.PAPER_SETTINGS)
    if name == "encode":
        return lambda: lrfjax.imf_encode(image, quality=30)
    data = Path(os.environ["LRFJAX_COLD_FILE"]).read_bytes()
    return lambda: lrfjax.imf_decode(data)


def run_case(name: str, path: str) -> None:
    """Print the seconds of one thing in this fresh process."""
    if name == "another size":
        print(json.dumps(another_size(path)))
        return
    call = first_call(name, path)
    start = time.perf_counter()
    call()
    print(time.perf_counter() - start)


def another_size(path: str) -> dict[str, list[float]]:
    """Return seconds and compiled programs of a warm call, and of one of another size."""
    import lrfjax
    from lrfjax.evaluation.timing import compilations

    image = lrfjax.read_image(path)
    found = {}
    settings = {"default": {"quality": 30}, "paper": {"quality": 7, **lrfjax.PAPER_SETTINGS}}
    for name, options in settings.items():
        for picture in (image, image, image[:-32, :-48]):
            before, start = compilations(), time.perf_counter()
            lrfjax.imf_encode(picture, **options)
            took = [time.perf_counter() - start, compilations() - before]
            found.setdefault(name, []).append(took)
    return found


def process(name: str, path: Path, file: Path, cache: Path | None = None) -> str:
    """Run a case in a process of its own; return what it prints."""
    settings = {"LRFJAX_COLD_FILE": str(file)}
    if cache is not None:
        settings["JAX_COMPILATION_CACHE_DIR"] = str(cache)
        settings["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(CACHE_SETTINGS)}
    if name.startswith("import "):
        # Nothing of this module, which would import jax first.
        timed = (
            f"import time; start = time.perf_counter(); {name}; print(time.perf_counter() - start)"
        )
        command = [sys.executable, "-c", timed]
    else:
        command = [sys.executable, "-m", "benchmarks.cold_start", "--data", str(path)]
        command += ["--case", name]
    done = subprocess.run(
        command, cwd=ROOT, env=inherited | settings, check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.splitlines()[-1]


def stored(cache: Path) -> int:
    """Return how many programs a persistent cache holds."""
    # A program may have a second file, of when it was last used.
    return sum(not path.name.endswith("-atime") for path in cache.glob("*"))


def target(case: str) -> str:
    """Return the remark on what a case should take at most."""
    return f"  (target: below {TARGETS[case]})" if case in TARGETS else ""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for the rows")
    # For the processes that it starts.
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        run_case(options.case, str(options.data))
        return

    import lrfjax

    print(environment())
    path = images(options.data.resolve())[0]
    rows = []
    with tempfile.TemporaryDirectory() as name:
        file, cache = Path(name) / "file", Path(name) / "cache"
        file.write_bytes(lrfjax.imf_encode(lrfjax.read_image(path), quality=30))

        def median(case: str, cache: Path | None = None) -> float:
            times = [float(process(case, path, file, cache)) for _ in range(options.repeats)]
            rows.append(
                {
                    "benchmark": "cold_start",
                    "case": case,
                    "persistent_cache": cache is not None,
                    "median_s": statistics.median(times),
                    "min_s": min(times),
                }
            )
            return statistics.median(times)

        print(f"medians of {options.repeats} processes, seconds")
        for module in ("jax", "lrfjax"):
            case = f"import {module}"
            print(f"  {case:<14}{median(case):>7.2f}{target(case)}", flush=True)
        print(f"  {'first call':<14}{'cold':>7}{'cached':>8}{'stored':>8}{'added':>7}")
        for case in CALLS:
            cold, before = median(case), stored(cache)
            process(case, path, file, cache)
            filled = stored(cache)
            warm = median(case, cache)
            counts = f"{filled - before:>8}{stored(cache) - filled:>7}"
            print(f"  {case:<14}{cold:>7.2f}{warm:>8.2f}{counts}{target(case)}", flush=True)
        sizes = json.loads(process("another size", path, file))
    print("in one process: seconds and programs compiled")
    for name, calls in sizes.items():
        for what, (took, count) in zip(("first", "again", "another size"), calls, strict=True):
            print(f"  {name:<9}{what:<14}{took:>6.2f}{count:>5}")
            case = f"{what}, {name}"
            rows.append(
                {"benchmark": "cold_start", "case": case, "call_s": took, "num_compiled": count}
            )
    if options.json:
        write_json(options.json, rows)


if __name__ == "__main__":
    main()
