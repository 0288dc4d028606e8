"""A mutation fuzzer for the decoder: golden files, rewritten by ``mutation``, under measures.

``python -m tests.fuzzing --mutants 30000 --seed 0`` looks for a mutant that does anything but
decode or raise an ``LrfError``, that takes long or much memory, or on which two readers disagree.
What it finds is written to ``--keep`` and ends the run.
"""

import argparse
import re
import resource
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import jax
from tqdm import tqdm

import lrfjax
from lrfjax.evaluation.describe import describe
from tests import make_golden
from tests.mutation import mutants

MAX_PIXELS = 100_000
LONGEST_SECONDS = 2.0
LARGEST_GROWTH = 200 << 20
"""Bytes that the process may grow by while it reads one mutant."""

# A mutant that compiles programs, or a machine with other work, gets another try.
_TRIES = 3
_HANG_SECONDS = 60
# Programs are dropped now and then, as each of them maps memory.
_BETWEEN_RELEASES = 2000


class Hang(Exception):
    """A mutant took too long."""


@dataclass
class Findings:
    """What came of all mutants.

    Attributes:
        outcomes: how often each outcome came: ``"decoded"``, or the type of an error.
        messages: how often each error came, its type and message with all numbers as N.
        seconds: longest time of a mutant, all readers together.
        growth: most bytes that the process grew by.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    messages: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    growth: int = 0


def golden() -> list[bytes]:
    """Return all golden files."""
    return [make_golden.read(name) for name in sorted(make_golden.sums())]


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Raise ``Hang`` in what takes longer, where the system has an alarm."""

    def ring(*_: object) -> None:
        raise Hang(f"more than {seconds} s")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def said(reader: Callable, data: bytes) -> str:
    """Return ``"decoded"``, or the type and the message of the ``LrfError`` of a reader."""
    try:
        reader(data, max_pixels=MAX_PIXELS)
    except lrfjax.LrfError as error:
        return f"{type(error).__name__}: {error}"
    return "decoded"


def outcome(data: bytes) -> str:
    """Read a mutant in all ways, and return what the decoder said.

    Everything that decodes can be described, and everything that can be described decodes, unless
    its alpha channel is broken.
    """
    decoded, described, read = (said(r, data) for r in (lrfjax.decode, describe, _metadata))
    if decoded == "decoded":
        assert described == read == "decoded", (described, read)
    elif "alpha" not in decoded:
        assert described != "decoded", decoded
    return decoded


def _metadata(data: bytes, max_pixels: int) -> None:
    lrfjax.read_metadata(data, max_pixels=max_pixels)


def _reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # Elsewhere the peak is that of all mutants so far.
        return


def _peak_memory() -> int:
    """Return the most that the process has held since the last reset, in bytes."""
    try:
        return 1024 * int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak


def measured(data: bytes) -> tuple[str, float, int]:
    """Return the outcome of a mutant, its seconds, and the bytes that the process grew by."""
    least = float("inf"), sys.maxsize
    for _ in range(_TRIES):
        _reset_peak()
        before, start = _peak_memory(), time.perf_counter()
        with time_limit(_HANG_SECONDS):
            found = outcome(data)
        seconds, growth = time.perf_counter() - start, _peak_memory() - before
        least = min(least[0], seconds), min(least[1], growth)
        if least[0] <= LONGEST_SECONDS and least[1] <= LARGEST_GROWTH:
            break
    return found, *least


def fuzz(count: int, seed: int, keep: Path | None = None, progress: bool = False) -> Findings:
    """Read mutants and return what came of them.

    Args:
        count: number of mutants.
        seed: seed of all that is random.
        keep: path where a mutant that fails is written.
        progress: whether to show it.
    """
    found = Findings()
    bar = tqdm(mutants(count, seed, golden()), total=count, disable=not progress, unit="file")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, data in enumerate(bar):
            try:
                what, seconds, growth = measured(data)
                assert seconds <= LONGEST_SECONDS, f"took {seconds:.1f} s"
                assert growth <= LARGEST_GROWTH, f"memory grew by {growth} bytes"
            except Exception:
                print(f"mutant {number} of seed {seed}: {data.hex()}", file=sys.stderr)
                if keep is not None:
                    keep.write_bytes(data)
                raise
            found.outcomes[what.split(":")[0]] += 1
            found.messages[re.sub(r"b'.*?'|b\".*?\"|0x\w+|-?\d+", "N", what)] += 1
            found.seconds = max(found.seconds, seconds)
            found.growth = max(found.growth, growth)
            if number % _BETWEEN_RELEASES == _BETWEEN_RELEASES - 1:
                jax.clear_caches()
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Decode damaged files.")
    parser.add_argument("--mutants", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("mutant.lrfj"))
    args = parser.parse_args()
    start = time.perf_counter()
    found = fuzz(args.mutants, args.seed, args.keep, progress=True)
    for message, count in found.messages.most_common():
        print(f"{count:7} {message}")
    counts = ", ".join(f"{count} {name}" for name, count in found.outcomes.most_common())
    print(
        f"{args.mutants} mutants in {time.perf_counter() - start:.0f} s: {counts}; at most "
        f"{found.seconds:.2f} s and {found.growth / 2**20:.0f} MiB each"
    )


if __name__ == "__main__":
    main()
