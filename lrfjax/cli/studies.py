"""The commands on folders of images: evaluate, report, experiment."""

from __future__ import annotations

import argparse
import atexit
import csv
import inspect
import os
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from tqdm import tqdm

from lrfjax import checks
from lrfjax.cli.batch import check_targets, make_folder
from lrfjax.cli.ending import keep_signals, leave
from lrfjax.errors import InputError
from lrfjax.evaluation.compressai import read_compressai, write_compressai
from lrfjax.evaluation.experiments.base import Request
from lrfjax.evaluation.experiments.registry import EXPERIMENTS
from lrfjax.evaluation.mean_curves import INTERPOLATIONS
from lrfjax.evaluation.methods import METHODS, choose_methods
from lrfjax.evaluation.report import write_report
from lrfjax.evaluation.results import by_method, read_rows, unique
from lrfjax.evaluation.runner import LostProcessError, evaluate

_DATA_HELP = "folder of images"


def add_commands(commands: Any) -> None:
    """Add evaluate, report and experiment to the subparsers of the command line."""
    evaluation = commands.add_parser(
        "evaluate", help="measure codecs on a folder of images, one row per image and setting"
    )
    evaluation.add_argument("--data", type=Path, required=True, metavar="DIR", help=_DATA_HELP)
    evaluation.add_argument(
        "--methods",
        default="dct,imf,svd,nmf,jpeg,webp",
        metavar="NAMES",
        help=f"codecs, from {', '.join(METHODS)}, or package.module:object (default: %(default)s)",
    )
    evaluation.add_argument(
        "--levels",
        action="append",
        default=[],
        metavar="NAME=N,N,...",
        help="settings of one codec, in place of its defaults; may be repeated",
    )
    evaluation.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="results, one JSON object per line; rows that it holds are not measured again",
    )
    group = evaluation.add_argument_group(
        "several processes", "start each with the same arguments, except for --process-id"
    )
    group.add_argument("--coordinator", metavar="HOST:PORT", help="address of process 0")
    group.add_argument("--num-processes", type=int, metavar="N", help="number of processes")
    group.add_argument("--process-id", type=int, metavar="I", help="from 0 to N - 1")
    group.add_argument(
        "--start-timeout",
        type=int,
        default=60,
        metavar="S",
        help="seconds to wait until all have started (default: %(default)s)",
    )
    group.add_argument(
        "--lost-timeout",
        type=int,
        default=30,
        metavar="S",
        help="seconds after which a silent process ends the run (default: %(default)s)",
    )
    evaluation.set_defaults(run=_evaluate)

    report = commands.add_parser("report", help="make tables and figures from results")
    report.add_argument("results", nargs="+", type=Path, metavar="RESULTS")
    report.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the page and its figures"
    )
    report.add_argument(
        "--anchor",
        metavar="NAME",
        help="codec that BD-rates and BD-PSNRs compare with (default: jpeg, if it was measured)",
    )
    report.add_argument(
        "--reference",
        metavar="NAME",
        help="codec to subtract from the others (default: each of the first three)",
    )
    report.add_argument(
        "--interpolation",
        choices=INTERPOLATIONS,
        default="linear",
        help="interpolation of each image's curve for the means (default: %(default)s)",
    )
    report.add_argument(
        "--published",
        nargs="+",
        default=[],
        type=Path,
        metavar="JSON",
        help="curves in CompressAI's format, to draw over the figures",
    )
    report.add_argument(
        "--compressai", action="store_true", help="also write each codec's curve in that format"
    )
    report.set_defaults(run=_report)

    experiment = commands.add_parser(
        "experiment",
        help="run an experiment of arXiv 2408.12691 and check the published claims",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(f"  {e.name:<15}{e.about}" for e in EXPERIMENTS.values()),
    )
    experiment.add_argument("name", metavar="NAME", help="see below")
    experiment.add_argument("--data", type=Path, required=True, metavar="DIR", help=_DATA_HELP)
    experiment.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder for results, page and figures (default: lrfjax-experiments/NAME)",
    )
    experiment.add_argument(
        "--reference",
        type=Path,
        metavar="CSV",
        help="for comparison: published points, columns image, method, bpp, psnr_db",
    )
    experiment.add_argument(
        "--labels",
        type=Path,
        metavar="CSV",
        help="for classification: classes of the images, columns image, label",
    )
    experiment.set_defaults(run=_experiment)


def _evaluate(options: argparse.Namespace) -> int:
    methods = choose_methods(
        _names_in(options.methods), dict(_levels(text) for text in options.levels)
    )
    _join(options)
    try:
        summary = evaluate(options.data, methods, options.out, warn=_warn)
    except LostProcessError:
        # At exit, JAX would wait for the lost process and then abort.
        atexit.register(leave, 1)
        raise
    if jax.process_index() == 0:
        skipped = f", {len(summary.skipped)} skipped" if summary.skipped else ""
        print(f"{options.out}: {summary.num_rows} rows, {summary.num_new} of them new{skipped}")
    return 0 if summary.num_rows else 1


