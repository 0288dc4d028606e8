"""Measuring: rate-distortion, timings, plots, the `compare` job."""
