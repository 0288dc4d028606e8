"""Integers as bytes: contexts, tables, and the coders that take them."""
