"""Stages of the published codecs: matrices of an image, ranks, and the factors as bytes.

- ``stages``: ``PaperCodec``, what both codecs share.
- ``layout``: the geometry of matrices from an image, and the conversions between the two.
- ``ranks``: the rank of each matrix from a rank or a quality.
- ``sweep``: many qualities and images with one compilation.
- ``body``: both factors as they are, deflated or coded with contexts.
"""
