"""Asymmetric numeral systems over tables of integer frequencies: symbols to bytes and back.

A state of 64 bits, words of 32 bits, frequencies that sum to 2^24 (Duda, arXiv 1311.2540; the
layout is that of the ``AnsCoder`` of ``constriction``, which does the work where it is installed).
Where it is not, plain Python integers make and read the same bytes: that is the reference.

The coder is a stack. The encoder takes symbols in the order in which the decoder asks for them,
keeps them, and pushes them last to first at the end.
"""

from __future__ import annotations

import functools
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from lrfjax.errors import FormatError

try:
    import constriction
except ImportError:  # No wheel for this machine.
    constriction = None

PRECISION = 24
TOTAL = 1 << PRECISION
"""The sum of the frequencies of a table."""


@dataclass(frozen=True, eq=False)
class Table:
    """How often each symbol 0, 1, ..., n - 1 occurs.

    Attributes:
        frequencies: shape (n,), int64, each at least 1, their sum ``TOTAL``, 2 <= n <= 2^16.
    """

    frequencies: np.ndarray

    def __post_init__(self) -> None:
        f = self.frequencies
        assert f.ndim == 1
        assert 2 <= len(f) <= 1 << 16
        assert f.min() >= 1
        assert f.sum() == TOTAL

    @cached_property
    def model(self) -> Any:
        """The table as ``constriction`` takes it: exact, since it adds 1 to each of these."""
        return constriction.stream.model.Categorical(
            (self.frequencies - 1).astype(np.float64), perfect=False
        )

    @cached_property
    def starts(self) -> list[int]:
        """The sum of the frequencies before each symbol, and of all of them."""
        return [0, *np.cumsum(self.frequencies).tolist()]

    @cached_property
    def bits(self) -> np.ndarray:
        """What each symbol costs in bits, float32."""
        return (PRECISION - np.log2(self.frequencies)).astype(np.float32)


def table_from_counts(counts: np.ndarray) -> Table:
    """Return the table closest to counts, by integer arithmetic.

    Each symbol gets 1 and its share of the rest, rounded down; the most frequent (the first of
    them) takes what is left over.

    Args:
        counts: shape (n,), integers, not negative, their sum from 1 to 2^38.

    Example:
        >>> table_from_counts(np.array([3, 1])).frequencies.tolist()
        [12582912, 4194304]
    """
    counts = counts.astype(np.int64)
    shares = counts * (TOTAL - len(counts)) // counts.sum() + 1
    shares[np.argmax(counts)] += TOTAL - shares.sum()
    return Table(shares)


@functools.lru_cache(maxsize=16)
def uniform(size: int) -> Table:
    """Return the table of ``size`` symbols, a power of two, that are all alike."""
    return Table(np.full(size, TOTAL // size))


class SymbolEncoder:
    """Collects symbols; ``finish`` makes bytes of them."""

    def __init__(self) -> None:
        self._parts: list[tuple[np.ndarray, Table]] = []

    def put(self, symbols: np.ndarray, table: Table) -> None:
        """Append symbols, shape (n,), integers from 0 to the size of the table less one."""
        self._parts.append((symbols, table))

    def finish(self, backend: type[_Stack] | None = None) -> bytes:
        """Return the bytes of all symbols, a multiple of four."""
        stack = (backend or default_backend())(np.zeros(0, np.uint32))
        for symbols, table in reversed(self._parts):
            stack.push(symbols, table)
        return np.ascontiguousarray(stack.words(), "<u4").tobytes()


class SymbolDecoder:
    """Reads symbols from the bytes of a ``SymbolEncoder``, in the same order.

    Args:
        data: a multiple of four bytes.
        backend: what does the work; the fastest there is by default.

    Raises:
        FormatError: if these cannot be such bytes.
    """

    def __init__(self, data: bytes, backend: type[_Stack] | None = None) -> None:
        words = np.frombuffer(data, "<u4") if len(data) % 4 == 0 else None
        if words is None or (len(words) and words[-1] == 0):
            raise FormatError(f"{len(data)} bytes of symbols do not end in a word other than 0")
        self._stack = (backend or default_backend())(words.astype(np.uint32))

    def take(self, count: int, table: Table) -> np.ndarray:
        """Return the next ``count`` symbols, int32. Damaged data gives other symbols."""
        return self._stack.pop(count, table)

    def finish(self) -> None:
        """Raise FormatError unless all that was written has been read."""
        if not self._stack.is_empty():
            raise FormatError("the coded symbols do not end where they should")


class _Stack(Protocol):
    def __init__(self, words: np.ndarray) -> None: ...
    def push(self, symbols: np.ndarray, table: Table) -> None: ...
    def pop(self, count: int, table: Table) -> np.ndarray: ...
    def words(self) -> np.ndarray: ...
    def is_empty(self) -> bool: ...


class CompiledStack:
    """The coder of ``constriction``."""

    def __init__(self, words: np.ndarray) -> None:
        self._coder = constriction.stream.stack.AnsCoder(words)

    def push(self, symbols: np.ndarray, table: Table) -> None:
        """Push symbols so that ``pop`` returns them in the order given."""
        if len(symbols):
            self._coder.encode_reverse(np.ascontiguousarray(symbols, np.int32), table.model)

    def pop(self, count: int, table: Table) -> np.ndarray:
        """Pop the next ``count`` symbols."""
        if not count:
            return np.zeros(0, np.int32)
        return self._coder.decode(table.model, count)

    def words(self) -> np.ndarray:
        """Return all that was pushed."""
        return self._coder.get_compressed()

    def is_empty(self) -> bool:
        """Return whether all that was pushed has been popped."""
        return bool(self._coder.is_empty())


class ReferenceStack:
    """The same in Python integers, some 100 times slower."""

    def __init__(self, words: np.ndarray) -> None:
        self._words = words.tolist()
        self._state = 0
        for _ in range(2):
            if self._words:
                self._state = self._state << 32 | self._words.pop()

    def push(self, symbols: np.ndarray, table: Table) -> None:
        """Push symbols so that ``pop`` returns them in the order given."""
        starts, state = table.starts, self._state
        for symbol in reversed(symbols.tolist()):
            start, frequency = starts[symbol], starts[symbol + 1] - starts[symbol]
            if state >> (64 - PRECISION) >= frequency:
                self._words.append(state & 0xFFFFFFFF)
                state >>= 32
            state = (state // frequency << PRECISION) + start + state % frequency
        self._state = state

    def pop(self, count: int, table: Table) -> np.ndarray:
        """Pop the next ``count`` symbols."""
        starts, state, words = table.starts, self._state, self._words
        out = np.empty(count, np.int32)
        for i in range(count):
            place = state & (TOTAL - 1)
            symbol = bisect_right(starts, place) - 1
            frequency = starts[symbol + 1] - starts[symbol]
            state = (state >> PRECISION) * frequency + place - starts[symbol]
            if state >> 32 == 0 and words:
                state = state << 32 | words.pop()
            out[i] = symbol
        self._state = state
        return out

    def words(self) -> np.ndarray:
        """Return all that was pushed."""
        words, state = list(self._words), self._state
        while state:
            words.append(state & 0xFFFFFFFF)
            state >>= 32
        return np.array(words, np.uint32)

    def is_empty(self) -> bool:
        """Return whether all that was pushed has been popped."""
        return not self._words and self._state == 0


def default_backend() -> type[_Stack]:
    """Return the compiled coder where there is one, and the reference otherwise."""
    return ReferenceStack if constriction is None else CompiledStack
