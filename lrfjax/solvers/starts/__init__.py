"""Starts: where a solve begins.

- ``start``: the protocol.
- ``svd_starts``: the paper's start, its balanced gauge, and NNDSVD.
- ``random_start``: random draws.
- ``place``: a start in the units and with the scale of a problem; given factors.
- ``missing``: X without gaps, for starts of weighted problems.
- ``gram_svd``: leading singular triplets of a long matrix, from small decompositions.
"""
