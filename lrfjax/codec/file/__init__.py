"""Files: everything but the coded factors, see ``FORMAT.md``, sections 1 to 3 and 9.

- ``container``: a file as chunks.
- ``tiled_headers``, ``learned_header``: the headers of files in tiles and of published codecs.
- ``header_parts``: what headers share.
- ``chunks``: numbers and chunks as bytes.
- ``alpha``: the alpha channel.
"""
