"""An interrupted command ends at once: exit code 130, one line, whole files only."""

import os
import signal
import socket
import subprocess
import sys

import pytest
from PIL import Image

from lrfjax import cli
from lrfjax.cli import coding
from lrfjax.evaluation.results import read_rows
from tests.processes import wait_until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")

START = """
import gc, os, signal, sys
import jax, jax.numpy as jnp
from lrfjax import cli
from lrfjax.cli import coding
from lrfjax.image import writing

def interrupt(*_):
    os.kill(os.getpid(), signal.SIGINT)
"""
COMPILE = """
def encode(image, *_, **__):
    x = jnp.ones((8, 8))
    def long_program(x):
        for k in range(150):
            x = jnp.linalg.inv(jnp.sort(x @ x, axis=k % 2) + k)
        return x
    jax.jit(long_program)(x)
    return b"whole"

coding.encode = encode
"""
COLLECT = """
def encode(image, *_, **__):
    gc.callbacks.append(interrupt)
    gc.collect()
    return b"whole"

coding.encode = encode
"""
RENAME = """
coding.encode = lambda *_, **__: b"whole"
writing.os.replace = interrupt
"""
END = "sys.exit(cli.main())"


@pytest.fixture
def picture(tmp_path, photo):
    path = tmp_path / "in.png"
    Image.fromarray(photo).save(path)
    return path


def _encode(picture, program):
    """Start the command in a process; return it and the path of its standard error."""
    command = [sys.executable, "-c", START + program + END]
    command += ["encode", picture, picture.with_name("out.lrfj"), "--rank", "1"]
    kept = {name: text for name, text in os.environ.items() if not name.startswith("JAX_COMP")}
    errors = picture.with_name("errors")
    with errors.open("wb") as file:
        process = subprocess.Popen(command, stderr=file, env={**kept, "JAX_LOG_COMPILES": "1"})
    return process, errors


def test_an_interrupt_while_compiling_does_not_crash_at_exit(picture):
    process, errors = _encode(picture, COMPILE)
    begins = "Finished jaxpr to MLIR module conversion jit(long_program)"
    with process:
        wait_until(lambda: begins in errors.read_text(), process, 60)
        process.send_signal(signal.SIGINT)
    text = errors.read_text()
    assert process.returncode == 130, text
    assert text.endswith("lrfjax encode: interrupted\n")
    assert "Finished XLA compilation of jit(long_program)" not in text
    assert "Traceback" not in text
    assert sorted(os.listdir(picture.parent)) == ["errors", "in.png"]


@pytest.mark.parametrize("program", [COLLECT, RENAME], ids=["in a callback", "while writing"])
def test_an_interrupt_ends_the_process_wherever_it_comes(picture, program):
    process, errors = _encode(picture, program)
    process.wait()
    assert errors.read_text() == "lrfjax encode: interrupted\n"
    assert process.returncode == 130
    assert sorted(os.listdir(picture.parent)) == ["errors", "in.png"]


def test_an_interrupted_call_from_python_returns(picture, tmp_path, capsys, monkeypatch):
    second = tmp_path / "second.png"
    second.write_bytes(picture.read_bytes())
    calls = []

    def encode(image, *_, **__):
        calls.append(image)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return b"whole"

    monkeypatch.setattr(coding, "encode", encode)
    out = tmp_path / "out"
    before = signal.getsignal(signal.SIGTERM)
    assert cli.main(["encode", str(picture), str(second), str(out), "--rank", "1"]) == 130
    assert signal.getsignal(signal.SIGTERM) == before
    assert capsys.readouterr().err == "lrfjax encode: interrupted\n"
    assert os.listdir(out) == ["in.lrfj"]
    assert (out / "in.lrfj").read_bytes() == b"whole"


def _port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


@pytest.mark.parametrize(
    ("number", "is_member"),
    # JAX's notifier of preemption takes SIGTERM in a process of several.
    [(signal.SIGTERM, True), (signal.SIGHUP, False)],
    ids=["TERM", "HUP"],
)
def test_an_interrupted_study_keeps_its_rows(picture, tmp_path, number, is_member):
    out = tmp_path / "rows.jsonl"
    levels = range(1, 96)
    command = [sys.executable, "-m", "lrfjax", "evaluate", "--data", tmp_path, "--methods", "jpeg"]
    command += ["--levels", "jpeg=" + ",".join(map(str, levels)), "--out", out]
    if is_member:
        command += ["--coordinator", f"localhost:{_port()}"]
        command += ["--num-processes", "1", "--process-id", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        wait_until(lambda: out.exists() and out.read_bytes().count(b"\n") > 2, process, 120)
        process.send_signal(number)
        error = process.communicate()[1].decode()
    assert process.returncode == 130
    assert error == "lrfjax evaluate: interrupted\n"
    assert out.read_bytes().endswith(b"\n")
    assert 2 < len(read_rows(out)) < len(levels)
