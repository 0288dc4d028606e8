"""Solves on many devices: as on one, lying as documented, and sending no more than they must."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
SECONDS = 240


def _start(devices, *arguments):
    flags = os.environ.get("XLA_FLAGS", "")
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # most of the time is compilation
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}".strip(),
    }
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.sharded_solves", *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _finish(*processes):
    """Return what the processes print as JSON; none of them outlives this."""
    try:
        outputs = [process.communicate(timeout=SECONDS) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    for process, (_, errors) in zip(processes, outputs, strict=True):
        assert process.returncode == 0, errors
    return [json.loads(text.splitlines()[-1]) for text, _ in outputs]


@pytest.fixture(scope="module")
def found():
    return _finish(_start(8, "one"))[0]


@pytest.fixture(scope="module")
def found_by_two():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    return _finish(*(_start(2, port, index) for index in "01"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["batch", "batch svd"])
def test_a_sharded_batch_is_solved_as_on_one_device_without_communication(found, name):
    is_same, lies, collectives = found[name]
    assert is_same
    assert [spec[0] for spec in lies] == ["batch"] * 3
    assert all(entry is None for spec in lies for entry in spec[1:])
    assert collectives == []


@pytest.mark.slow
def test_sharded_rows_of_integers_give_the_same_integers(found):
    is_same, lies, _ = found["rows"]
    assert is_same
    assert lies == [["rows", None], [None, None], [None]]


@pytest.mark.slow
def test_sharded_rows_from_the_svd_agree_in_the_objective(found):
    (sharded, single), lies, _ = found["rows from svd"]
    assert np.allclose(sharded, single, rtol=1e-3)
    assert np.all(np.diff(sharded) <= 0)
    assert lies == [["rows", None], [None, None], [None]]


@pytest.mark.slow
def test_svd_of_sharded_rows_agrees(found):
    gap, (sharded, single), lies, _ = found["rows svd"]
    assert gap < 4 * np.finfo(np.float32).eps  # of the largest singular value
    assert np.isclose(sharded, single, rtol=1e-5)
    assert lies == [["rows", None], [None, None], [None]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rows", "rows from svd", "rows svd", "both"])
def test_sharded_rows_send_nothing_as_long_as_a_column(found, name):
    # X has 4096 rows and 16 columns, factors are padded to 8. What is not a sum over devices is a
    # pair of numbers from each, or the triangles of the SVD; some releases of JAX also sum up the
    # sample of at most 1024 rows that the start looks at.
    limit = {"rows from svd": 1024 * 16, "rows svd": 8 * 16 * 16}.get(name, 16 * 16)
    collectives = found[name][-1]
    assert any(kind == "all-reduce" for kind, _ in collectives)
    assert max(size for _, size in collectives) <= limit
    assert len([kind for kind, _ in collectives if kind != "all-reduce"]) <= 4


@pytest.mark.slow
def test_batch_and_rows_on_a_mesh_of_explicit_axes_with_weights(found):
    is_same, lies, _ = found["both"]
    assert is_same
    assert lies == [
        [None, "b", "r", None],
        [None, "b", None, None],
        [None, "b", None],
    ]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["stepped", "watched", "resumed"])
def test_solves_in_parts_lie_as_whole_ones(found, way):
    lies = {
        "batch": [["batch", None, None], ["batch", None, None], ["batch", None]],
        "rows": [["rows", None], [None, None], [None]],
    }
    for name, expected in lies.items():
        assert found[f"{way} {name}"] == [True, True, expected]


@pytest.mark.slow
def test_explicit_axes_inside_jit(found):
    is_same, lies = found["explicit in jit"]
    assert is_same
    assert [spec[0] for spec in lies] == ["d"] * 3


@pytest.mark.slow
def test_inside_shard_map_of_the_caller(found):
    assert found["shard_map"] == [True, True]


@pytest.mark.slow
def test_what_cannot_be_placed_or_solved_is_named(found):
    expected = [
        ("InputError: axis 0 of x", "8 devices", "(6, 64, 16)"),
        ("InputError: axis 0 of x", "8 devices", "(4092, 16)"),
        ("InputError: x must have at least 3 axes", "(4096, 16)"),
        ("InputError: devices must be distinct",),
        ("InputTypeError: devices must be", "'cpu'"),
        ("InputError: x must be finite", "inf at index (3, 5, 7)"),
        ("InputError: weights must be non-negative", "-1"),
        ("InputError: x must be non-negative for nmf",),
        ("InputError: x varies over the axes ('d',)", "check_vma=False"),
        ("InputError: x varies over the axes ('d',)", "check_vma=False"),
    ]
    for message, parts in zip(found["messages"], expected, strict=True):
        assert all(part in message for part in parts), message


@pytest.mark.slow
def test_two_processes_solve_as_one_device_does(found_by_two):
    for found in found_by_two:
        assert found["devices"] == [4, 2]
        assert found["batch"] == [True, [["batch", None, None]] * 2 + [["batch", None]]]
        assert found["batch svd"][0]
        assert found["rows"] == [True, [["rows", None], [None, None], [None]]]
        not_finite, negative = found["messages"]
        assert "InputError: x must be finite in float32, got nan at index (4000, 2)" in not_finite
        assert "InputError: x must be non-negative for nmf" in negative
