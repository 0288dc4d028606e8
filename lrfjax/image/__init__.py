"""Images as arrays: files, colour, patches and quality metrics.

- ``reading``: read image files, and check that an array is an image.
- ``writing``: write image files, and write any file atomically.
- ``depth``: whether the values of a file can be read as 8 or 16 bits.
- ``exif``: edit EXIF blocks in place.
- ``color``: RGB and YCbCr.
- ``resample``: area, nearest-neighbour and linear resampling of a plane.
- ``patches``: padding to whole patches, and the patch matrix.
- ``deblock``: smooth the borders between patches.
- ``metrics``: PSNR, SSIM, MS-SSIM, bits per pixel, compression ratio.

``writing`` imports ``reading``, both import ``exif``, and ``reading`` imports ``depth``; the others
stand alone. The package imports only ``lrfjax.errors`` and ``lrfjax.checks``; ``codec`` and
``evaluation`` import it.
"""
