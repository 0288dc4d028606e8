"""Run the benchmarks behind the figures of README.md, each as a process of its own.

    python -m benchmarks --data KODAK [--reference REFERENCE] [--photos PHOTOS] [--out FOLDER]

KODAK holds kodim01.png and so on; REFERENCE published_kodak.csv and imf_objective.csv; PHOTOS other
photographs. What needs a folder that was not given is skipped. What NAME prints is kept in
FOLDER/NAME.txt, its rows, where it has any, in FOLDER/NAME.json, and what it draws there too.
Processes of their own keep memory, caches and failures apart. All of it takes hours.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.suite import SUITE, Benchmark

PLACES = {"DATA": "--data", "REFERENCE": "--reference", "PHOTOS": "--photos"}


def run(benchmark: Benchmark, places: dict[str, str], quick: bool) -> int:
    """Run one, keep what it prints, and return its exit status; progress bars pass through."""
    target = Path(places["OUT"]) / f"{benchmark.name}.txt"
    command = benchmark.command(places, quick)
    with target.open("w") as file:
        file.write(f"$ {' '.join(['python', *command[1:]])}\n\n")
        file.flush()
        return subprocess.run(
            command, cwd=Path(__file__).parents[1], stdout=file, check=False
        ).returncode


def print_list() -> None:
    """Print each benchmark with its command and the section of the README that it is behind."""
    width = max(len(benchmark.name) for benchmark in SUITE)
    for benchmark in SUITE:
        print(f"{benchmark.name:<{width}}  {benchmark.section}\n    {benchmark.describe()}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of Kodak's images")
    parser.add_argument("--reference", type=Path, help="folder of published numbers")
    parser.add_argument("--photos", type=Path, help="folder of other photographs")
    parser.add_argument("--out", type=Path, default=Path("lrfjax-benchmarks"))
    parser.add_argument("--only", nargs="+", metavar="NAME", help="see --list")
    parser.add_argument("--list", action="store_true", help="print names, commands and sections")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="try those that have a short form, to see that they run",
    )
    options = parser.parse_args()
    if options.list:
        print_list()
        return 0
    names = [benchmark.name for benchmark in SUITE]
    if unknown := [name for name in options.only or () if name not in names]:
        parser.error(f"no benchmark {', '.join(unknown)}; --list names all")

    given = {"DATA": options.data, "REFERENCE": options.reference, "PHOTOS": options.photos}
    for name, folder in given.items():
        if folder and not folder.is_dir():
            parser.error(f"{PLACES[name]} {folder} is not a folder")
    options.out.mkdir(parents=True, exist_ok=True)
    # The commands run in the root of the repository, whatever the folder that they were called in.
    places = {name: str(folder.resolve()) for name, folder in given.items() if folder}
    places["OUT"] = str(options.out.resolve())

    chosen = [b for b in SUITE if not options.only or b.name in options.only]
    summary, num_failed = [], 0
    for number, benchmark in enumerate(chosen, 1):
        missing = [PLACES[name] for name in benchmark.missing(places)]
        if missing or (options.quick and benchmark.quick is None):
            why = f"needs {' and '.join(missing)}" if missing else "has no short form"
            summary.append(f"{benchmark.name:<22} skipped: {why}")
            continue
        print(f"[{number}/{len(chosen)}] {benchmark.name}: {benchmark.section}", flush=True)
        start = time.monotonic()
        status = run(benchmark, places, options.quick)
        took = time.monotonic() - start
        num_failed += status != 0
        outcome = "ran" if status == 0 else f"FAILED with status {status},"
        summary.append(f"{benchmark.name:<22} {outcome} {took:.0f} s")
    print(f"\nin {options.out}:\n" + "\n".join(summary))
    return int(num_failed > 0)


if __name__ == "__main__":
    sys.exit(main())
