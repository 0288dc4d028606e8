"""What the README and the notebooks show runs as written."""

import contextlib
import io
import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

pytestmark = pytest.mark.unoptimized

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    plt.close("all")


def _is_number(text):
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None


def test_the_examples_of_the_readme_run_and_print_what_it_says():
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```(?:\n+```text\n(.*?)```)?", text, re.DOTALL)
    assert any(expected for _, expected in blocks)
    for block, expected in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(block, "README.md", "exec"), {})
        if expected:
            # Another processor may round otherwise.
            for found, told in zip(printed.getvalue().split(), expected.split(), strict=True):
                if _is_number(found) and _is_number(told):
                    assert float(found) == pytest.approx(float(told), rel=0.05)
                else:
                    assert found == told


@pytest.mark.parametrize("page", ["README.md", "lrfjax/README.md", "benchmarks/README.md"])
def test_pages_link_to_files_that_exist(page):
    links = re.findall(r"\]\((?!http)([^)]+)\)", (ROOT / page).read_text())
    assert links
    for link in links:
        assert ((ROOT / page).parent / link).exists(), link


def test_the_readme_is_short_enough_for_a_newcomer():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 200
    assert len(text.split()) <= 1800


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem
)
def test_notebooks_run_from_start_to_end(path):
    cells = json.loads(path.read_text())["cells"]
    names = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), path.name, "exec"), names)
            assert cell["outputs"] or cell["execution_count"], "stored without having been run"
