"""End the process before its work is done: at a signal, or after the loss of another process."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from typing import NoReturn

from lrfjax.image.writing import remove_unfinished

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


def end_at_signals(command: str) -> None:
    """From now on, end the process at an interrupt: one line, no partial file, exit code 130.

    The process ends inside the handler. A KeyboardInterrupt would not do: Python raises it wherever
    the main thread is. JAX's callback of the garbage collector swallows it. A compilation that it
    leaves behind goes on in a thread of XLA, and crashes once the interpreter takes XLA down.

    Args:
        command: name of the command, for the line.
    """
    errors = sys.stderr.fileno()

    def end(*_: object) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        remove_unfinished()
        # A progress bar leaves the cursor inside its line.
        start = "\n" if os.isatty(errors) else ""
        # Not by print, since the signal may have come in the middle of one.
        with contextlib.suppress(OSError):
            os.write(errors, f"{start}lrfjax {command}: interrupted\n".encode())
        leave(130)

    for number in _SIGNALS:
        # A signal that the parent process ignores (nohup) stays ignored.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


def keep_signals() -> None:
    """Set the handlers of Python again, after JAX's preemption notifier has taken SIGTERM."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _SIGNALS:
        if (handler := signal.getsignal(number)) is not None:
            signal.signal(number, handler)


def leave(code: int) -> NoReturn:
    """End this process at once, with what it has printed, and without waiting for any thread."""
    for stream in (sys.stdout, sys.stderr):
        # RuntimeError: a signal came in the middle of a write.
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            stream.flush()
    os._exit(code)
