"""Stages of ``DCTCodec``: patches of 16 x 16 pixels, the dictionaries, the decision of U, tiles.

- ``encode``, ``decode``: an image at one dial, and back.
- ``choice``, ``search``: the dictionary of each patch, by an estimate or by trying all.
- ``tiles``: rows of patches that are coded independently.
- ``dictionaries``: the four integer dictionaries.
- ``atoms``: the atoms of the dictionaries, their order and their bands.
"""
