"""The `lrfjax` command: argument parser, signals and exit codes."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lrfjax.cli import coding, comparing, studies
from lrfjax.cli.batch import FAILURES, failure_line, shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        The exit code: 0, 1 after failures (which are printed in one line each), or 130 after an
        interrupt.
    """
    options = _parser().parse_args(arguments)
    try:
        with _terminated_as_interrupted():
            return options.run(options)
    except BrokenPipeError:
        # The reader of the output is gone. Without this, the flush at exit would fail as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except FAILURES as error:
        print(shown(failure_line(options.command, error), sys.stderr), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"lrfjax {options.command}: interrupted", file=sys.stderr)
        return 130


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Treat SIGTERM as an interrupt, so that the program cleans up before it ends."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous or signal.SIG_DFL)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lrfjax", description="Low-rank factorization solvers and image codecs."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for part in (comparing, coding, studies):
        part.add_commands(commands)
    return parser
