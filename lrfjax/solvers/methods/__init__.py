"""Methods: how one sweep over the factors is made.

- ``method``: the protocol.
- ``bcd``: block coordinate descent, the method of the paper, for all losses and sets.
- ``columns``: the exact column updates of the squared error, from products with X.
- ``majorised``: column updates of other losses, and of weighted problems.
- ``column_kernel``: the updates from products in one GPU kernel, tested before use.
- ``joint_moves``: moves of two integers at a time.
- ``affine``: the fit of scale and offset, and a centred X.
- ``extrapolation``: ``Extrapolated``, another method with its sweeps accelerated.
- ``multiplicative``: multiplicative updates, for comparison.
- ``first_order``: optimizers of optax on all entries at once, for comparison.
"""