def _names_in(text: str) -> list[str]:
    """Return the names of a list; one with a comma is quoted, as in a line of a CSV file."""
    try:
        found = next(csv.reader([text], skipinitialspace=True), [])
    except csv.Error as error:
        raise InputError(f"--methods must be names with commas between, got {text!r}") from error
    return [name.strip() for name in found if name.strip()]


def _levels(text: str) -> tuple[str, list[float]]:
    name, has_sign, values = text.rpartition("=")
    try:
        levels = [float(value) for value in values.split(",")]
    except ValueError:
        levels = []
    if not (has_sign and levels):
        raise InputError(f"--levels must be NAME=NUMBER,NUMBER,..., got {text!r}")
    return name.strip(), levels


def _join(options: argparse.Namespace) -> None:
    """Connect the processes that share the work, if there are several."""
    given = (options.coordinator, options.num_processes, options.process_id)
    if all(value is None for value in given):
        return
    if any(value is None for value in given):
        raise InputError("--coordinator, --num-processes and --process-id belong together")
    count = checks.integer("--num-processes", options.num_processes, 1)
    process = checks.integer("--process-id", options.process_id, 0, count - 1)
    start = checks.integer("--start-timeout", options.start_timeout, 1)
    lost = checks.integer("--lost-timeout", options.lost_timeout, 1)
    address = options.coordinator
    _check_address(address, serves=process == 0)
    limits: dict[str, Any] = {"heartbeat_timeout_seconds": lost, "shutdown_timeout_seconds": lost}
    known = inspect.signature(jax.distributed.initialize).parameters  # JAX 0.8.0 lacks the second

    def give_up() -> None:
        _warn(f"--coordinator {address!r} did not bring {count} processes together in {start} s")
        leave(1)

    # JAX has such a limit too, but it aborts without naming the coordinator.
    timer = threading.Timer(start, give_up)
    timer.daemon = True
    timer.start()
    try:
        jax.distributed.initialize(
            address,
            count,
            process,
            initialization_timeout=2 * start + 60,
            **{name: value for name, value in limits.items() if name in known},
        )
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"--coordinator {address!r} failed: {reason}") from error
    finally:
        timer.cancel()
        keep_signals()
    if count > 1:
        _warn(
            f"process {process} of {count} begins; if another one dies, JAX aborts this one "
            f"within {lost} s, and the same commands resume the run"
        )


def _check_address(address: str, serves: bool) -> None:
    """Raise InputError for an address with which JAX would wait in vain or crash."""
    host, _, port = address.rpartition(":")
    if not (host and port.isascii() and port.isdecimal() and 0 < int(port) < 2**16):
        raise InputError(f"--coordinator must be HOST:PORT, got {address!r}")
    try:
        socket.getaddrinfo(host.strip("[]"), int(port))
    except (OSError, UnicodeError) as error:  # UnicodeError: a label is empty or too long
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"--coordinator {address!r} is no known host: {reason}") from error
    if not serves or "JAX_COORDINATOR_BIND_ADDRESS" in os.environ:
        return
    is_dual = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if is_dual else socket.AF_INET
    try:
        socket.create_server(("", int(port)), family=family, dualstack_ipv6=is_dual).close()
    except OSError as error:
        reason = error.strerror
        raise InputError(f"--coordinator {address!r} cannot be served: {reason}") from error


def _warn(line: str) -> None:
    tqdm.write(f"lrfjax: {line}", file=sys.stderr)


def _report(options: argparse.Namespace) -> int:
    rows = unique(row for path in options.results for row in read_rows(path))
    if not rows:
        raise InputError(f"results {_names(options.results)} hold no rows")
    curves = {method: options.out / f"{method}.json" for method in by_method(rows)}
    check_targets(curves.values() if options.compressai else [], options.published)
    published = [read_compressai(path) for path in options.published]
    make_folder(options.out)
    paths = write_report(
        rows,
        options.out,
        anchor=options.anchor,
        reference=options.reference,
        method=options.interpolation,
        published=published,
    )
    if options.compressai:
        for method, path in curves.items():
            write_compressai(path, rows, method)
        paths.extend(curves.values())
    print(paths[0].read_text(encoding="utf-8").partition("\n![")[0])
    return _tell(paths)


def _names(paths: Sequence[Path]) -> str:
    return ", ".join(repr(str(path)) for path in paths)


def _tell(paths: Sequence[Path]) -> int:
    for path in paths:
        print(f"wrote {path}")
    return 0


def _experiment(options: argparse.Namespace) -> int:
    name = checks.one_of("NAME", options.name, tuple(EXPERIMENTS))
    out = options.out or Path("lrfjax-experiments") / name
    if out.resolve().is_relative_to(options.data.resolve()):
        raise InputError(f"--out '{out}' is in --data: the figures would be measured as images")
    make_folder(out)
    outcome = EXPERIMENTS[name].run(Request(options.data, out, options.reference, options.labels))
    print("\n\n".join([outcome.title, *outcome.parts]) + "\n")
    for finding in outcome.findings:
        print(finding)
    return _tell(outcome.write(out))
