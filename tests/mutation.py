"""Structured mutation of files: the numbers, chunks, lengths and coded data of golden files.

A mutant has a few chunks or parts of chunks (see ``parts``) rewritten. Most mutants get right CRCs
again, so that they reach the code behind them.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from lrfjax.codec.file import container
from lrfjax.codec.file.chunks import FORMAT_VERSION, SIGNATURE, varint
from tests.parts import Chunk, Chunks, parse, repaired

Rng = np.random.Generator

# Sizes of images, patches and tables, limits of the format, and their neighbours.
_TELLING = (
    *(0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 24, 31, 32, 40, 48, 63, 64, 100, 127, 128, 255, 256),
    *(300, 511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097, 16383, 16384, 16385, 65535, 65536),
    *(99_999, 100_000, 2**21, 2**24, 2**25, 2**27, 89_478_485, 2**30, 2**31 - 1, 2**31, 2**32),
)
_SIDES = tuple(n for n in _TELLING if 0 < n <= 100_000)
_TELLING_BYTES = tuple(n for n in _TELLING if n < 256)
_HEAD_PARTS = 8
"""Most numbers before the symbols of a tile. Each is a single byte."""


def _pick(rng: Rng, items: list | tuple) -> int:
    return int(rng.integers(0, len(items)))


def _number(rng: Rng, old: bytes) -> bytes:
    """Return another number in the place of one."""
    value = sum((byte & 0x7F) << 7 * i for i, byte in enumerate(old[:5]))
    match rng.integers(0, 10):
        case 0:
            return varint(value + 1)
        case 1:
            return varint(max(value - 1, 0))
        case 2:
            return varint((2 * value, value // 2)[rng.integers(0, 2)])
        case 3:
            return varint(int(rng.integers(0, 1 << rng.integers(1, 33))))
        case 4:
            # More bytes than the number needs.
            return bytes([*(b | 0x80 for b in old), *[0x80] * int(rng.integers(0, 3)), 0])
        case 5:
            return rng.bytes(rng.integers(1, 6))
        case 6:
            return bytes([rng.integers(0, 256)])
        case 7 | 8 if len(old) == 1:
            return bytes([_TELLING_BYTES[_pick(rng, _TELLING_BYTES)]])
        case _:
            return varint(_TELLING[_pick(rng, _TELLING)])


def _numbers(rng: Rng, chunks: Chunks, others: Chunks) -> None:
    """Rewrite numbers of the header, or those before the symbols."""
    at = 0 if rng.random() < 0.7 else _pick(rng, chunks)
    parts = list(chunks[at].parts)
    for _ in range(rng.integers(1, 4)):
        if parts:
            place = int(rng.integers(0, min(len(parts), len(parts) if at == 0 else _HEAD_PARTS)))
            parts[place] = _number(rng, parts[place])
    chunks[at] = replace(chunks[at], parts=tuple(parts))


def _size(rng: Rng, chunks: Chunks, others: Chunks) -> None:
    """Claim another image, mostly one that a decoder accepts, with the same factors or none."""
    kind = chunks[0].parts[:1]
    parts = list(chunks[0].parts)
    starts = {bytes([container.DICTIONARY]): 1, bytes([container.BASIS]): 2}
    place = starts.get(b"".join(kind), 5)
    in_tiles = place < 5
    if len(parts) < place + 3:
        return
    height = int(rng.choice(_SIDES))
    width = int(rng.choice([n for n in _SIDES if n * height <= 100_000] or [1]))
    sides = (height, width) if rng.random() < 0.5 else (width, height)
    parts[place : place + 2] = map(varint, sides)
    if in_tiles:
        # One tile, which the file has.
        parts[place + 2] = varint(-(-sides[0] // 16))
    elif rng.random() < 0.5:
        # A rank, most of all; numbers in the wrong place are refused.
        parts[int(rng.integers(7, len(parts)))] = varint(min(*sides, 64))
    chunks[0] = replace(chunks[0], parts=tuple(parts))
    if rng.random() < 0.3:
        for i, chunk in enumerate(chunks[1:], 1):
            keep = 8 if in_tiles else 0
            chunks[i] = replace(
                chunk, parts=chunk.parts[:keep] if chunk.tag == b"F" else chunk.parts
            )


def _rearrange(rng: Rng, chunks: Chunks, others: Chunks) -> None:
    """Swap, repeat, drop or replace parts of a chunk, or end it early."""
    at = _pick(rng, chunks)
    parts = list(chunks[at].parts) or [b""]
    i, j = _pick(rng, parts), _pick(rng, parts)
    other = others[_pick(rng, others)].parts or (b"",)
    match rng.integers(0, 7):
        case 0:
            parts[i], parts[j] = parts[j], parts[i]
        case 1:
            parts.insert(i, parts[j])
        case 2:
            del parts[i]
        case 3:
            parts[i] = other[_pick(rng, other)]
        case 4:
            parts = [*parts[:i], *other[_pick(rng, other) :]]
        case 5:
            del parts[i:]
        case _:
            parts[i:j] = reversed(parts[i:j])
    chunks[at] = replace(chunks[at], parts=tuple(parts))


def _deflated(rng: Rng, chunks: Chunks, others: Chunks) -> None:
    """Deflate other entries, of other numbers, into alpha or a column."""
    at = int(rng.integers(min(1, len(chunks) - 1), len(chunks)))
    parts = list(chunks[at].parts) or [b""]
    place = _pick(rng, parts)
    for bits in (15, -15):
        try:
            old = zlib.decompressobj(bits).decompress(parts[place], 1 << 20)
        except zlib.error:
            continue
        length = int(rng.choice([len(old), len(old) - 1, len(old) + 1, 0, 16 * len(old), 1 << 20]))
        case = rng.integers(0, 3)
        fresh = (
            rng.bytes(length) if case == 0 and length > 0 else b"\0\xff"[case - 1 :][:1] * length
        )
        coder = zlib.compressobj(int(rng.integers(0, 10)), zlib.DEFLATED, bits)
        parts[place] = coder.compress(fresh) + coder.flush()
    chunks[at] = replace(chunks[at], parts=tuple(parts))


def _reorder(rng: Rng, chunks: Chunks, others: Chunks) -> None:
    """Swap, repeat, drop, replace, shuffle or add chunks."""
    i, j, k = _pick(rng, chunks), _pick(rng, chunks), _pick(rng, others)
    match rng.integers(0, 8):
        case 0:
            chunks[i], chunks[j] = chunks[j], chunks[i]
        case 1:
            chunks.insert(i, chunks[j])
        case 2 if len(chunks) > 1:
            del chunks[i]
        case 3:
            chunks[i] = others[k]
        case 4:
            chunks[i:] = others[k:]
        case 5:
            tag = rng.choice([b"H", b"A", b"I", b"E", b"F", rng.bytes(1)])
            chunks[i] = replace(chunks[i], tag=bytes(tag).ljust(1, b"\0"))
        case 6:
            chunks[:] = [chunks[n] for n in rng.permutation(len(chunks))]
        case _:
            size = int(rng.integers(0, 2000))
            alpha = zlib.compress(rng.bytes(size)), zlib.compress(bytes(size)), rng.bytes(size)
            tag = (b"A", b"A", b"I", b"E")[rng.integers(0, 4)]
            chunks.insert(min(1, i), Chunk(tag, (alpha[rng.integers(0, 3)],)))


def _length(rng: Rng, chunks: Chunks, others: Chunks) -> None:
    """State another length than that of the body."""
    at = _pick(rng, chunks)
    length = len(chunks[at].body)
    rest = sum(len(c.joined()) for c in chunks[at + 1 :])
    after = len(chunks[at + 1].joined()) if at + 1 < len(chunks) else 4
    value = int(rng.choice([length - 1, length + 1, length - 4, length + after, length + rest, 0]))
    right = varint(length)
    over = bytes([*right[:-1], right[-1] | 0x80, 0])
    stated = (varint(max(value, 0)), _number(rng, right), over)[rng.integers(0, 3)]
    chunks[at] = replace(chunks[at], length=stated)


def _flip(rng: Rng, data: bytearray, start: int, size: int) -> None:
    data[start] ^= 1 << int(rng.integers(0, 8))


def _set(rng: Rng, data: bytearray, start: int, size: int) -> None:
    data[start] = int(rng.choice([0, 1, 127, 128, 254, 255, rng.integers(0, 256)]))


def _delete(rng: Rng, data: bytearray, start: int, size: int) -> None:
    del data[start : start + size]


def _insert(rng: Rng, data: bytearray, start: int, size: int) -> None:
    data[start:start] = rng.bytes(size)


def _double(rng: Rng, data: bytearray, start: int, size: int) -> None:
    data[start:start] = data[start : start + size]


_BYTE_CHANGES = (_flip, _flip, _set, _set, _delete, _insert, _double)


def _bytes(rng: Rng, data: bytes) -> bytes:
    """Change bytes anywhere."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        if out:
            # Words of symbols have four bytes; whole words get further.
            size = int(rng.choice([1, 4])) * int(rng.integers(1, 9))
            _BYTE_CHANGES[_pick(rng, _BYTE_CHANGES)](rng, out, _pick(rng, out), size)
    return bytes(out)


