"""Entropy coding of integers: context models, static tables, and the coders that use them.

Coders of factors:

- ``dictionary_coder``: U with a dictionary, band by band; sources that decode or decide entries.
- ``context_gradient``: the derivative of the rate of later entries by each magnitude.
- ``basis_coder``: a learned V by its deviations from the dictionaries.
- ``factor_coder``: U or V of the published codecs, column by column.
- ``interlaced``: smooth planes, from coarse to fine.
- ``deflate``: the columns of published factors as deflate streams.

Models:

- ``trained``: context weights and symbol counts trained on photographs.
- ``frequency_contexts``: the context model of U with a dictionary.
- ``sign_prediction``: signs from the pixels beyond the borders of a patch.
- ``checkerboard``: the cells of a grid in two colours, and their neighbours.
- ``products``: products of small matrices of integers.

Symbols:

- ``magnitudes``: magnitudes with one table per class, excesses and signs.
- ``ans``: symbols to bytes by asymmetric numeral systems.

Imports point down this list: a module imports only from its own group and the groups below, from
``codec.atoms``, ``codec.quarters`` and ``codec.quantize``, and from ``lrfjax.errors``.

A coder visits the entries in file order and asks a source for each: one source decodes them,
another writes or decides them. Encoder and decoder thus share the context model.
"""
