"""The experiments of arXiv 2408.12691 by name, each with the ordering that it should show."""
