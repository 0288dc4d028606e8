"""Factorization solvers, the numerical core of lrfjax. They know nothing of images.

Front doors:

- ``presets``: ``imf``, ``nmf`` and ``svd``.
- ``factorize``: the general ``factorize``, and ``reconstruct``.
- ``transform``: U for a known V.
- ``gradient``: ``factorize_gradient``, first-order comparators on optax.
- ``rank_selection``: ranks from compression ratios and from relative errors.

Execution, from arguments to results:

- ``front_door``: what surrounds every call: JAX settings, meshes, LAPACK's threads.
- ``lapack_threads``: one thread for LAPACK while a call lasts.
- ``planning``: the path from checked data to a plan, its run, and the trimmed result.
- ``arguments``, ``model_arguments``: argument checks, and conversion to what solvers take.
- ``bucketed``: padding to rank buckets, batches, restarts.
- ``starts``: the plan of a solve, and where it begins.
- ``fit_check``: a warning where X does not suit integer bounds.
- ``units``: scaling of X, weights and penalties, and of results back.
- ``sharding``: placement of arrays on several devices, and solves that follow it.
- ``meshes``: meshes of the caller, with Auto axes for the solvers.
- ``sharded_svd``: the SVD of a matrix whose rows lie on several devices.

Loop:

- ``bcd``: one sweep (``step``) and the loop over sweeps (``solve``).
- ``entries``: the loops from one entry of the history to the next.
- ``diagnostics``: the entries of the convergence history.
- ``stopping``: tolerances and stopping tests.

Sweep:

- ``columns``: exact column updates, with and without weights.
- ``column_kernel``: the same updates in one GPU kernel, tested before use.
- ``joint_moves``: moves of two integers at a time.
- ``entropy``: the rate of integer factors as a penalty.
- ``affine``: the fit of scale and offset, and a centred X.
- ``extrapolation``: accelerated sweeps with restart.

Starts:

- ``initialize``: SVD, balanced, NNDSVD and random starts; filling of missing entries.
- ``gram_svd``: leading singular triplets of a long matrix, from small decompositions.
- ``truncated_svd``: the truncated SVD in closed form.

Problem:

- ``problem``: the matrix with its weights, the model of each factor, the state of a solve.
- ``constraints``: the sets that columns lie in (real, non-negative, box, integer box).
- ``levels``, ``sparsity``: finite sets of levels; at most k non-zero entries in a column.
- ``numerics``: products at full precision, compensated sums, scaling by powers of two.

Imports point down this list: a module imports only from its own group and the groups below, and
from ``lrfjax.types``, ``lrfjax.checks`` and ``lrfjax.errors``.
"""
