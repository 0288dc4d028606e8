"""Markdown pages with figures, as reports and experiments write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from lrfjax.evaluation.plots import save_figure
from lrfjax.image.writing import write_atomically


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with aligned columns, which is readable as plain text too.

    Example:
        >>> print(table(["codec", "dB"], [["JPEG", "30.1"], ["IMF", "33.5"]]))
        | codec |   dB |
        | :---- | ---: |
        | JPEG  | 30.1 |
        | IMF   | 33.5 |
    """
    widths = [max(len(row[k]) for row in [heads, *rows]) for k in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        padded = [cells[0].ljust(widths[0])]
        padded += [c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True)]
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (w - 1) + ":" for w in widths[1:])]
    return "\n".join([line(heads), line(rule), *map(line, rows)])


def write_page(
    folder: Path, name: str, title: str, parts: Sequence[str], figures: Mapping[str, Figure]
) -> list[Path]:
    """Write a page, and each figure as PNG for the page and as PDF for print; close the figures.

    Args:
        folder: an existing folder.
        name: name of the page's file, without suffix.
        title: heading of the page.
        parts: Markdown texts, such as tables, in order.
        figures: figures by the name of their files, without suffix.

    Returns:
        The paths of the written files, the page first.

    Raises:
        InputError: if a file cannot be written.
    """
    paths = [folder / f"{name}.md"]
    lines = [f"# {title}", *parts]
    try:
        for stem, figure in figures.items():
            for suffix in (".png", ".pdf"):
                paths.append(folder / f"{stem}{suffix}")
                save_figure(figure, paths[-1])
            lines.append(f"![{stem.replace('_', ' ')}]({stem}.png)")
    finally:
        for figure in figures.values():
            plt.close(figure)
    write_atomically(paths[0], ("\n\n".join(lines) + "\n").encode())
    return paths
