"""Sets: what the entries of a factor may be.

A set is a frozen dataclass registered as a pytree. Its type is static, so each combination compiles
once. Its bounds are leaves, so new bounds do not compile again.

- ``constraint``: the protocol.
- ``boxes``: real and non-negative numbers, boxes, integers in a box.
- ``levels``: finite lists of numbers.
- ``sparsity``: at most k non-zero entries in a column.
"""
