"""A photograph that is always available."""

from __future__ import annotations

import numpy as np
from matplotlib import cbook
from PIL import Image

SAMPLE_NOTE = (
    "Grace Hopper, official U.S. Navy photograph (public domain), from matplotlib's sample data; "
    "a JPEG, cropped so that its 8 x 8 blocks are not aligned with those of any codec"
)
"""The source of the photograph and how it was edited."""


def sample_image() -> np.ndarray:
    """Return the photograph, shape (592, 507, 3), uint8: see ``SAMPLE_NOTE``."""
    path = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    with Image.open(str(path)) as image:
        pixels = np.asarray(image.convert("RGB"))
    return pixels[3:-5, 3:-2]
