"""lrfjax: low-rank factorization solvers in JAX, and the image codecs built on them.

The layers, from the bottom up; each imports only from layers above it in this list:

- ``errors``, ``checks``, ``types``: exceptions, checks of arguments, the types of results.
- ``solvers``: factorize matrices (IMF, NMF, SVD). Knows nothing of images.
- ``image``: images as arrays: files, colour, patches, quality metrics. Knows nothing of solvers.
- ``codec``: images to bytes and back.
- ``evaluation``: measure solvers and codecs: studies, reports, figures, the paper's experiments.
- ``cli``: the ``lrfjax`` command.

All public names are listed in ``__all__`` and can be imported from ``lrfjax`` itself.
"""

from importlib.metadata import version as _version

from lrfjax.codec.codec import Codec, Rate
from lrfjax.codec.codecs.dct import DCTCodec
from lrfjax.codec.codecs.learned import IMFCodec, NMFCodec, SVDCodec
from lrfjax.codec.codecs.paper_imf import PAPER_SETTINGS, PaperIMFCodec
from lrfjax.codec.codecs.paper_svd import PaperSVDCodec
from lrfjax.codec.codecs.pil import pil_decode, pil_encode
from lrfjax.codec.decode import decode, read_factors, read_metadata
from lrfjax.codec.doors import (
    dct_decode,
    dct_encode,
    imf_decode,
    imf_encode,
    nmf_decode,
    nmf_encode,
    svd_decode,
    svd_encode,
)
from lrfjax.codec.encode import encode
from lrfjax.codec.registry import find as find_codec
from lrfjax.codec.registry import register as register_codec
from lrfjax.errors import (
    FitWarning,
    FormatError,
    InputError,
    InputTypeError,
    LrfError,
    SolverError,
)
from lrfjax.evaluation.bjontegaard import bd_psnr, bd_rate
from lrfjax.evaluation.convergence import (
    SweepTimes,
    convergence_table,
    sweeps_to,
    time_sweeps,
)
from lrfjax.evaluation.mean_curves import bd_table, mean_curve
from lrfjax.evaluation.measure import eval_compression
from lrfjax.evaluation.methods import choose_methods
from lrfjax.evaluation.paired import bd_rate_differences, quality_differences
from lrfjax.evaluation.pictures import vis_collage, vis_image
from lrfjax.evaluation.plots import (
    plot_convergence,
    plot_differences,
    plot_mean_curves,
    plot_rate_distortion,
    save_figure,
)
from lrfjax.evaluation.results import Row, read_rows
from lrfjax.evaluation.runner import evaluate
from lrfjax.image.metrics import bits_per_pixel, compression_ratio, ms_ssim, psnr, ssim
from lrfjax.image.reading import Picture, read_image, read_picture
from lrfjax.solvers.execute.sharding import shard_batch, shard_rows
from lrfjax.solvers.execute.stepping import Solve
from lrfjax.solvers.factorize import factorize, reconstruct, resume
from lrfjax.solvers.losses.divergence import BetaDivergence, ItakuraSaito, KullbackLeibler
from lrfjax.solvers.losses.loss import Loss
from lrfjax.solvers.losses.squared import SquaredError
from lrfjax.solvers.methods.bcd import BCD
from lrfjax.solvers.methods.column_kernel import column_kernel
from lrfjax.solvers.methods.extrapolation import Extrapolated
from lrfjax.solvers.methods.first_order import FirstOrder
from lrfjax.solvers.methods.method import Method
from lrfjax.solvers.methods.multiplicative import Multiplicative
from lrfjax.solvers.model import FactorModel, Model
from lrfjax.solvers.open_loop import finish, init, step
from lrfjax.solvers.penalties.entropy import BitCosts, Entropy, factor_bits
from lrfjax.solvers.penalties.penalty import L1, L2, Penalty
from lrfjax.solvers.presets import imf, nmf, svd
from lrfjax.solvers.rank_selection import rank_for_error, rank_for_ratio
from lrfjax.solvers.record import Record
from lrfjax.solvers.sets.boxes import Box, IntegerBox, NonNegative, Real
from lrfjax.solvers.sets.constraint import Constraint
from lrfjax.solvers.sets.levels import Levels
from lrfjax.solvers.sets.sparsity import Sparse
from lrfjax.solvers.starts.random_start import RandomStart
from lrfjax.solvers.starts.start import Start
from lrfjax.solvers.starts.svd_starts import BalancedStart, NNDSVDStart, SVDStart
from lrfjax.solvers.stopping import AnyOf, FixedPoint, SmallChange, SmallGradient, Stalled, Stop
from lrfjax.solvers.transform import transform
from lrfjax.solvers.truncated_svd import truncated_svd
from lrfjax.types import Factors, History, Result, Status

__version__ = _version("lrfjax")

__all__ = [
    "BCD",
    "L1",
    "L2",
    "PAPER_SETTINGS",
    "AnyOf",
    "BalancedStart",
    "BetaDivergence",
    "BitCosts",
    "Box",
    "Codec",
    "Constraint",
    "DCTCodec",
    "Entropy",
    "Extrapolated",
    "FactorModel",
    "Factors",
    "FirstOrder",
    "FitWarning",
    "FixedPoint",
    "FormatError",
    "History",
    "IMFCodec",
    "InputError",
    "InputTypeError",
    "IntegerBox",
    "ItakuraSaito",
    "KullbackLeibler",
    "Levels",
    "Loss",
    "LrfError",
    "Method",
    "Model",
    "Multiplicative",
    "NMFCodec",
    "NNDSVDStart",
    "NonNegative",
    "PaperIMFCodec",
    "PaperSVDCodec",
    "Penalty",
    "Picture",
    "RandomStart",
    "Rate",
    "Real",
    "Record",
    "Result",
    "Row",
    "SVDCodec",
    "SVDStart",
    "SmallChange",
    "SmallGradient",
    "Solve",
    "SolverError",
    "Sparse",
    "SquaredError",
    "Stalled",
    "Start",
    "Status",
    "Stop",
    "SweepTimes",
    "bd_psnr",
    "bd_rate",
    "bd_rate_differences",
    "bd_table",
    "bits_per_pixel",
    "choose_methods",
    "column_kernel",
    "compression_ratio",
    "convergence_table",
    "dct_decode",
    "dct_encode",
    "decode",
    "encode",
    "eval_compression",
    "evaluate",
    "factor_bits",
    "factorize",
    "find_codec",
    "finish",
    "imf",
    "imf_decode",
    "imf_encode",
    "init",
    "mean_curve",
    "ms_ssim",
    "nmf",
    "nmf_decode",
    "nmf_encode",
    "pil_decode",
    "pil_encode",
    "plot_convergence",
    "plot_differences",
    "plot_mean_curves",
    "plot_rate_distortion",
    "psnr",
    "quality_differences",
    "rank_for_error",
    "rank_for_ratio",
    "read_factors",
    "read_image",
    "read_metadata",
    "read_picture",
    "read_rows",
    "reconstruct",
    "register_codec",
    "resume",
    "save_figure",
    "shard_batch",
    "shard_rows",
    "ssim",
    "step",
    "svd",
    "svd_decode",
    "svd_encode",
    "sweeps_to",
    "time_sweeps",
    "transform",
    "truncated_svd",
    "vis_collage",
    "vis_image",
]
