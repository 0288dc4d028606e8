"""Encoding of an image with a learned V: IMF, SVD and NMF of rotated planes.

The pipeline shares colours, deblocking and rate control with ``dictionary_encode``, and all three
methods share the entropy coder, so a comparison of codecs compares factorizations. All columns of U
share one step: the columns of V are integers of one norm, and X ~ s U V^T with s = step / norm.
``learned_plan`` chooses the rank, the norm and the scale.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from lrfjax.codec import container, learned_decode, rate_control
from lrfjax.codec.dictionary_encode import DEBLOCKING, squared_error
from lrfjax.codec.entropy.ans import SymbolEncoder
from lrfjax.codec.entropy.factor_coder import DecidingSource, EncodingSource, walk
from lrfjax.codec.layout import Layout
from lrfjax.codec.learned_plan import Plan, Spectrum, fit_scale, plan_of
from lrfjax.codec.planes import FRACTION_BITS, plane_weights, rotation_of, to_patches
from lrfjax.codec.quantize import IntegerFactors, Range, host_factors
from lrfjax.errors import InputError
from lrfjax.solvers.execute.fit_check import without_fit_warnings
from lrfjax.solvers.factorize import factorize
from lrfjax.solvers.model import FactorModel, Model
from lrfjax.solvers.penalties.penalty import L1
from lrfjax.solvers.presets import nmf, svd
from lrfjax.solvers.sets.boxes import IntegerBox, NonNegative
from lrfjax.types import Factors

MAX_NMF_RANK = 32
_DEAD_ZONE = 0.14


@dataclass(frozen=True)
class EncodedImage:
    """An image encoded at one dial: the header, the factors and their coded body."""

    header: container.LearnedHeader
    factors: tuple[IntegerFactors, ...]
    body: bytes

    @property
    def bodies(self) -> tuple[bytes, ...]:
        """The bodies of the factor chunks."""
        return (self.body,)


class ImageEncoder:
    """An encoder of one image at any dial.

    Args:
        image: shape (H, W) or (H, W, 3), uint8 or uint16.
        method: ``"imf"``, ``"svd"`` or ``"nmf"``.
        patch_size: (P, Q), at least 8 each.
        rank: largest number of columns for luma; the other planes get half. None for no limit.
        num_iters: number of solver sweeps of IMF and NMF.
    """

    def __init__(
        self,
        image: np.ndarray,
        method: str,
        patch_size: tuple[int, int],
        rank: int | None,
        num_iters: int,
    ) -> None:
        self.image = image if image.ndim == 3 else image[..., None]
        self.depth = 8 if image.dtype == np.uint8 else 16
        self.method = method
        self.patch_size = patch_size
        self.num_iters = num_iters
        self.rotation = rotation_of(self.image, "rotated")
        self.weights = plane_weights(self.rotation)
        num_planes = self.image.shape[2]
        size = (self.image.shape[0], self.image.shape[1])
        self.layout = Layout(size, "rotated", size, patch_size, "nearest", num_planes)
        shape = self.layout.matrix_shapes[0]
        if max(shape) > container.MAX_CELLS:
            raise InputError(f"image has {shape[0]} patches, more than {container.MAX_CELLS}")
        limit = min(shape)
        if method == "nmf":
            limit = min(limit, MAX_NMF_RANK)
        ranks = [limit] * num_planes
        if rank is not None:
            ranks = [min(rank, limit)] + [min(max(rank // 2, 1), limit)] * (num_planes - 1)
        self.ranks = ranks
        # V of NMF by plane and rank: it does not depend on the step.
        self._columns: dict[tuple[int, int], np.ndarray] = {}

    @functools.cached_property
    def _matrices(self) -> list[np.ndarray]:
        """The patch matrix of each plane, float32, in gray levels around 0."""
        pixels = self.image.astype(np.float32) / (257 if self.depth == 16 else 1)
        patches = to_patches(pixels, self.rotation.forward, self.patch_size)
        return [p.reshape(-1, p.shape[-1]).T for p in patches]

    @functools.cached_property
    def _svds(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """U S and V of each plane, with the largest allowed number of columns."""
        out = []
        for x, rank in zip(self._matrices, self.ranks, strict=True):
            u, v = host_factors(svd(x, rank))
            norms = np.linalg.norm(v, axis=0)
            is_live = norms > 1e-6 * norms.max(initial=1e-30)
            scale = np.where(is_live, norms, 1)
            out.append((u * scale, v / scale * is_live))
        return out

    def dial_of_rank(self) -> float:
        """Return the dial at which quantization costs as much as dropping the other columns."""
        dropped = sum(
            float(np.square(x).sum() - np.square(u).sum())
            for x, (u, _) in zip(self._matrices, self._svds, strict=True)
        )
        kept = sum(u.size for u, _ in self._svds)
        return float(np.clip(16 * np.sqrt(12 * max(dropped, 0) / kept), 16, 4096))

    def measure(self, dial: float, weight: float = 1.0) -> tuple[EncodedImage, float]:
        """Return the image encoded at a dial, and the mean squared error of the decoded image."""
        encoded = self.encode(dial, weight)
        decoded = learned_decode.render(encoded.header, list(encoded.factors))
        return encoded, squared_error(self.image, decoded) / self.image.size

    def encode(self, dial: float, weight: float = 1.0) -> EncodedImage:
        """Return the image encoded at a dial; see ``rate_control``."""
        # Deblocking takes integers; the scale of the factors follows the dial itself.
        steps = tuple(min(max(round(dial * w), 1), container.MAX_STEP) for w in self.weights)
        out = SymbolEncoder()
        grid = self.layout.patch_grid
        factors, headers = [], []
        for plane, share in enumerate(self.weights):
            step = min(dial * share, container.MAX_STEP)
            plan = self._plan(plane, step)
            with without_fit_warnings():
                v, targets, offset = self._factorize(plane, plan, weight)
            u_source: EncodingSource
            has_signs = self.method != "nmf"
            if self.method == "svd":
                lagrangian = weight * rate_control.LAGRANGIAN * plan.missing(step) ** 2
                u_source = DecidingSource(targets, grid, out, lagrangian)
            else:
                u_source = EncodingSource(targets, grid, out, has_signs=has_signs)
            u = walk(u_source, v.shape[1], grid, 0)
            v_source = EncodingSource(v, self.patch_size, out, has_signs=has_signs)
            walk(v_source, v.shape[1], self.patch_size, 1)
            ranges = _range_of(u, has_signs), _range_of(v, has_signs)
            found = IntegerFactors(u, v, *ranges, plan.scale(self.depth))
            wanted = (self._matrices[plane] + offset) * 2 ** FRACTION_BITS[self.depth]
            found = fit_scale(found, wanted)
            headers.append(container.MatrixHeader(v.shape[1], *ranges, found.scale, offset))
            factors.append(found)
        header = container.LearnedHeader(
            self.method,
            "context",
            self.layout,
            tuple(headers),
            container.Finish(
                self.depth, tuple(map(tuple, self.rotation.inverse.tolist())), steps, DEBLOCKING
            ),
        )
        return EncodedImage(header, tuple(factors), out.finish())

    @functools.cached_property
    def _spectra(self) -> list[Spectrum]:
        """What the plan of each plane depends on, besides the step."""
        out = []
        for plane, (x, (us, _)) in enumerate(zip(self._matrices, self._svds, strict=True)):
            if self.method == "nmf":
                lifted, _ = self._lifted(plane)
                peak = np.sqrt(np.square(lifted).sum(axis=1).max())
            else:
                peak = np.abs(us).max()
            energies = np.square(us).mean(axis=0, dtype=np.float64)
            total = np.square(x).sum(axis=1).mean(dtype=np.float64)
            out.append(Spectrum(energies, float(total), float(peak), x.shape[1]))
        return out

    def _plan(self, plane: int, step: float) -> Plan:
        """Return the plan of a plane for a step in 1/16 gray levels."""
        return plan_of(self._spectra[plane], step, self.depth)

    def _factorize(
        self, plane: int, plan: Plan, weight: float = 1.0
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """Return V, the entries of U (real-valued for the SVD), and the offset of a plane."""
        if self.method == "nmf":
            return self._non_negative(plane, plan, weight)
        x, (us, v) = self._matrices[plane], self._svds[plane]
        scale, rank, norm = plan.gray_scale(self.depth), plan.rank, plan.norm
        v = np.clip(np.rint(norm * v[:, :rank]), -norm, norm)
        if self.method == "svd":
            gram = v.T @ v + 1e-3 * np.eye(rank)
            return v.astype(np.int32), np.linalg.solve(gram, v.T @ x.T).T / scale, 0
        start = Factors(jnp.asarray(us[:, :rank] / (scale * norm)), jnp.asarray(v, jnp.float32))
        dead_zone = L1(weight * _DEAD_ZONE * norm**2 / x.shape[1])
        result = factorize(
            x / scale,
            rank,
            model=Model(
                FactorModel(_box(-plan.largest, plan.largest), (dead_zone,)), _box(-norm, norm)
            ),
            num_iters=self.num_iters,
            start=start,
            record=(),
        )
        u, v = host_factors(result)
        return v.astype(np.int32), u.astype(np.int32), 0

    def _lifted(self, plane: int) -> tuple[np.ndarray, int]:
        """Return the matrix of a plane, lifted to non-negative values, and the offset."""
        x = self._matrices[plane]
        offset = min(max(int(np.ceil(-x.min())), 0), 512)
        return np.maximum(x + offset, 0), offset

    def _non_negative(
        self, plane: int, plan: Plan, weight: float
    ) -> tuple[np.ndarray, np.ndarray, int]:
        lifted, offset = self._lifted(plane)
        scale, rank, norm = plan.gray_scale(self.depth), plan.rank, plan.norm
        if (plane, rank) not in self._columns:
            _, v = host_factors(nmf(lifted, rank, num_iters=self.num_iters, record=()))
            self._columns[plane, rank] = v / np.maximum(np.linalg.norm(v, axis=0), 1e-30)
        v = np.rint(norm * self._columns[plane, rank])
        # Solve for U again with the quantized V: first real, then integer.
        start = Factors(jnp.asarray(lifted @ v / norm**2), jnp.asarray(v, jnp.float32))
        real = factorize(
            lifted / scale,
            rank,
            model=Model(NonNegative(), FactorModel(NonNegative(), is_fixed=True)),
            num_iters=self.num_iters,
            start=Factors(start.u / scale, start.v),
            record=(),
        )
        dead_zone = L1(weight * _DEAD_ZONE * norm**2 / lifted.shape[1])
        result = factorize(
            lifted / scale,
            rank,
            model=Model(
                FactorModel(_box(0, plan.largest), (dead_zone,)),
                FactorModel(_box(0, norm), is_fixed=True),
            ),
            num_iters=4,
            start=real,
            record=(),
        )
        return v.astype(np.int32), host_factors(result)[0].astype(np.int32), offset


def _box(lower: int, upper: int) -> IntegerBox:
    return IntegerBox(np.array(lower, np.float32), np.array(upper, np.float32))


def _range_of(part: np.ndarray, has_signs: bool) -> Range:
    """Return the range of the entries; it contains 0, and -1 if entries may have signs."""
    lower = min(int(part.min()), -1 if has_signs else 0)
    return Range(lower, max(int(part.max()), 0) - lower)
