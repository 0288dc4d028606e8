"""The page of results, ``benchmarks/README.md``, made from the stored rows of the suite."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.harness import read
from benchmarks.suite import SUITE, Entry

HEAD = """\
# Results

This page is generated: `python -m benchmarks` measures, stores rows in `results/` and writes the
page from them; `python -m benchmarks --render` only writes it again. Do not edit it by hand.

```sh
pip install -e ".[benchmarks]"
python -m benchmarks --data KODAK --reference REFERENCE --photos PHOTOS
python -m benchmarks --data KODAK --only fidelity solver_speed
```

- `KODAK` is a folder of the Kodak images, kodim01.png to kodim24.png, released by Eastman Kodak for
  unrestricted use (https://r0k.us/graphics/kodak/). Here it holds kodim01 to kodim12.
- `REFERENCE` holds two CSV files of numbers published with arXiv 2408.12691: published_kodak.csv
  (image, method, quality, bpp, psnr_db) and imf_objective.csv (image, channel, rank, sweep,
  relative_error).
- `PHOTOS` is any folder of other photographs; here, sixteen of about a megapixel. The tables of the
  codecs were trained on them (`benchmarks/train_contexts.py`), never on Kodak.

Without a folder the entries that need it are skipped. `--quick` tries every entry on tiny input.
Times are medians of warm calls, the programs take turns, and compilation is apart. The machines are
shared: trust ratios."""


def render(folder: Path, suite: Sequence[Entry] = SUITE) -> str:
    """Return the page for the rows stored in ``folder/results``; entries without rows are left out.

    Args:
        folder: folder of ``results`` and ``figures``.
        suite: entries in their order.
    """
    stored = [
        (entry, read(path))
        for entry in suite
        if (path := folder / "results" / f"{entry.name}.json").is_file()
    ]
    machines = [_machine(document["machine"]) for _, document in stored]
    usual = max(machines, key=machines.count) if machines else ()
    parts = [HEAD, f"Measured on {', '.join(usual)}, unless an entry says otherwise."]
    for title, found in groupby(stored, key=lambda pair: pair[0].title):
        parts.append(f"## {title}")
        module = ""
        for entry, document in found:
            parts += _entry(entry, document, usual, with_about=entry.module != module)
            module = entry.module
            parts += [
                f"![{_caption(name)}](figures/{name})"
                for name in entry.figures
                if (folder / "figures" / name).is_file()
            ]
    return "\n\n".join(parts) + "\n"


def _entry(
    entry: Entry, document: dict[str, Any], usual: Sequence[str], with_about: bool
) -> list[str]:
    """Return the parts of one entry: text, command, tables, and what is unusual of the machine."""
    benchmark = entry.benchmark
    about = [benchmark.about.strip()] if with_about else []
    more = [part for part in _machine(document["machine"]) if part not in usual]
    return [
        *about,
        f"`{entry.describe()}`",
        benchmark.show(document["rows"]).strip(),
        *([f"<sub>With {', '.join(more)}.</sub>"] if more else []),
    ]


def _machine(found: dict[str, Any]) -> tuple[str, ...]:
    """Return the machine and the versions, a part each."""
    kind = f" ({found['device_kind']})" if found["device_kind"] != found["device"] else ""
    versions = (f"{name} {number}" for name, number in found["versions"].items())
    return (f"{found['device']}{kind}", found["host"], f"{found['cores']} cores", *versions)


def _caption(name: str) -> str:
    return Path(name).stem.replace("_", " ").capitalize()
