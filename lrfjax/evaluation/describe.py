"""Describe a compressed file as text: header, bytes by chunk, bits by plane and column."""

from __future__ import annotations

from collections.abc import Sequence

from lrfjax.codec.accounting import Account, Share, account
from lrfjax.codec.file import container
from lrfjax.codec.file.header_parts import Finish
from lrfjax.codec.file.learned_header import LearnedHeader
from lrfjax.codec.file.tiled_headers import BasisHeader, TiledHeader
from lrfjax.image.reading import MAX_PIXELS

_LABEL = 14


def describe(data: bytes, *, max_pixels: int = MAX_PIXELS) -> str:
    """Return a description of a compressed file, in lines of text.

    Args:
        data: bytes of a file of any codec.
        max_pixels: see ``decode``.

    Raises:
        FormatError: see ``decode``.
        InputTypeError: see ``decode``.
    """
    file = container.read(data, max_pixels)
    header = file.header
    if isinstance(header, TiledHeader):
        height, width = header.size
        lines = _tiled_lines(header)
    else:
        height, width = header.layout.size
        lines = _learned_lines(header)
    lines.append(_line("size", f"{len(data)} bytes, {8 * len(data) / (height * width):.4f} bpp"))
    lines += [f"  {name:<{_LABEL - 2}}{size} bytes" for name, size in file.sizes.items()]
    found = account(data, max_pixels=max_pixels)
    return "\n".join([*lines, "", *_bit_table(found, height * width)])


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}"


def _tiled_lines(header: TiledHeader) -> list[str]:
    height, width = header.size
    count = header.num_tiles
    kind = "a dictionary, U"
    if isinstance(header, BasisHeader):
        kind = "learned, its deviations from a dictionary and U"
    return [
        _line("method", f"{header.method}, V is {kind} coded by context"),
        _line("image", f"{width} x {height} pixels (width x height), {_planes(header.finish)}"),
        _line("patches", f"16 x 16, in {count} tile{'s' * (count > 1)}"),
        *_finish_lines(header.finish),
    ]


def _learned_lines(header: LearnedHeader) -> list[str]:
    layout = header.layout
    height, width = layout.size
    patch = "none" if layout.patch_size is None else "{} x {}".format(*layout.patch_size)
    lines = [
        _line("method", f"{header.method}, factors coded by {header.entropy}"),
        _line("image", f"{width} x {height} pixels (width x height), {layout.color_space}"),
    ]
    if layout.color_space == "YCbCr":
        size = "{1} x {0}".format(*layout.chroma_size)
        lines.append(_line("chroma", f"{size} pixels, {layout.upsampling} upsampling"))
    lines.append(_line("patches", patch))
    for index, (shape, m) in enumerate(zip(layout.matrix_shapes, header.matrices, strict=True)):
        ranges = [f"[{r.lower}, {r.upper}]" for r in (m.range_u, m.range_v)]
        text = (
            f"{shape[0]} x {shape[1]}, rank {m.rank}, scale {float(m.scale):g}, "
            f"U in {ranges[0]}, V in {ranges[1]}"
        )
        lines.append(_line(f"matrix {index}", text))
    return lines


def _planes(finish: Finish) -> str:
    count = len(finish.steps)
    return f"{finish.depth} bits, {'gray' if count == 1 else '3 planes of rotated colours'}"


def _finish_lines(finish: Finish) -> list[str]:
    steps = ", ".join(f"{step / 16:g}" for step in finish.steps)
    filters = f"deblocking {finish.deblocking}, restoration {finish.restoration}"
    return [_line("steps", f"{steps} gray levels by plane, {filters}")]


def _bit_table(found: Account, num_pixels: int) -> list[str]:
    """Return rows with the bits of each range of columns in all factors, and the sums."""
    heads = sorted({(share.matrix, share.factor) for share in found.shares})
    by_row: dict[tuple[int, int], dict[tuple[int, str], Share]] = {}
    for share in found.shares:
        by_row.setdefault(share.columns, {})[share.matrix, share.factor] = share
    sums = dict.fromkeys(heads, 0.0)
    for share in found.shares:
        sums[share.matrix, share.factor] += share.bits
    lines = [_row("bits", [f"{factor} {matrix}" for matrix, factor in heads])]
    for (first, end), shares in sorted(by_row.items()):
        label = f"  column {first}" if end == first + 1 else f"  columns {first}-{end - 1}"
        cells = [f"{shares[head].bits:.0f}" if head in shares else "" for head in heads]
        # Leave out bands that are not in the file.
        if any(cell not in ("", "0") for cell in cells):
            lines.append(_row(label, cells))
    lines.append(_row("  all", [f"{sums[head]:.0f}" for head in heads]))
    lines.append(_row("  bpp", [f"{sums[head] / num_pixels:.4f}" for head in heads]))
    if found.choices:
        lines.append(_row("choices", [f"{found.choices:.0f}"]) + "  (the dictionary of each patch)")
    lines.append(_row("rest", [f"{max(found.rest, 0):.0f}"]) + "  (counts, ends of the coder)")
    return lines


def _row(label: str, cells: Sequence[str]) -> str:
    return (f"{label:<18}" + "".join(f"{cell:>10}" for cell in cells)).rstrip()
