"""The experiments of arXiv 2408.12691, each with the published claims that it checks.

- ``registry``: all experiments by name.
- ``comparison``: IMF, SVD and JPEG over the rate, against published points.
- ``ablations``: bounds, sweeps, patch size and colour space of the paper's codec.
- ``run_time``: times of encoding and decoding.
- ``classification``: a classifier on decoded images, with ``class_rows`` (the file of predicted
  classes) and ``class_shares`` (shares of recognised images over the rate).
- ``qualitative``: a few images at equal rates, side by side.
- ``components``: the factors of an image as pictures.
- ``base``: the types of requests, findings and outcomes.

``registry`` imports the experiments, and these import ``base``.
"""
