"""Penalties: what else the entries of a factor cost.

- ``penalty``: the protocol, and the sums of magnitudes (``L1``) and squares (``L2``).
- ``entropy``: bits of integer factors: their empirical entropy, or a table of costs.
"""
