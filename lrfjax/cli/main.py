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
        end_at_signals(options.command)
    try:
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lrfjax", description="Low-rank factorization solvers and image codecs."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for part in (comparing, coding, studies):
        part.add_commands(commands)
    return parser
