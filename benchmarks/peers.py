"""Factorizations of other libraries as plain functions of the same matrix and start.

Non-negative factorizations are called with (x, u, v, num_iters), float32 arrays of shapes (M, N),
(M, R) and (N, R), and return U and V after that many iterations, never stopping early. Singular
value decompositions are called with (x, rank) and return U S^(1/2) and V S^(1/2). Each function
imports its library itself, so that this module needs none of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class NonNegativePeer:
    """A non-negative factorization.

    Attributes:
        package: distribution of the library.
        solve: function of (x, u, v, num_iters); see the module.
        num_iters: number of iterations of a run.
        is_multiplicative: whether zeros of the start stay zero, and must be filled beforehand.
    """

    package: str
    solve: Callable[[np.ndarray, np.ndarray, np.ndarray, int], Pair]
    num_iters: int
    is_multiplicative: bool = False


@dataclass(frozen=True)
class SingularPeer:
    """A truncated singular value decomposition.

    Attributes:
        package: distribution of the library.
        solve: function of (x, rank); see the module.
    """

    package: str
    solve: Callable[[np.ndarray, int], Pair]


def sklearn_nmf(x: np.ndarray, u: np.ndarray, v: np.ndarray, num_iters: int) -> Pair:
    """Run coordinate descent."""
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    model = NMF(u.shape[1], init="custom", solver="cd", max_iter=num_iters, tol=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = model.fit_transform(x, W=u.copy(), H=v.T.copy())
    return fitted, model.components_.T


def tensorly_hals(x: np.ndarray, u: np.ndarray, v: np.ndarray, num_iters: int) -> Pair:
    """Run HALS with up to five passes over the columns of a factor."""
    from tensorly.cp_tensor import CPTensor
    from tensorly.decomposition import non_negative_parafac_hals

    start = CPTensor((np.ones(u.shape[1], x.dtype), [u.copy(), v.copy()]))
    # A tolerance of None skips the test of convergence.
    found = non_negative_parafac_hals(x, u.shape[1], n_iter_max=num_iters, init=start, tol=None)
    return found.factors[0] * found.weights, found.factors[1]


def torchnmf_multiplicative(x: np.ndarray, u: np.ndarray, v: np.ndarray, num_iters: int) -> Pair:
    """Run multiplicative updates for the squared error."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Its import calls torch.jit.script.
        import torchnmf.nmf

    # The tensors become the model's parameters, so they are copies.
    model = torchnmf.nmf.NMF(W=torch.tensor(v), H=torch.tensor(u))
    model.fit(torch.tensor(x), beta=2, max_iter=num_iters, tol=0)
    return model.H.detach().numpy(), model.W.detach().numpy()


@contextmanager
def _numpy_with_mat() -> Iterator[None]:
    """Provide ``np.mat``, which NumPy 2 removed and nimfa 1.4 uses."""
    with mock.patch.object(np, "mat", np.asmatrix, create=True):
        yield


def _nimfa(kind: str, x: np.ndarray, u: np.ndarray, v: np.ndarray, **settings: Any) -> Pair:
    import nimfa

    with _numpy_with_mat(), warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # of np.matrix
        # It always computes in float64.
        start = {"W": u.astype(np.float64), "H": v.T.astype(np.float64)}
        fit = getattr(nimfa, kind)(x, seed="fixed", rank=u.shape[1], **start, **settings)()
        return np.asarray(fit.basis()), np.asarray(fit.coef()).T


def nimfa_lsnmf(x: np.ndarray, u: np.ndarray, v: np.ndarray, num_iters: int) -> Pair:
    """Run alternating least squares by projected gradients (Lin, 2007)."""
    return _nimfa("Lsnmf", x, u, v, max_iter=num_iters, min_residuals=0)


def nimfa_multiplicative(x: np.ndarray, u: np.ndarray, v: np.ndarray, num_iters: int) -> Pair:
    """Run multiplicative updates for the squared error (Lee and Seung, 2001)."""
    return _nimfa(
        "Nmf", x, u, v, max_iter=num_iters, update="euclidean", objective="fro", min_residuals=0
    )


NON_NEGATIVE = {
    "scikit-learn, coordinate descent": NonNegativePeer("scikit-learn", sklearn_nmf, 200),
    "TensorLy, HALS": NonNegativePeer("tensorly", tensorly_hals, 50),
    "torchnmf, multiplicative": NonNegativePeer("torchnmf", torchnmf_multiplicative, 200, True),
    "nimfa, LSNMF": NonNegativePeer("nimfa", nimfa_lsnmf, 10),
    "nimfa, multiplicative": NonNegativePeer("nimfa", nimfa_multiplicative, 50, True),
}


def _split(parts: Sequence[np.ndarray], rank: int) -> Pair:
    """Return U S^(1/2) and V S^(1/2) of the leading triplets of (U, S, V^T)."""
    u, s, vt = parts
    root = np.sqrt(s[:rank])
    return u[:, :rank] * root, vt[:rank].T * root


def numpy_svd(x: np.ndarray, rank: int) -> Pair:
    """Call LAPACK's gesdd through NumPy."""
    return _split(np.linalg.svd(x, full_matrices=False), rank)


def scipy_svd(x: np.ndarray, rank: int) -> Pair:
    """Call LAPACK's gesdd through SciPy."""
    import scipy.linalg

    return _split(scipy.linalg.svd(x, full_matrices=False), rank)


def scipy_svds(x: np.ndarray, rank: int) -> Pair:
    """Call ARPACK for the leading triplets alone, fewer than min(M, N)."""
    import scipy.sparse.linalg

    u, s, vt = scipy.sparse.linalg.svds(x, rank, v0=np.ones(min(x.shape), x.dtype))
    return _split((u[:, ::-1], s[::-1], vt[::-1]), rank)


def sklearn_svd(x: np.ndarray, rank: int) -> Pair:
    """Run the randomized SVD with the default number of power iterations; it is not exact."""
    from sklearn.utils.extmath import randomized_svd

    return _split(randomized_svd(x, rank, random_state=0), rank)


def torch_svd(x: np.ndarray, rank: int) -> Pair:
    """Call LAPACK's gesdd through PyTorch."""
    import torch

    parts = torch.linalg.svd(torch.from_numpy(x), full_matrices=False)
    return _split([part.numpy() for part in parts], rank)


SINGULAR = {
    "NumPy": SingularPeer("numpy", numpy_svd),
    "SciPy": SingularPeer("scipy", scipy_svd),
    "SciPy, svds": SingularPeer("scipy", scipy_svds),
    "scikit-learn, randomized": SingularPeer("scikit-learn", sklearn_svd),
    "PyTorch": SingularPeer("torch", torch_svd),
}
PACKAGES = ("scipy", "scikit-learn", "torch", "tensorly", "torchnmf", "nimfa")
