"""The `lrfjax` command."""

from lrfjax.cli.main import main

__all__ = ["main"]
