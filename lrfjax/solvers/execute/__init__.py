"""Execution: the way of a call from its arguments to the loop, and of the result back.

- ``front_door``: what surrounds every call: JAX settings, meshes, LAPACK's threads.
- ``lapack_threads``: one thread for LAPACK while a call lasts.
- ``watching``: solves with a callback or a progress bar.
- ``stepping``: solves that the caller advances.
- ``planning``: the checked arguments, and the plan of a solve.
- ``part_checks``, ``start_checks``: checks of the parts.
- ``shapes``: X, weights and rank in the form that the solvers take, results in that of X.
- ``fit_check``: a warning where X does not suit integer bounds.
- ``solve``: rank buckets, batches and restarts around the loop.
- ``units``: scaling of X, weights and penalties, and of results back.
- ``sharding``: placement of arrays on several devices, and solves that follow it.
- ``meshes``: meshes of the caller, with Auto axes for the solvers.
"""
