"""Measure solvers and codecs: rate, distortion, time, convergence; and report the results.

One image or one problem:

- ``measure``: rate, distortion and time of one codec on one image.
- ``compare``, ``sample``: the work of `lrfjax compare`, and its photograph.
- ``convergence``: sweeps to a tolerance, and seconds per sweep, of solvers.
- ``describe``: the contents of a compressed file as text.
- ``timing``: times without compilation.

A folder of images:

- ``methods``: the codecs by name, with their settings.
- ``dataset``: find, check, load and batch the images of a folder.
- ``runner``: measure methods on a folder, into a results file; may run in several processes.
- ``batch_rows``: the rows of a batch of images with one method, whatever its codec does.
- ``results``: the rows of a results file, and appending to it.

Curves and reports:

- ``rate_distortion``: the rising part of a curve, interpolation, restriction to rates.
- ``bjontegaard``: BD-rate and BD-PSNR.
- ``mean_curves``: mean curves and BD tables over images.
- ``paired``: differences of codecs, image by image, and how certain they are.
- ``compressai``: curves in CompressAI's files, read and written.
- ``plots``, ``pictures``: figures of curves, and of images; ``saving`` writes the latter.
- ``styles``: colour, dashes and marker of each curve.
- ``page``, ``report``: Markdown pages with figures, and the report on a results file.

``classification`` is an ImageNet classifier for decoded images, and ``experiments`` are those of
arXiv 2408.12691, the topmost modules here. This package imports ``codec``, ``solvers`` and
``image``; only ``cli`` and ``lrfjax`` itself import it.

The names below are those that notebooks use and ``lrfjax`` itself does not hold.
"""

from lrfjax.evaluation.describe import describe
from lrfjax.evaluation.methods import METHODS, Method
from lrfjax.evaluation.results import by_method
from lrfjax.evaluation.sample import SAMPLE_NOTE, sample_image
from lrfjax.evaluation.styles import method_color

__all__ = [
    "METHODS",
    "SAMPLE_NOTE",
    "Method",
    "by_method",
    "describe",
    "method_color",
    "sample_image",
]
