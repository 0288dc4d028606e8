"""The published codecs of arXiv 2408.12691: the rank sets the rate, and bounded factors are stored.

Image -> matrices -> bounded integer factors -> bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from lrfjax import checks
from lrfjax.codec.buckets import bucket, pad_to
from lrfjax.codec.codec import Rate
from lrfjax.codec.entropy import deflate
from lrfjax.codec.entropy.magnitudes import MAX_ENTRY
from lrfjax.codec.file import learned_header
from lrfjax.codec.file_codec import Coded, Extras, FileCodec
from lrfjax.codec.published import body as learned_body
from lrfjax.codec.published import sweep as paper_sweep
from lrfjax.codec.published.layout import Layout, check_padding, to_matrices
from lrfjax.codec.published.ranks import resolve_ranks
from lrfjax.codec.quantize import (
    MAX_QUANTIZED_PRODUCT,
    IntegerFactors,
    Range,
    Scale,
    host_factors,
    product_limit,
    quantize,
)
from lrfjax.errors import InputError, InputTypeError
from lrfjax.image import resample
from lrfjax.image.reading import MAX_PIXELS
from lrfjax.solvers import presets
from lrfjax.solvers.execute.fit_check import without_fit_warnings


@dataclass(frozen=True)
class _Paper(FileCodec):
    """The stages that both published codecs share: colours, sampling, patches, entropy coding."""

    color_space: str = "YCbCr"
    scale_factor: tuple[float, float] = (0.5, 0.5)
    patch: bool = True
    patch_size: tuple[int, int] = (8, 8)
    upsampling: str = "nearest"
    entropy: str = "deflate"

    rates: ClassVar[tuple[str, ...]] = ("quality", "rank")

    def __post_init__(self) -> None:
        is_rgb = checks.one_of("color_space", self.color_space, ("YCbCr", "RGB")) == "RGB"
        checks.one_of("upsampling", self.upsampling, learned_header.UPSAMPLINGS)
        checks.one_of("entropy", self.entropy, learned_header.ENTROPY_CODERS)
        if not isinstance(self.patch, (bool, np.bool_)):
            raise InputTypeError(f"patch must be True or False, got {self.patch!r}")
        sides = checks.integer_pair("patch_size", self.patch_size, 1, learned_header.MAX_PATCH_SIDE)
        if not self.patch and sides != _Paper.patch_size:
            raise InputError(f"patch_size belongs to patch=True, got {sides} and patch=False")
        pair = self.scale_factor
        if isinstance(pair, str) or not isinstance(pair, (Sequence, np.ndarray)) or len(pair) != 2:
            raise InputTypeError(f"scale_factor must be a pair, got {pair!r}")
        first, second = (checks.real("scale_factor", f, 0.0, 1.0) for f in pair)
        if 0.0 in (first, second):
            raise InputError(f"scale_factor must be above 0, got {pair}")
        if is_rgb and (first, second) not in (_Paper.scale_factor, (1.0, 1.0)):
            raise InputError(f"scale_factor is for YCbCr, got {pair} and color_space='RGB'")
        if is_rgb and self.upsampling != _Paper.upsampling:
            raise InputError(f"upsampling is for YCbCr, got {self.upsampling!r} for RGB")
        # Codecs are compared and hashed, also when pairs are lists or arrays.
        object.__setattr__(self, "patch_size", sides)
        object.__setattr__(self, "scale_factor", (first, second))

    def layout(self, shape: tuple[int, ...], max_pixels: int = MAX_PIXELS) -> Layout:
        """Return the layout of an image of a given shape.

        Gray images have no chroma. ``max_pixels`` limits the padding to whole patches.
        """
        size = (shape[0], shape[1])
        space = "gray" if len(shape) == 2 else self.color_space
        has_chroma = space == "YCbCr"
        scaled = [resample.scaled_size(n, f) for n, f in zip(size, self.scale_factor, strict=True)]
        patches = None
        if self.patch:
            patches = self.patch_size
            check_padding(size, patches, max_pixels)
        return Layout(
            size,
            space,
            (scaled[0], scaled[1]) if has_chroma else size,
            patches,
            self.upsampling if has_chroma else "nearest",
        )

    def check_rank(self, rank: int) -> None:
        """Raise InputError, before the solve, if products of the factors may be too large."""
        raise NotImplementedError

    def factorize(self, x: np.ndarray, rank: int) -> IntegerFactors:
        """Return the integer factors of a matrix."""
        raise NotImplementedError

    @property
    def can_pad(self) -> bool:
        """Whether rows of zeros below a matrix get zeros in U and leave the rest as it is.

        Without patches columns would have to be padded as well, which costs too much time.
        """
        return bool(self.patch)

    def padded(self, x: np.ndarray) -> np.ndarray:
        """Return matrices, shape (..., M, N), with rows of zeros up to a bucket.

        The solver then compiles for few numbers of rows. If that would change the result, the
        matrices stay as they are.
        """
        return pad_to(x, x.ndim - 2, bucket(x.shape[-2])) if self.can_pad else x

    def plan(
        self, shape: tuple[int, ...], rates: Sequence[Rate], max_pixels: int = MAX_PIXELS
    ) -> tuple[Layout, list[list[int]]]:
        """Return the layout, and the rank of each matrix for each rate, after all checks."""
        layout = self.layout(shape, max_pixels)
        learned_body.check_coder(self.entropy, layout)
        ranks = [resolve_ranks(layout, rate) for rate in rates]
        self.check_rank(max(map(max, ranks)))
        return layout, ranks

    def encode_opaque(
        self, image: np.ndarray, rate: Rate, extras: Extras, write: Callable[[Coded], bytes]
    ) -> bytes:
        """Return the file of an image without alpha, of 8 bits."""
        if image.dtype != np.uint8:
            raise InputError(f"image must be uint8 for {self.name}, got {image.dtype}")
        layout, (ranks,) = self.plan(image.shape, [rate], extras.max_pixels)
        matrices = to_matrices(image, layout)
        return write(
            self.code([self.factorize(x, r) for x, r in zip(matrices, ranks, strict=True)], layout)
        )

    def code(self, factors: list[IntegerFactors], layout: Layout) -> Coded:
        """Return the header and the coded factors."""
        header, body = learned_body.code(factors, layout, self.method, self.entropy)
        return header, (body,)


@dataclass(frozen=True)
class PaperIMFCodec(_Paper):
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
        return paper_sweep.imf(self, images, levels, largest)


@dataclass(frozen=True)
class PaperSVDCodec(_Paper):
    """The SVD codec that arXiv 2408.12691, section 5, compares with; the settings of its curves.

    The singular values are split evenly between the factors, and each factor is quantized
    uniformly over its range.

    Attributes:
        color_space: see ``PaperIMFCodec``; for this and the following.
        scale_factor: for YCbCr.
        patch: whether rows of the matrices are patches.
        patch_size: (P, Q) in pixels.
        upsampling: for YCbCr.
        entropy: ``"deflate"`` or ``"context"``.
        bits: bits per quantized entry, 1 to 8.
    """

    color_space: str = "RGB"
    bits: int = 8

    name: ClassVar[str] = "svd-paper"
    label: ClassVar[str] = "SVD, paper"
    method: ClassVar[str] = "svd"
    levels: ClassVar[tuple[float, ...]] = tuple(np.linspace(0, 5, 30).round(6).tolist())
    is_continuous: ClassVar[bool] = False
    shares_work: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.integer("bits", self.bits, 1, 8)

    def check_rank(self, rank: int) -> None:
        """Raise InputError, before the solve, if quantized products may be too large."""
        limits = Range(0, 2**self.bits - 1)
        if product_limit(rank, limits, limits) > MAX_QUANTIZED_PRODUCT:
            raise InputError(f"rank {rank} at bits={self.bits} gives products beyond 2^26")

    def factorize(self, x: np.ndarray, rank: int) -> IntegerFactors:
        """Return the quantized factors of a matrix."""
        u, v = host_factors(presets.svd(self.padded(x), rank))
        return quantize(u[: len(x)], v, self.bits)

    def sweep(
        self, images: Sequence[np.ndarray], levels: Sequence[float], largest: float | None = None
    ) -> Iterator[list[bytes]]:
        """Yield the files of images of one shape for each quality; see ``PaperIMFCodec.sweep``.

        The images are decomposed once for all qualities, whatever ``largest`` is.
        """
        return paper_sweep.svd(self, images, levels)


PAPER_SETTINGS = MappingProxyType(
    {f.name: f.default for f in fields(PaperIMFCodec) if f.name not in ("key", "dtype", "verbose")}
)
"""The published settings of arXiv 2408.12691, as keyword arguments of ``imf_encode``."""
