"""`python -m lrfjax`, the same as the `lrfjax` command."""

import sys

from lrfjax.cli import main

sys.exit(main())
