"""The `lrfjax` command: argument parser and exit codes."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from lrfjax.cli import coding, comparing, studies
from lrfjax.cli.batch import FAILURES, failure_line, shown
from lrfjax.cli.ending import end_at_signals


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: arguments of a call from Python. By default those of the process, which then ends
            at SIGINT, SIGTERM and SIGHUP.

    Returns:
        The exit code: 0, 1 after failures (which are printed in one line each), or 130 after an
        interrupt.
    """
    options = _parser().parse_args(arguments)
    if arguments is None:
        # Python puts the folder of the command here, but codecs of one's own lie in this one.
        sys.path.append(os.getcwd())
        _replace_closed_streams()
        end_at_signals(options.command)
    try:
        code = options.run(options)
        # A failure at exit would not be caught.
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader of the output is gone
        _drop_unwritable_output()
        return 1
    except FAILURES as error:
        print(shown(failure_line(options.command, error), sys.stderr), file=sys.stderr)
        _drop_unwritable_output()
        return 1
    except KeyboardInterrupt:
        print(f"lrfjax {options.command}: interrupted", file=sys.stderr)
        return 130


def _replace_closed_streams() -> None:
    """Open the null device for each stream that the parent process has closed."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))


def _drop_unwritable_output() -> None:
    """Drop what standard output does not take, or Python would fail on it again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lrfjax", description="Low-rank factorization solvers and image codecs."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for part in (comparing, coding, studies):
        part.add_commands(commands)
    return parser
