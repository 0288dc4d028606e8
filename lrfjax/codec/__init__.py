"""Image codecs: settings, rates, stages, files. ``FORMAT.md`` specifies the byte format.

Front doors:

- ``encode``: an image to bytes with any codec, at any rate.
- ``doors``: the named pairs ``dct_encode``, ``imf_encode``, ``svd_encode``, ``nmf_encode``, ...
- ``decode``: ``decode``, and the factors and metadata of a file.
- ``accounting``: the bits of a file by factor and column.

What a codec is:

- ``codecs``: a package with a dataclass of settings for each codec.
- ``registry``: codecs by name, also those of other packages.
- ``file_codec``: codecs whose files have the format of lrfjax, and the dial that sets their rate.
- ``codec``: the base class ``Codec``, and ``Rate``.
- ``rate_control``: the search for the dial of a target size or PSNR.

Stages, from the pixels to the file; a package each for

- ``dictionary``: V is a DCT dictionary; patches, the decision of U, tiles.
- ``learned``: both factors are solved for; V by its deviations from a dictionary.
- ``published``: the codecs of arXiv 2408.12691.
- ``entropy``: context models, tables and coders for integers.
- ``file``: headers, chunks, alpha.

What the stages share:

- ``planes``: rotated colour planes as patches, and their conversion to pixels.
- ``buckets``: patches and rows in a few sizes, so that few programs are compiled.
- ``parallel``: threads over tiles.
- ``quantize``: integer factors, their ranges and scales, uniform quantization.
- ``products``: the exact scaled product of integer factors.

The names below are for looking inside: the stages of ``DCTCodec`` one by one, and where bits go.
"""

from lrfjax.codec.accounting import Account, Share, account
from lrfjax.codec.dictionary.dictionaries import dictionary
from lrfjax.codec.dictionary.tiles import reconstruct_tile
from lrfjax.codec.planes import MID_GRAY, Rotation, color_rotation, to_patches, to_pixels

__all__ = [
    "MID_GRAY",
    "Account",
    "Rotation",
    "Share",
    "account",
    "color_rotation",
    "dictionary",
    "reconstruct_tile",
    "to_patches",
    "to_pixels",
]
