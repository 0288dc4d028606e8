"""The numerical core: factorization solvers. Knows nothing of images."""
