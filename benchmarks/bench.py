"""Measure the interactions of every page on synthetic lakes, record the results, and compare with an earlier commit.

    make bench                                   # 60,000 samples, this code
    make bench BENCH="--samples 1000000"         # more samples
    make bench BENCH="--against HEAD~10"         # alternating with an earlier commit: exit 1 if slower

Both versions of the code read the same lake, each in its own processes, one after the other and in alternating order.
An action is slower if the lower end of a 99 % interval of the ratio of the medians, over the rounds, exceeds the
tolerance.
"""

import datetime as dt
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from scipy import stats

from lake.storage.store import Lake
from pipeline.engine.stage_cache import package_versions
from pipeline.settings import load_settings
from tests.support.lakes.synthetic import build_synthetic_lake

REPOSITORY = Path(__file__).parent.parent
TOLERATED, LEVEL = 1.10, 0.99
Rounds = list[dict[str, list[float]]]
"""For each round, the seconds by action."""
console = Console()


@dataclass(frozen=True)
class Compared:
    """Ratio of the seconds of an action to those of the earlier code, with its interval over the rounds."""

    action: str
    ratio: float
    low: float
    high: float

    @property
    def slower(self) -> bool:
        """Whether the action is slower beyond noise and tolerance."""
        return self.low > TOLERATED


def main(
    samples: Annotated[int, typer.Option(help="Of the drawn lake; it is kept in the cache.")] = 60_000,
    rounds: Annotated[int, typer.Option(min=1, help="Processes of each code.")] = 5,
    repeats: Annotated[int, typer.Option(min=3, help="Of each action in a process.")] = 10,
    features: Annotated[int, typer.Option(help="Numbers of an embedding.")] = 512,
    against: Annotated[str | None, typer.Option(help="Tag or commit to be held against.")] = None,
    results: Annotated[Path, typer.Option(help="Where the figures go, as JSON.")] = Path("benchmarks/results.json"),
) -> None:
    """Measure, print and record the figures; exit 1 if an action became slower."""
    lake = _find_lake(samples, features)
    with _earlier_code(against) as earlier:
        codes = [REPOSITORY, *([earlier] if earlier else [])]
        found: dict[Path, list[dict[str, Any]]] = {code: [] for code in codes}
        for number in range(rounds):
            for code in codes[:: -1 if number % 2 else 1]:
                found[code].append(_measure(code, lake, repeats))
    here = [measured["seconds"] for measured in found[REPOSITORY]]
    peak = max(measured["peak_mib"] for measured in found[REPOSITORY])
    compared = compare(here, [measured["seconds"] for measured in found[codes[-1]]]) if earlier else []
    _show(here, peak, compared, samples)
    results.write_text(json.dumps(_facts(here, peak, compared, samples), indent=1) + "\n")
    raise SystemExit(1 if any(one.slower for one in compared) else 0)


def compare(here: Rounds, before: Rounds) -> list[Compared]:
    """Compare each action that both have: t-intervals of the log ratio of the medians of each round."""
    compared = []
    for action in [action for action in here[0] if action in before[0]]:
        pairs = zip(here, before, strict=True)
        ratios = np.log([np.median(ours[action]) / np.median(theirs[action]) for ours, theirs in pairs])
        reach = np.inf
        if len(ratios) > 1:
            reach = stats.t.ppf((1 + LEVEL) / 2, len(ratios) - 1) * ratios.std(ddof=1) / len(ratios) ** 0.5
        middle = ratios.mean()
        compared.append(Compared(action, *(float(np.exp(end)) for end in (middle, middle - reach, middle + reach))))
    return compared


def _find_lake(samples: int, features: int) -> str:
    """The synthetic lake of that size, built now if it is not in the cache."""
    root = load_settings().cache_dir / f"drawn-{samples}-{features}"
    if Lake(root).runs().is_empty():
        build_synthetic_lake(str(root), samples, features=features)
    return str(root)


@contextmanager
def _earlier_code(commit: str | None) -> Iterator[Path | None]:
    """A checkout of the commit, removed when the block ends; None if there is no commit."""
    if commit is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "code"
        subprocess.run(["git", "worktree", "add", "--detach", str(code), commit], cwd=REPOSITORY, check=True)
        try:
            yield code
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(code)], cwd=REPOSITORY, check=True)


def _measure(code: Path, lake: str, repeats: int) -> dict[str, Any]:
    """Run this version of `benchmarks.pages.interactions` on the pages of the given code."""
    command = [
        sys.executable,
        str(REPOSITORY / "benchmarks/pages/interactions.py"),
        lake,
        "--json",
        f"--repeats={repeats}",
    ]
    environment = os.environ | {"PYTHONPATH": str(code)}
    done = subprocess.run(command, cwd=code, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _show(here: Rounds, peak: float, compared: list[Compared], samples: int) -> None:
    ratios = {one.action: one for one in compared}
    title = f"{samples:,} samples, {len(here)} rounds, peak {peak:,.0f} MiB"
    table = Table("seconds", "median", "95th percentile", "n", "over before", "99 % interval", "", title=title)
    for action in here[0]:
        values = np.concatenate([seconds[action] for seconds in here])
        cells = [f"{np.quantile(values, q):.3f}" for q in (0.5, 0.95)] + [str(len(values))]
        if one := ratios.get(action):
            cells += [f"{one.ratio:.2f}", f"{one.low:.2f} to {one.high:.2f}", "slower" if one.slower else ""]
        table.add_row(action, *cells)
    console.print(table)


def _facts(here: Rounds, peak: float, compared: list[Compared], samples: int) -> dict[str, Any]:
    """All results of one measurement."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    actions = {action: np.concatenate([seconds[action] for seconds in here]) for action in here[0]}
    return {
        "measured_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "machine": {"processor": _processor(), "cores": os.cpu_count(), "python": platform.python_version()},
        "packages": package_versions(),
        "samples": samples,
        "rounds": len(here),
        "peak_mib": peak,
        "seconds": {
            action: {"n": len(values), "median": np.median(values), "p95": np.quantile(values, 0.95)}
            for action, values in actions.items()
        },
        "against": [asdict(one) for one in compared],
    }


def _processor() -> str:
    """Name of the processor, as reported by Linux."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    typer.run(main)
