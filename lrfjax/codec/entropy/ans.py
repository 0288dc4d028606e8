"""Asymmetric numeral systems: symbols to bytes and back, with static tables.

The coder has a state of 64 bits, words of 32 bits, and integer frequencies that sum to 2^24 (Duda,
arXiv 1311.2540). The byte layout is that of ``AnsCoder`` in ``constriction``, which does the work
if it is installed. Otherwise a reference in Python integers writes and reads the same bytes.

The coder is a stack. ``SymbolEncoder`` collects symbols in decoding order and pushes them in
reverse at the end.
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
    """The frequencies of the symbols 0, 1, ..., n - 1.

    Attributes:
        frequencies: shape (n,), int64, each at least 1, with sum ``TOTAL``; 2 <= n <= 2^16.
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
        """The model for ``constriction``, which adds 1 to each frequency; so it is exact."""
        return constriction.stream.model.Categorical(
            (self.frequencies - 1).astype(np.float64), perfect=False
        )

    @cached_property
    def starts(self) -> list[int]:
        """The cumulative frequency before each symbol, and the total."""
        return [0, *np.cumsum(self.frequencies).tolist()]

    @cached_property
    def bits(self) -> np.ndarray:
        """The cost of each symbol in bits, float32."""
        return (PRECISION - np.log2(self.frequencies)).astype(np.float32)


def table_from_counts(counts: np.ndarray) -> Table:
    """Return the table with frequencies proportional to counts, by integer arithmetic.

    Each symbol gets 1 plus its share of the rest, rounded down. The remainder goes to the first of
    the most frequent symbols.

    Args:
        counts: shape (n,), non-negative integers with a sum from 1 to 2^38.

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
    """Return the table of ``size`` equally frequent symbols, a power of two."""
    return Table(np.full(size, TOTAL // size))


class SymbolEncoder:
    """Collects symbols; ``finish`` codes them to bytes."""

    def __init__(self) -> None:
        self._parts: list[tuple[np.ndarray, Table]] = []

    def put(self, symbols: np.ndarray, table: Table) -> None:
        """Append symbols, shape (n,), integers from 0 to the size of the table minus 1."""
        self._parts.append((symbols, table))

    def finish(self, backend: type[_Stack] | None = None) -> bytes:
        """Return the bytes of all symbols; their number is a multiple of four."""
        stack = (backend or default_backend())(np.zeros(0, np.uint32))
        for symbols, table in reversed(self._parts):
            stack.push(symbols, table)
        return np.ascontiguousarray(stack.words(), "<u4").tobytes()


class SymbolDecoder:
    """Reads symbols from the bytes of a ``SymbolEncoder``, in the same order.

    Args:
        data: bytes, a multiple of four.
        backend: implementation of the coder, by default ``default_backend()``.

    Raises:
        FormatError: if no encoder writes such bytes.
    """

    def __init__(self, data: bytes, backend: type[_Stack] | None = None) -> None:
        words = np.frombuffer(data, "<u4") if len(data) % 4 == 0 else None
        if words is None or (len(words) and words[-1] == 0):
            raise FormatError(f"{len(data)} bytes of symbols do not end in a word other than 0")
        self._stack = (backend or default_backend())(words.astype(np.uint32))

    def take(self, count: int, table: Table) -> np.ndarray:
        """Return the next ``count`` symbols, int32. Damaged data gives wrong symbols."""
        return self._stack.pop(count, table)

    def finish(self) -> None:
        """Raise FormatError unless all symbols have been read."""
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
        """Push symbols so that ``pop`` returns them in this order."""
        if len(symbols):
            self._coder.encode_reverse(np.ascontiguousarray(symbols, np.int32), table.model)

    def pop(self, count: int, table: Table) -> np.ndarray:
        """Pop the next ``count`` symbols."""
        if not count:
            return np.zeros(0, np.int32)
        return self._coder.decode(table.model, count)

    def words(self) -> np.ndarray:
        """Return the words of the stack."""
        return self._coder.get_compressed()

    def is_empty(self) -> bool:
        """Return whether all symbols have been popped."""
        return bool(self._coder.is_empty())


class ReferenceStack:
    """The same coder in Python integers, about 100 times slower."""

    def __init__(self, words: np.ndarray) -> None:
        self._words = words.tolist()
        self._state = 0
        for _ in range(2):
            if self._words:
                self._state = self._state << 32 | self._words.pop()

    def push(self, symbols: np.ndarray, table: Table) -> None:
        """Push symbols so that ``pop`` returns them in this order."""
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
        """Return the words of the stack."""
        words, state = list(self._words), self._state
        while state:
            words.append(state & 0xFFFFFFFF)
            state >>= 32
        return np.array(words, np.uint32)

    def is_empty(self) -> bool:
        """Return whether all symbols have been popped."""
        return not self._words and self._state == 0


def default_backend() -> type[_Stack]:
    """Return the compiled coder if ``constriction`` is installed, otherwise the reference."""
    return ReferenceStack if constriction is None else CompiledStack
