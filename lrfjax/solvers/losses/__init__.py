"""Losses: how far X may be from U V^T, entry by entry.

- ``loss``: the protocol.
- ``squared``: the squared error, whose column updates are exact and closed form.
- ``divergence``: beta-divergences, Kullback-Leibler and Itakura-Saito among them.
"""
