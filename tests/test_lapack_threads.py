"""LAPACK has one thread while a solver runs, and as many as before at any other time."""

import threading

import jax
import numpy as np
import pytest
import scipy.linalg  # noqa: F401 (loads the library that JAX uses)
from threadpoolctl import threadpool_info, threadpool_limits

import lrfjax
from lrfjax.solvers.execute import solve as solving
from lrfjax.solvers.execute.lapack_threads import one_lapack_thread

pytestmark = pytest.mark.unoptimized

X = np.random.default_rng(0).normal(size=(18, 12)).astype(np.float32)


def _threads():
    pools = threadpool_info()
    return {p["filepath"]: p["num_threads"] for p in pools if p["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def _two_threads():
    limiters = []
    # In threads that end: the one that sets a limit of OpenBLAS keeps it to itself.
    _run(lambda: limiters.append(threadpool_limits(2, user_api="blas")))
    if max(_threads().values()) < 2:
        pytest.skip("this BLAS has one thread only")
    yield
    _run(limiters[0].restore_original_limits)


def _run(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


@pytest.mark.parametrize("name", ["imf", "svd", "truncated_svd", "factorize", "init"])
def test_the_limit_holds_while_a_solver_runs_and_ends_with_it(name, monkeypatch):
    seen = []
    block = jax.block_until_ready

    def spy(result):
        seen.append(max(_threads().values()))
        return block(result)

    monkeypatch.setattr(jax, "block_until_ready", spy)
    before = _threads()
    getattr(lrfjax, name)(X, 3)
    assert seen[-1] == 1
    assert _threads() == before


def test_a_solver_that_fails_ends_the_limit(monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("no memory")

    monkeypatch.setattr(solving, "solve", broken)
    before = _threads()
    with pytest.raises(RuntimeError, match="no memory"):
        lrfjax.imf(X, 3)
    assert _threads() == before


@pytest.mark.parametrize("first_out", ["first in", "last in"])
def test_the_last_of_several_threads_ends_the_limit(first_out):
    before = _threads()
    is_inside, can_leave = threading.Event(), threading.Event()

    def hold():
        with one_lapack_thread(), one_lapack_thread():
            is_inside.set()
            can_leave.wait(60)

    other = threading.Thread(target=hold)

    def end_other():
        can_leave.set()
        other.join()

    with one_lapack_thread():
        other.start()
        assert is_inside.wait(60)
        if first_out == "last in":
            end_other()
        assert max(_threads().values()) == 1
    if first_out == "first in":
        assert max(_threads().values()) == 1
        end_other()
    assert _threads() == before


def test_inside_jit_there_is_no_limit():
    seen = []

    def program(x):
        result = lrfjax.svd(x, 3)
        seen.append(max(_threads().values()))
        return result

    jax.jit(program)(X)
    assert seen == [2]
