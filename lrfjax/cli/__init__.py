"""The `lrfjax` command.

- ``main``: the argument parser and exit codes.
- ``coding``: encode, decode and info, on files.
- ``comparing``: compare, on one image at a time.
- ``studies``: evaluate, report and experiment, on folders of images.
- ``batch``: shared by the commands: output paths, progress bars, failures in one line.
- ``ending``: the end of the process at a signal.

``main`` imports the modules of the commands, and these import ``batch`` and ``ending``. No other
package imports this one.
"""

from lrfjax.cli.main import main

__all__ = ["main"]
