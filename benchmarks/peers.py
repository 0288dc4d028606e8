"""Other libraries' factorizations as plain functions: the same matrix, start and objective for all.

Non-negative factorizations are called with (x, u, v, num_iters), float32 arrays of shapes (M, N),
(M, R) and (N, R), and return U and V after that many iterations, never stopping early. Singular
value decompositions are called with (x, rank) and return U S^(1/2) and V S^(1/2). Needs the extra
``benchmarks``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import nimfa
import numpy as np
import scipy.linalg
import scipy.sparse.linalg
import torch
from sklearn.decomposition import NMF
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.extmath import randomized_svd
from tensorly.cp_tensor import CPTensor
from tensorly.decomposition import non_negative_parafac_hals

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # it is compiled by torch.jit.script
    import torchnmf.nmf

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class NonNegativePeer:
    """A non-negative factorization.

    Attributes:
        package: the distribution it comes from.
        solve: see the module.
        num_iters: how many iterations it is given.
        is_multiplicative: whether zeros of the start stay zero, so that they have to be filled.
    """

    package: str
    solve: Callable[[np.ndarray, np.ndarray, np.ndarray, int], Pair]
    num_iters: int
    is_multiplicative: bool = False


def sklearn_nmf(x: np.ndarray, u: np.ndarray, v: np.ndarray, num_iters: int) -> Pair:
    """Coordinate descent."""
    model = NMF(u.shape[1], init="custom", solver="cd", max_iter=num_iters, tol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = model.fit_transform(x, W=u.copy(), H=v.T.copy())
    return fitted, model.components_.T


def tensorly_hals(x: np.ndarray, u: np.ndarray, v: np.ndarray, num_iters: int) -> Pair:
    """HALS with up to five passes over the columns of a factor."""
    start = CPTensor((np.ones(u.shape[1], x.dtype), [u.copy(), v.copy()]))
    # A tolerance of None leaves the test of convergence out.
    found = non_negative_parafac_hals(x, u.shape[1], n_iter_max=num_iters, init=start, tol=None)
    return found.factors[0] * found.weights, found.factors[1]


def torchnmf_multiplicative(x: np.ndarray, u: np.ndarray, v: np.ndarray, num_iters: int) -> Pair:
    """Multiplicative updates for the squared error."""
    # The tensors become the model's parameters, so they are copies.
    model = torchnmf.nmf.NMF(W=torch.tensor(v), H=torch.tensor(u))
    model.fit(torch.tensor(x), beta=2, max_iter=num_iters, tol=0)
    return model.H.detach().numpy(), model.W.detach().numpy()


@contextmanager
def _numpy_with_mat() -> Iterator[None]:
    """Give NumPy 2 back the one name that nimfa 1.4 misses."""
    with mock.patch.object(np, "mat", np.asmatrix, create=True):
        yield


def _nimfa(kind: Any, x: np.ndarray, u: np.ndarray, v: np.ndarray, **settings: Any) -> Pair:
    with _numpy_with_mat(), warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # of np.matrix
        # It computes in float64 whatever it is given.
        start = {"W": u.astype(np.float64), "H": v.T.astype(np.float64)}
        fit = kind(x, seed="fixed", rank=u.shape[1], **start, **settings)()
        return np.asarray(fit.basis()), np.asarray(fit.coef()).T


def nimfa_lsnmf(x: np.ndarray, u: np.ndarray, v: np.ndarray, num_iters: int) -> Pair:
    """Alternating least squares by projected gradients (Lin, 2007)."""
    return _nimfa(nimfa.Lsnmf, x, u, v, max_iter=num_iters, min_residuals=0)


def nimfa_multiplicative(x: np.ndarray, u: np.ndarray, v: np.ndarray, num_iters: int) -> Pair:
    """Multiplicative updates for the squared error (Lee and Seung, 2001)."""
    return _nimfa(
        nimfa.Nmf, x, u, v, max_iter=num_iters, update="euclidean", objective="fro", min_residuals=0
    )


NON_NEGATIVE = {
    "scikit-learn, coordinate descent": NonNegativePeer("scikit-learn", sklearn_nmf, 200),
    "TensorLy, HALS": NonNegativePeer("tensorly", tensorly_hals, 50),
    "torchnmf, multiplicative": NonNegativePeer("torchnmf", torchnmf_multiplicative, 200, True),
    "nimfa, LSNMF": NonNegativePeer("nimfa", nimfa_lsnmf, 10),
    "nimfa, multiplicative": NonNegativePeer("nimfa", nimfa_multiplicative, 50, True),
}


def _split(u: np.ndarray, s: np.ndarray, vt: np.ndarray, rank: int) -> Pair:
    root = np.sqrt(s[:rank])
    return u[:, :rank] * root, vt[:rank].T * root


def numpy_svd(x: np.ndarray, rank: int) -> Pair:
    """LAPACK's gesdd."""
    return _split(*np.linalg.svd(x, full_matrices=False), rank)


def scipy_svd(x: np.ndarray, rank: int) -> Pair:
    """LAPACK's gesdd."""
    return _split(*scipy.linalg.svd(x, full_matrices=False), rank)


def scipy_svds(x: np.ndarray, rank: int) -> Pair:
    """ARPACK, only the triplets wanted, of fewer than min(M, N)."""
    u, s, vt = scipy.sparse.linalg.svds(x, rank, v0=np.ones(min(x.shape), x.dtype))
    return _split(u[:, ::-1], s[::-1], vt[::-1], rank)


def sklearn_svd(x: np.ndarray, rank: int) -> Pair:
    """Randomized, with scikit-learn's own number of power iterations: not exact."""
    return _split(*randomized_svd(x, rank, random_state=0), rank)


def torch_svd(x: np.ndarray, rank: int) -> Pair:
    """LAPACK's gesdd, by PyTorch."""
    parts = torch.linalg.svd(torch.from_numpy(x), full_matrices=False)
    return _split(*(part.numpy() for part in parts), rank)


SINGULAR = {
    "NumPy": numpy_svd,
    "SciPy": scipy_svd,
    "SciPy svds": scipy_svds,
    "scikit-learn, randomized": sklearn_svd,
    "PyTorch": torch_svd,
}
PACKAGES = ("scipy", "scikit-learn", "torch", "tensorly", "torchnmf", "nimfa")
