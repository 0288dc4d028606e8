"""Image codecs: encode/decode pairs around the solvers. ``FORMAT.md`` specifies the byte format.

Front doors:

- ``encode``: ``imf_encode``, ``svd_encode``, ``nmf_encode``, and the choice of the pipeline.
- ``decode``: ``imf_decode``, ``svd_decode``, ``nmf_decode``, factors and metadata of a file.
- ``sweep``: the classic codecs over many qualities and images of one shape.
- ``accounting``: the bits of a file by factor and column.
- ``pil``: Pillow's codecs, for comparisons.

Pipelines:

- ``dictionary_encode``, ``dictionary_decode``: the default pipeline with fixed dictionaries.
- ``learned_encode``, ``learned_decode``: the same with a V that is in the file: IMF, SVD and
  NMF.
- ``learned_body``: the factors of the published codecs as bytes.
- ``classic_encode``, ``classic_settings``: the pipeline of arXiv 2408.12691, and its settings.

Parts of the default pipeline:

- ``tiles``: rows of patches that are coded independently.
- ``dictionary_choice``: the choice of a dictionary for each patch by an estimate of its cost.
- ``dictionary_search``: the same by the actual cost.
- ``basis``: a learned V, by its deviations from the dictionaries, and the exact product with U.
- ``basis_fit``: the alternation between U and V.
- ``basis_choice``: the decision of U for a learned V.
- ``basis_solvers``: V by IMF with the coder's costs, by the SVD and by NMF.
- ``quarters``: a V of 8 x 8 pixels that the quarters of a patch share.
- ``rate_control``: the search for the step of a target size or PSNR.
- ``parallel``: threads over tiles.

Entropy coding:

- ``entropy``: a package of its own; context models, tables and coders for integers.

File:

- ``container``: a file as chunks.
- ``tiled_headers``, ``learned_header``, ``header_parts``: the headers.
- ``chunks``: numbers and chunks as bytes.
- ``alpha``: the alpha channel.

Images and factors:

- ``planes``: rotated colour planes as patches, and their conversion to pixels.
- ``buckets``: few shapes for many sizes, so that few programs are compiled.
- ``layout``: the geometry of matrices from an image, and the conversions between the two.
- ``dictionaries``: the four integer dictionaries.
- ``atoms``: the atoms of the dictionaries, their order and their bands.
- ``products``: the exact scaled product of integer factors.
- ``quantize``: integer factors, their ranges and scales, uniform quantization.

Imports point down this list: a module imports only from its own group and the groups below, from
``lrfjax.image`` and ``lrfjax.solvers``, and from ``lrfjax.types``, ``lrfjax.checks`` and
``lrfjax.errors``.
"""
