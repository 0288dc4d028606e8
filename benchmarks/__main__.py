"""Run the benchmarks and write the page of results.

    python -m benchmarks --data KODAK [--reference REFERENCE] [--photos PHOTOS] [--only NAME ...]

Each entry runs as a process of its own, which keeps memory, caches and failures apart. The rows go
to OUT/results, the figures to OUT/figures and the page to OUT/README.md. OUT is this package, whose
summary also goes to the README of the project; or lrfjax-benchmarks for a trial run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.page import render
from benchmarks.suite import SUITE, Entry
from benchmarks.summary import insert

PACKAGE = Path(__file__).parent


def run(entry: Entry, places: dict[str, Path], out: Path, quick: bool) -> int:
    """Run one entry and return its exit status."""
    target = out / "results" / f"{entry.name}.json"
    command = entry.command(places, target, out / "figures", quick)
    return subprocess.run(command, cwd=PACKAGE.parent, check=False).returncode


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--data", type=Path, help="folder of the Kodak images")
    parser.add_argument("--reference", type=Path, help="folder of published numbers")
    parser.add_argument("--photos", type=Path, help="folder of other photographs")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="entries to run; see --list")
    parser.add_argument("--list", action="store_true", help="print names and commands")
    parser.add_argument("--render", action="store_true", help="write the page from stored rows")
    parser.add_argument("--quick", action="store_true", help="trial run on tiny input")
    parser.add_argument("--out", type=Path, help="folder of the results and the page")
    return parser


def main() -> int:
    """Run the command and return its exit status."""
    parser = _parser()
    options = parser.parse_args()
    if options.list:
        for entry in SUITE:
            print(f"{entry.name}: {entry.title}\n    {entry.describe()}")
        return 0
    names = [entry.name for entry in SUITE]
    if unknown := [name for name in options.only or () if name not in names]:
        parser.error(f"no benchmark {', '.join(unknown)}; --list prints all names")
    given = {name: getattr(options, name) for name in ("data", "reference", "photos")}
    for name, folder in given.items():
        if folder and not folder.is_dir():
            parser.error(f"--{name} {folder} is not a folder")
    # Commands run in the root of the repository, whatever folder this one was called in.
    places = {name: folder.resolve() for name, folder in given.items() if folder}
    default = Path("lrfjax-benchmarks") if options.quick else PACKAGE
    out = (options.out or default).resolve()
    out.mkdir(parents=True, exist_ok=True)

    report, num_failed = [], 0
    chosen = [e for e in SUITE if not options.only or e.name in options.only]
    for number, entry in enumerate([] if options.render else chosen, 1):
        if missing := [f"--{name}" for name in entry.missing(places)]:
            report.append(f"{entry.name:<22} skipped: needs {' and '.join(missing)}")
            continue
        print(f"\n[{number}/{len(chosen)}] {entry.name}: {entry.title}", flush=True)
        start = time.monotonic()
        status = run(entry, places, out, options.quick)
        took = time.monotonic() - start
        num_failed += status != 0
        outcome = "ran" if status == 0 else f"FAILED with status {status},"
        report.append(f"{entry.name:<22} {outcome} {took:.0f} s")
    page = out / "README.md"
    page.write_text(render(out, SUITE))
    if out == PACKAGE:
        readme = PACKAGE.parent / "README.md"
        readme.write_text(insert(readme.read_text(), out))
    print("\n".join(["", *report, f"wrote {page}"]))
    return int(num_failed > 0)


if __name__ == "__main__":
    sys.exit(main())
