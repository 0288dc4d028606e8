"""A real photograph that is always there."""

from __future__ import annotations

import numpy as np
from matplotlib import cbook
from PIL import Image

SAMPLE_NOTE = (
    "Grace Hopper, official U.S. Navy photograph (public domain), from matplotlib's sample data; "
    "a JPEG, cropped off its 8 x 8 grid so that no codec meets the blocks it was coded in"
)
"""Where the photograph comes from and what was done to it."""


def sample_image() -> np.ndarray:
    """Return the photograph, shape (592, 507, 3), uint8: see ``SAMPLE_NOTE``."""
    path = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    with Image.open(str(path)) as image:
        pixels = np.asarray(image.convert("RGB"))
    return pixels[3:-5, 3:-2]
