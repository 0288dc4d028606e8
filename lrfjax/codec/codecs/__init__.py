"""The codecs, a frozen dataclass of settings each.

- ``dct``: ``DCTCodec``; V is a dictionary that both sides know.
- ``learned``: ``IMFCodec``, ``SVDCodec``, ``NMFCodec``; both factors are solved for.
- ``paper_imf``, ``paper_svd``: ``PaperIMFCodec``, ``PaperSVDCodec``, as published.
- ``pillow``: JPEG, JPEG 2000, WebP and AVIF, for comparisons.
- ``pil``: ``pil_encode`` and ``pil_decode``, the functions behind ``pillow``.
"""
