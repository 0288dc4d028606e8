"""A mutation fuzzer for the decoder: golden files, damaged at random, half with their CRCs right.

``python -m tests.fuzzing --mutants 100000 --seed 0`` looks for a mutant that does anything but
decode or raise an ``LrfError``. What it finds is written to ``--keep`` and ends the run.
"""

import argparse
import resource
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

import lrfjax
from lrfjax.codec.chunks import Reader, read_chunks, varint, write_chunks
from tests import make_golden

MAX_PIXELS = 100_000
LONGEST_SECONDS = 25
LARGEST_GROWTH = 1 << 30
"""Of the process, in bytes; the compiled programs of many sizes are in it."""

# Programs are dropped now and then, as each of them maps memory.
_BETWEEN_RELEASES = 5000
_TELLING = (0, 1, 2, 7, 8, 9, 16, 127, 128, 255, 256, 512, 4095, 4096, 65535, 2**24, 2**31 - 1)


class Hang(Exception):
    """A mutant took too long."""


def golden() -> list[bytes]:
    """Return all golden files."""
    return [make_golden.read(name) for name in sorted(make_golden.sums())]


def _flip_bits(rng: np.random.Generator, data: bytearray) -> None:
    for bit in rng.integers(0, 8 * len(data), rng.integers(1, 5)):
        data[bit // 8] ^= 1 << bit % 8


def _set_bytes(rng: np.random.Generator, data: bytearray) -> None:
    for place in rng.integers(0, len(data), rng.integers(1, 5)):
        data[place] = rng.choice([0, 1, 127, 128, 254, 255, rng.integers(0, 256)])


def _delete(rng: np.random.Generator, data: bytearray) -> None:
    start, length = _range(rng, data)
    del data[start : start + length]


def _insert(rng: np.random.Generator, data: bytearray) -> None:
    start, length = _range(rng, data)
    data[start:start] = rng.bytes(length)


def _duplicate(rng: np.random.Generator, data: bytearray) -> None:
    start, length = _range(rng, data)
    data[start:start] = data[start : start + length]


def _change_number(rng: np.random.Generator, data: bytearray) -> None:
    """Take a place for the start of a varint, and put another there."""
    reader = Reader(bytes(data), int(rng.integers(0, len(data))))
    start = reader.position
    try:
        value = reader.varint("number")
    except lrfjax.FormatError:
        return
    other = rng.choice([*_TELLING, value + 1, max(value - 1, 0), 2 * value, value // 2])
    data[start : reader.position] = varint(int(other))


def _range(rng: np.random.Generator, data: bytearray) -> tuple[int, int]:
    # Words of symbols have four bytes; whole words get further.
    unit = int(rng.choice([1, 4]))
    return int(rng.integers(0, len(data))), unit * int(rng.integers(1, 9))


_CHANGES: tuple[Callable[[np.random.Generator, bytearray], None], ...] = (
    _flip_bits,
    _set_bytes,
    _delete,
    _insert,
    _duplicate,
    _change_number,
)


def _change(rng: np.random.Generator, data: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        if out:
            _CHANGES[rng.integers(0, len(_CHANGES))](rng, out)
    return bytes(out)


def _splice(rng: np.random.Generator, a: bytes, b: bytes) -> bytes:
    return a[: rng.integers(0, len(a) + 1)] + b[rng.integers(0, len(b) + 1) :]


def damaged(rng: np.random.Generator, files: list[bytes]) -> bytes:
    """Return a mutant whose CRCs are mostly wrong."""
    data = files[rng.integers(0, len(files))]
    if rng.random() < 0.15:
        return _splice(rng, data, files[rng.integers(0, len(files))])
    return _change(rng, data)


def forged(rng: np.random.Generator, files: list[bytes]) -> bytes:
    """Return a mutant whose CRCs are right."""
    chunks = list(read_chunks(files[rng.integers(0, len(files))]))
    others = list(read_chunks(files[rng.integers(0, len(files))]))
    at = int(rng.integers(0, len(chunks)))
    tag, body = chunks[at]
    match rng.integers(0, 12):
        case 0:
            chunks.insert(at, chunks[rng.integers(0, len(chunks))])
        case 1:
            del chunks[at]
        case 2:
            chunks[at] = others[rng.integers(0, len(others))]
        case 3:
            chunks[at] = rng.bytes(1), body
        case 4:
            chunks[at] = tag, _splice(rng, body, others[rng.integers(0, len(others))][1])
        case 5:
            chunks[0] = chunks[0][0], _change_numbers(rng, chunks[0][1])
        case _:
            chunks[at] = tag, _change(rng, body)
    return write_chunks(chunks)


def _change_numbers(rng: np.random.Generator, body: bytes) -> bytes:
    out = bytearray(body)
    for _ in range(rng.integers(1, 3)):
        _change_number(rng, out)
    return bytes(out)


def mutants(count: int, seed: int, files: list[bytes]) -> Iterator[bytes]:
    """Yield mutants; each second one has its CRCs right."""
    for number in range(count):
        rng = np.random.default_rng((seed, number))
        yield (forged if number % 2 else damaged)(rng, files)


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


def outcome(data: bytes) -> str:
    """Decode a mutant, and return ``"decoded"`` or the name of the ``LrfError``."""
    with time_limit(LONGEST_SECONDS):
        try:
            pixels = lrfjax.decode(data, max_pixels=MAX_PIXELS)
        except lrfjax.LrfError as error:
            return type(error).__name__
    assert 0 < pixels.shape[0] * pixels.shape[1] <= MAX_PIXELS
    return "decoded"


def peak_memory() -> int:
    """Return the most that the process has held, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def fuzz(count: int, seed: int, keep: Path | None = None, progress: bool = False) -> Counter[str]:
    """Decode mutants and return how often each outcome came.

    Args:
        count: of the mutants.
        seed: of all that is random.
        keep: where a mutant that does anything else is written.
        progress: whether to show it.
    """
    before = peak_memory()
    found: Counter[str] = Counter()
    bar = tqdm(mutants(count, seed, golden()), total=count, disable=not progress, unit="file")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, data in enumerate(bar):
            try:
                found[outcome(data)] += 1
                growth = peak_memory() - before
                assert growth < LARGEST_GROWTH, f"memory grew by {growth} bytes"
            except Exception:
                print(f"mutant {number} of seed {seed}: {data.hex()}", file=sys.stderr)
                if keep is not None:
                    keep.write_bytes(data)
                raise
            if number % _BETWEEN_RELEASES == _BETWEEN_RELEASES - 1:
                jax.clear_caches()
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Decode damaged files.")
    parser.add_argument("--mutants", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, default=Path("mutant.lrfj"))
    args = parser.parse_args()
    start = time.perf_counter()
    found = fuzz(args.mutants, args.seed, args.keep, progress=True)
    counts = ", ".join(f"{count} {name}" for name, count in found.most_common())
    print(f"{args.mutants} mutants in {time.perf_counter() - start:.0f} s: {counts}")


if __name__ == "__main__":
    main()