def _contents(rng: Rng, chunks: Chunks, others: Chunks) -> None:
    """Change bytes of a body."""
    at = _pick(rng, chunks)
    chunks[at] = replace(chunks[at], parts=(_bytes(rng, chunks[at].body),))


_CHANGES: tuple[Callable[[Rng, Chunks, Chunks], None], ...] = (
    *(_numbers, _numbers, _numbers),
    *(_rearrange, _rearrange, _contents, _contents, _contents),
    *(_size, _deflated, _reorder, _length),
)


def mutant(rng: Rng, seeds: list[Chunks]) -> bytes:
    """Return a mutant of one of the files, given as chunks in parts."""
    chunks, others = (list(seeds[_pick(rng, seeds)]) for _ in range(2))
    for _ in range(rng.integers(1, 4) if rng.random() < 0.5 else 1):
        _CHANGES[_pick(rng, _CHANGES)](rng, chunks, others)
    data = SIGNATURE + bytes([FORMAT_VERSION]) + b"".join(c.joined() for c in chunks)
    match rng.integers(0, 20):
        case 0:
            return _bytes(rng, repaired(data))
        case 1:
            return repaired(data)[: rng.integers(0, len(data) + 1)]
        case 2:
            return repaired(_bytes(rng, data))
        case 3:
            return data
    return repaired(data)


def mutants(count: int, seed: int, files: list[bytes]) -> Iterator[bytes]:
    """Yield mutants of files."""
    seeds = [parse(data) for data in files]
    for number in range(count):
        yield mutant(np.random.default_rng((seed, number)), seeds)
