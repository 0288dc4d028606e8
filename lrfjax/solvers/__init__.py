"""Factorization solvers, the numerical core of lrfjax. They know nothing of images.

Front doors:

- ``presets``: ``imf``, ``nmf`` and ``svd``.
- ``factorize``: the general ``factorize``, ``resume`` and ``reconstruct``.
- ``open_loop``: ``init``, ``step`` and ``finish``, for callers who hold the loop.
- ``transform``: U for a known V.
- ``truncated_svd``, ``closed_svd``: the truncated SVD in closed form, and as a solve.
- ``rank_selection``: ranks from compression ratios and from relative errors.

``execute``: the way from arguments to the loop and back. It knows no options.

The loop:

- ``drive``: the only loop over sweeps.
- ``rows``: the entries of a history as rows of few arrays.

Parts of a solve. Each has a base class or a protocol that says what to implement, and can be
written outside the package:

- ``starts``: where a solve begins (``start``).
- ``methods``: how a sweep is made (``method``).
- ``record``: what an entry of the history holds.
- ``stopping``: when a solve has converged.
- ``model``: what is minimised: a loss, and for each factor a set and penalties.
- ``penalties``: what else the entries of a factor cost (``penalty``).
- ``losses``: how far X may be from U V^T (``loss``).
- ``sets``: what the entries of a factor may be (``constraint``).

Ground:

- ``problem``: the matrix with its weights, and the state of a solve.
- ``numerics``: products at full precision, compensated sums, scaling by powers of two.

Imports point down this list: a module imports only from its own line and the lines below, and from
``lrfjax.types``, ``lrfjax.checks`` and ``lrfjax.errors``. Factors are transposed inside: U^T has
the shape (R, M), so that a column is contiguous, and is padded with zero rows.
"""
