"""Colour, dashes and marker of each curve of a figure, unlike those of all other curves.

Each method has one colour in all figures, from the palette of Okabe and Ito, whose colours differ
also under the common kinds of colour blindness. Variants of a method share its colour and differ in
dashes and marker.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any

METHOD_COLORS = {
    "DCT": "#882255",
    "IMF": "#0072B2",
    "NMF": "#E69F00",
    "SVD": "#009E73",
    "JPEG": "#D55E00",
    "JPEG2000": "#56B4E9",
    "WEBP": "#CC79A7",
    "AVIF": "#000000",
}
_OTHER_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000")
_GRAYS = ("#333333", "#777777", "#AAAAAA")
# Dotted lines are left for published curves.
_DASHES: tuple[Any, ...] = ("-", "--", "-.", (0, (8, 2)), (0, (5, 1, 1, 1, 1, 1)))
_MARKERS = "osD^vP*X"

Style = dict[str, Any]
"""Arguments for ``Axes.plot``: color, linestyle, marker."""


def method_color(name: str, index: int = 0) -> str:
    """Return the colour of a method, or for other names a colour by index.

    Variants of a method (``"IMF, paper"``, ``"imf-paper"``) share its colour.
    """
    return METHOD_COLORS.get(_known_method(name), _OTHER_COLORS[index % len(_OTHER_COLORS)])


def curve_styles(names: Iterable[str]) -> dict[str, Style]:
    """Return a style for each name, all different.

    A known method has its colour and a solid line. Other names have the colours that are left, as
    far as these go. A variant shares the colour of its method and has dashes: its name begins with
    that of a known method, or with that of another curve and a comma.

    Example:
        >>> styles = curve_styles(["IMF", "IMF, paper", "mine"])
        >>> [style["linestyle"] for style in styles.values()]
        ['-', '--', '-']
    """
    names = list(names)
    methods = {name: _method(name, names) for name in names}
    colors = {m: METHOD_COLORS[m] for m in methods.values() if m in METHOD_COLORS}
    free = [color for color in _OTHER_COLORS if color not in colors.values()] or _OTHER_COLORS
    others = dict.fromkeys(method for method in methods.values() if method not in colors)
    colors |= {method: free[k % len(free)] for k, method in enumerate(others)}
    taken: set[tuple[str, Any, str]] = set()
    styles = {}
    for name, method in methods.items():
        color, is_variant = colors[method], _plain(name) != _plain(method)
        dashes, marker = next(
            line for line in lines(_DASHES[is_variant:]) if (color, *line) not in taken
        )
        taken.add((color, dashes, marker))
        styles[name] = {"color": color, "linestyle": dashes, "marker": marker}
    return styles


def published_styles(number: int) -> list[Style]:
    """Return styles of published curves: gray, dotted, all different."""
    return [
        {"color": _GRAYS[k % len(_GRAYS)], "linestyle": ":", "marker": _marker(k)}
        for k in range(number)
    ]


def bound_styles(number: int) -> list[Style]:
    """Return styles of horizontal lines: gray, all different; markers only after many lines."""
    dashes = ("--", ":", "-.", *_DASHES[3:])
    return [
        {
            "color": "#555555",
            "linestyle": dashes[k % len(dashes)],
            "marker": _marker(k // len(dashes)) if k >= len(dashes) else "",
        }
        for k in range(number)
    ]


def legend_text(name: str) -> str:
    """Return a name that a legend shows; it leaves out those that begin with an underscore."""
    return f" {name}" if name[:1] in ("", "_") else name


def sparse(style: Style, number: int) -> Style:
    """Return a style with few enough markers on a curve of a number of points."""
    if number <= 25:
        return style | {"markersize": 3.5}
    if style["marker"] == _MARKERS[0]:
        return style | {"marker": ""}
    return style | {"markersize": 4, "markevery": number // 12}


def lines(dashes: Sequence[Any]) -> Iterator[tuple[Any, str]]:
    """Yield pairs of dashes and marker, without end and without repetition.

    The first ones differ in both, since dashes alone are hard to see between markers.
    """
    for turn in range(len(dashes)):
        for k, marker in enumerate(_MARKERS):
            yield dashes[(k + turn) % len(dashes)], marker
    for k in count(len(_MARKERS)):
        yield dashes[k % len(dashes)], _marker(k)


def _method(name: str, names: Sequence[str]) -> str:
    """Return the method that a curve shows, or of which it shows a variant."""
    if method := _known_method(name):
        return method
    stems = [other for other in names if name.startswith(f"{other},")]
    return min(stems, key=len, default=name)


def _known_method(name: str) -> str:
    """Return the key of ``METHOD_COLORS`` that a name begins with, or an empty text."""
    words = re.findall(r"[A-Z0-9]+", name.upper())
    starts = ("".join(words[:k]) for k in range(len(words), 0, -1))
    return next((start for start in starts if start in METHOD_COLORS), "")


def _plain(name: str) -> str:
    """Return a name without what does not tell a method from another, such as spaces."""
    plain = re.sub(r"[^A-Z0-9]", "", name.upper())
    return "DCT" if plain == "DCTDICTIONARY" else plain


def _marker(index: int) -> str:
    """Return a marker that no other index has: symbols, and then numbers."""
    return _MARKERS[index] if index < len(_MARKERS) else f"${index}$"
