"""Methods whose codecs have other functions in place of their own."""

from dataclasses import replace

from lrfjax.evaluation.methods import Method


class _Replaced:
    def __init__(self, codec, functions):
        self._codec, self._functions = codec, functions

    def __getattr__(self, name):
        return self._functions[name] if name in self._functions else getattr(self._codec, name)


def replaced(method: Method, **functions: object) -> Method:
    """Return a method whose codec has functions in place of its own, by name."""
    return replace(method, codec=_Replaced(method.codec, functions))
