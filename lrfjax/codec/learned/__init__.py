"""Stages of ``IMFCodec``, ``SVDCodec``, ``NMFCodec`` beside those of ``dictionary``: a learned V.

- ``encode``, ``decode``: an image at one dial, and back.
- ``fit``: the alternation between U and V.
- ``solvers``: V by IMF with the coder's own costs, by the SVD and by NMF.
- ``choice``: the decision of U for a learned V, by distortion and rate.
- ``basis``: V by its deviations from a dictionary, and exact products with it.
- ``quarters``: a V of 8 x 8 pixels that the quarters of a patch share.
"""
