"""The codecs, a frozen dataclass of settings each.

- ``dct``: ``DCTCodec``; V is a dictionary that both sides know.
- ``learned``: ``IMFCodec``, ``SVDCodec``, ``NMFCodec``; both factors are solved for.
- ``paper``: ``PaperIMFCodec``, ``PaperSVDCodec``, as published in arXiv 2408.12691.
- ``pillow``: JPEG, JPEG 2000, WebP and AVIF, for comparisons.
- ``pil``: ``pil_encode`` and ``pil_decode``, the functions behind ``pillow``.
"""
