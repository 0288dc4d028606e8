"""The published IMF codec (arXiv 2408.12691, section 4)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from lrfjax import checks
from lrfjax.codec.entropy import deflate
from lrfjax.codec.entropy.magnitudes import MAX_ENTRY
from lrfjax.codec.published import sweep
from lrfjax.codec.published.stages import PaperCodec
from lrfjax.codec.quantize import (
    IntegerFactors,
    Range,
    Scale,
    host_factors,
    product_limit,
)
from lrfjax.errors import InputError, InputTypeError
from lrfjax.solvers import presets
from lrfjax.solvers.execute.fit_check import without_fit_warnings


@dataclass(frozen=True)
class PaperIMFCodec(PaperCodec):
    """The IMF codec of arXiv 2408.12691, section 4; the defaults are the published settings.

    Quality is the rank as a percentage of min(M, N): a scalar for luma, of which chroma gets half,
    or one per matrix. Both factors are solved for within bounds, and each column is deflated.

    Attributes:
        color_space: ``"YCbCr"`` or ``"RGB"``; ignored for gray images, which have one plane.
        scale_factor: size of the chroma planes relative to luma, (vertical, horizontal), each
            in (0, 1]; for YCbCr. RGB has none: it takes the default or (1, 1).
        patch: whether rows of the matrices are patches; otherwise each plane is a matrix.
        patch_size: (P, Q) in pixels, 1 to 1024 each; for ``patch=True``.
        upsampling: interpolation of the chroma planes, ``"nearest"`` or ``"linear"``; for YCbCr.
        entropy: ``"deflate"`` or ``"context"``.
        bounds: (lower, upper) bounds of the factor entries, integers.
        num_iters: number of solver sweeps.
        init: start of the solver, ``"svd"``, ``"balanced"`` or ``"random"``.
        key: integer seed for ``init="random"``, otherwise None.
        dtype: an integer type that has to hold the bounds, such as ``np.int8`` or
            ``torch.int8``, or None. It does not change the file, which holds no more than it needs.
        verbose: whether ``encode`` prints a line for each matrix: its shape, rank and relative
            error.
    """

    bounds: tuple[int, int] = (-16, 15)
    num_iters: int = 10
    init: str = "svd"
    key: int | None = None
    dtype: Any = None
    verbose: bool = False

    name: ClassVar[str] = "imf-paper"
    label: ClassVar[str] = "IMF, paper"
    method: ClassVar[str] = "imf"
    levels: ClassVar[tuple[float, ...]] = tuple(np.linspace(0, 40, 80).round(6).tolist())
    is_continuous: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        lower, upper = self.limits.lower, self.limits.lower + self.limits.span
        object.__setattr__(self, "bounds", (lower, upper))
        checks.integer("num_iters", self.num_iters, 0)
        checks.one_of("init", self.init, ("svd", "balanced", "random"))
        if (self.init == "random") != (self.key is not None):
            raise InputError(f"key belongs to init='random', got {self.key!r} and {self.init!r}")
        if self.key is not None:
            checks.integer("key", self.key, 0)
        if not isinstance(self.verbose, (bool, np.bool_)):
            raise InputTypeError(f"verbose must be True or False, got {self.verbose!r}")
        if self.dtype is None:
            return
        try:
            # The names of PyTorch's types end in those of NumPy's.
            limits = np.iinfo(str(self.dtype).rpartition(".")[2].rstrip("'>"))
        except (TypeError, ValueError) as error:
            raise InputTypeError(f"dtype must be an integer type, got {self.dtype!r}") from error
        if lower < limits.min or upper > limits.max:
            raise InputError(f"dtype {self.dtype} does not hold bounds {self.bounds}")
        object.__setattr__(self, "dtype", str(limits.dtype))

    @property
    def limits(self) -> Range:
        """The bounds as a range; raises InputError if the entropy coder cannot code it."""
        bounds = checks.integer_bounds("bounds", self.bounds)
        if bounds[0].ndim or bounds[1].ndim:
            raise InputTypeError(f"bounds must be a pair of integers, got {self.bounds!r}")
        lower, upper = map(int, bounds)
        if upper - lower > deflate.MAX_SPAN:
            raise InputError(f"bounds must span at most {deflate.MAX_SPAN}, got {self.bounds}")
        limits = Range(lower, upper - lower)
        if self.entropy == "context" and limits.largest > MAX_ENTRY:
            raise InputError(f"bounds must be within {MAX_ENTRY} for contexts, got {self.bounds}")
        return limits

    @property
    def can_pad(self) -> bool:
        """Whether rows of zeros get zeros in U, which takes a start and bounds that allow it."""
        is_zero_within = self.limits.lower <= 0 <= self.limits.upper
        return super().can_pad and self.init == "svd" and is_zero_within

    def check_rank(self, rank: int) -> None:
        """Raise InputError, before the solve, if products of bounded factors may exceed 32 bits."""
        if product_limit(rank, self.limits, self.limits) >= 2**31:
            raise InputError(f"bounds {self.bounds} are too wide for products in 32 bits")

    def factorize(self, x: np.ndarray, rank: int) -> IntegerFactors:
        """Return the integer factors of a matrix."""
        limits = self.limits
        # The codec does not use the history, so it is recorded at the ends only.
        with without_fit_warnings():
            result = presets.imf(
                self.padded(x),
                rank,
                bounds=(limits.lower, limits.upper),
                num_iters=self.num_iters,
                init=self.init,
                key=self.key,
                record_every=max(self.num_iters, 1),
            )
        u, v = host_factors(result)
        if self.verbose:
            error = float(result.history.relative_error[-1])
            print(f"IMF of {x.shape[0]} x {x.shape[1]}, rank {rank}: relative error {error:.4f}")
        u = u[: len(x)]
        return IntegerFactors(u.astype(np.int32), v.astype(np.int32), limits, limits, Scale())

    def sweep(
        self, images: Sequence[np.ndarray], levels: Sequence[float], largest: float | None = None
    ) -> Iterator[list[bytes]]:
        """Yield the files of images of one shape for each quality, solved as a batch.

        The files are those of single calls, except that single entries of the factors may differ:
        batched floating-point sums have another order and may round differently.

        Raises:
            InputError: a value out of range, or no images or images of different shapes; on
                the call.
            InputTypeError: a wrong type or dtype; on the call.
            SolverError: the solver failed on a matrix; during iteration.
        """
        return sweep.imf(
            self,
            images,
            levels,
            largest,
            limits=self.limits,
            num_iters=self.num_iters,
            init=self.init,
        )


PAPER_SETTINGS = MappingProxyType(
    {f.name: f.default for f in fields(PaperIMFCodec) if f.name not in ("key", "dtype", "verbose")}
)
"""The published settings of arXiv 2408.12691, as keyword arguments of ``imf_encode``."""
