"""A run of several processes ends in an error when one of them is lost, and can be resumed."""

import os
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from lrfjax.cli import main
from lrfjax.evaluation.results import read_rows
from tests.processes import wait_until

NUM_IMAGES = 8
LEVELS = range(3, 96, 3)
SECONDS = 60
"""Limit for a survivor to end."""
START_SECONDS = 30
"""Limit for a process that waits 3 s for another one to start, imports included."""


def _port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def _process(folder, out, port, index, *options):
    command = [sys.executable, "-m", "lrfjax", "evaluate", "--data", folder, "--methods", "jpeg"]
    command += ["--levels", "jpeg=" + ",".join(map(str, LEVELS)), "--out", out]
    command += ["--coordinator", f"localhost:{port}", "--num-processes", "2"]
    command += ["--process-id", str(index), *options]
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "JAX_CPU_COLLECTIVES_IMPLEMENTATION": "gloo",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for k in range(NUM_IMAGES):
        # Of one size, so that each process has half of them and compiles once.
        pixels = rng.integers(0, 256, (176, 176, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1], ids=["coordinator", "other"])
def test_a_killed_process_ends_the_run_and_nothing_is_lost(folder, tmp_path, killed):
    out = tmp_path / "r.jsonl"
    port = _port()
    processes = [_process(folder, out, port, k, "--lost-timeout", "10") for k in range(2)]
    try:
        # After the first rows, when nearly all the work is left.
        has_rows = lambda: out.exists() and out.read_bytes().count(b"\n") >= 2  # noqa: E731
        wait_until(has_rows, processes[killed], SECONDS)
        processes[killed].send_signal(signal.SIGKILL)
        survivor = processes[1 - killed]
        text, _ = survivor.communicate(timeout=SECONDS)
        assert survivor.returncode != 0, text
        assert f"process {1 - killed} of 2 begins; if another one dies" in text
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    before = [row.key for row in read_rows(out)]
    total = NUM_IMAGES * len(LEVELS)
    assert 2 <= len(before) < total
    # The same commands, the port of the dead coordinator included.
    processes = [_process(folder, out, port, k, "--lost-timeout", "10") for k in range(2)]
    try:
        texts = [process.communicate(timeout=SECONDS)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], texts
    assert f"{total} rows, {total - len(before)} of them new" in texts[0]
    lines = out.read_text(encoding="utf-8").splitlines()
    keys = [row.key for row in read_rows(out)]
    assert len(lines) == len(set(keys)) == total
    assert set(before) <= set(keys)


@pytest.mark.slow
def test_a_process_that_never_starts_is_not_waited_for(folder, tmp_path):
    out = tmp_path / "r.jsonl"
    # Of two runs, so that each is alone.
    processes = [_process(folder, out, _port(), k, "--start-timeout", "3") for k in range(2)]
    try:
        texts = [process.communicate(timeout=START_SECONDS)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [1, 1], texts
    assert all("did not bring 2 processes together in 3 s" in text for text in texts)
    assert not out.exists()


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("localhost", "HOST:PORT"),
        ("nohost:99999", "HOST:PORT"),
        ("no.such.host.invalid:9", "no known host"),
        ("no..host:9", "no known host"),
    ],
)
def test_a_wrong_coordinator_is_named_at_once(folder, tmp_path, capsys, address, reason):
    group = ["--coordinator", address, "--num-processes", "2", "--process-id", "0"]
    out = ["--out", str(tmp_path / "r.jsonl")]
    assert main(["evaluate", "--data", str(folder), "--methods", "jpeg", *out, *group]) == 1
    error = capsys.readouterr().err
    assert address in error
    assert reason in error


def test_a_port_that_is_taken_is_named_at_once(folder, tmp_path, capsys):
    with socket.create_server(("", 0)) as taken:
        address = f"localhost:{taken.getsockname()[1]}"
        group = ["--coordinator", address, "--num-processes", "2", "--process-id", "0"]
        out = ["--out", str(tmp_path / "r.jsonl")]
        assert main(["evaluate", "--data", str(folder), "--methods", "jpeg", *out, *group]) == 1
    assert f"{address}' cannot be served" in capsys.readouterr().err
