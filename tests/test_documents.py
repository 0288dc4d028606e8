"""What the README and the notebooks show runs as written."""

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


def test_the_examples_of_the_readme_run():
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})


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


def _notebooks():
    """The first notebook in every run, the others before a release."""
    first, *others = sorted((ROOT / "notebooks").glob("*.ipynb"))
    return [first, *(pytest.param(path, marks=pytest.mark.slow) for path in others)]


@pytest.mark.parametrize("path", _notebooks(), ids=lambda path: path.stem)
def test_notebooks_run_from_start_to_end(path):
    cells = json.loads(path.read_text())["cells"]
    names = {}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), path.name, "exec"), names)
            assert cell["outputs"] or cell["execution_count"], "stored without having been run"
