"""The exceptions that lrfjax raises, all derived from ``LrfError``."""

from __future__ import annotations


class LrfError(Exception):
    """Base class of every error that lrfjax raises on purpose."""


class InputError(LrfError, ValueError):
    """An argument has the right type but an invalid value; the message names both."""


class InputTypeError(LrfError, TypeError):
    """An argument has the wrong type or dtype; the message names both."""


class FormatError(LrfError, ValueError):
    """A byte string is not a file that this version of lrfjax can decode."""


class SolverError(LrfError, RuntimeError):
    """A factorization ended in ``Status.FAILED``, and the caller needs its factors."""


class FitWarning(UserWarning):
    """A factorization is valid and almost certainly not what was meant; the message says why."""
