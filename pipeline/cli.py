"""The command `latentlake`: inspect, init, refresh, serve, status, runs, compare, export, verify, gc, doctor, config.

Exit codes: 0 ok, 1 failed, 2 usage, 70 an error of latentlake itself, 75 retry later (already running, not due), 130
interrupted by Ctrl+C, 143 by SIGTERM, 129 by SIGHUP.
"""

import datetime as dt
import importlib.util
import json
import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer
from rich.markup import escape
from rich.table import Column, Table

from lake.errors import Unprinted, UsageError, UserError
from lake.storage.gc import Removed, Retention, collect_garbage
from lake.storage.places import CONFIG, find_file, to_path
from lake.storage.store import Lake
from pipeline.commands import doctor as diagnosis
from pipeline.commands import failures, outcome, platforms
from pipeline.commands import init as init_file
from pipeline.commands import refresh as refresh_command
from pipeline.commands import serve as serve_command
from pipeline.commands import status as status_command
from pipeline.commands.origins import find_origins
from pipeline.config.written import find_unknown_variables, read_flags
from pipeline.engine import log_setup
from pipeline.engine.consoles import open_console
from pipeline.engine.progress import Progress
from pipeline.engine.refresh_lock import only_one
from pipeline.settings import Settings, load_settings

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)


def _to_path(text: str) -> Path:
    try:
        return to_path(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text}: {error}.") from None


Preset = Annotated[str | None, typer.Option(help="Preset: smoke, quick, standard or full.")]
LakeRoot = Annotated[str | None, typer.Option("--lake", help="Root of the lake: a folder or an object-store URL.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Settings file; by default latentlake.toml in this folder.")
]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Any other setting, as name=value; repeatable.")]


def _say_version(requested: bool) -> None:
    if requested:
        typer.echo(failures.find_version())
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Print the version and exit.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; also accepted after a command.")
    ] = False,
) -> None:
    """Train, measure every sample, publish a versioned parquet lake, and serve it as pages."""


def main() -> None:
    """Run the command; errors for people are one message and an exit code, a traceback only with --debug."""
    platforms.stop_elsewhere()
    outcome.run(app)


@app.command()
def inspect(
    source: Annotated[
        str | None, typer.Argument(help="Folder, archive, table or address; by default the dataset of the settings.")
    ] = None,
    config: ConfigFile = None,
    override: Overrides = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Look at a source before anything is computed: what it is, what is unclear, what a refresh costs."""
    from pipeline.commands import inspect as inspect_command

    found = inspect_command.inspect(source, _settings(config, override))
    if as_json:
        typer.echo(inspect_command.to_json(found))
    else:
        inspect_command.print_look(found)


@app.command()
def init(
    source: Annotated[
        str | None,
        typer.Argument(help="Your images: a folder, archive, table or address. Or, if it ends in .toml, the file."),
    ] = None,
    to: Annotated[
        Path, typer.Option("--to", help="File to write.", metavar="FILE", parser=_to_path)
    ] = init_file.DEFAULT,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Write a commented settings file: the settings found for a source, or all common ones to fill in."""
    if source is not None and source.endswith(".toml"):
        if to != init_file.DEFAULT:
            raise UsageError(f"{source} and --to {to} both name a settings file: name one, and a source of images.")
        to, source = _to_path(source), None
    init_file.check_target(to, force=force)
    option = "" if to == init_file.DEFAULT else f" --config {shlex.quote(str(to))}"
    if source is None:
        init_file.write_settings(to, force=force)
        typer.echo(f"Wrote {to}: name your images in it, then `latentlake refresh{option}`.")
        return
    from pipeline.commands import inspect as inspect_command

    found = inspect_command.inspect(source, load_settings({}))
    inspect_command.print_look(found)
    init_file.write_found(to, found, force=force)
    unclear = len(found.understanding.listing.notes.doubts)
    first = f"answer {unclear} question{'s' if unclear > 1 else ''} in it, " if unclear else ""
    typer.echo(f"Wrote {to}: {first}then `latentlake refresh{option}`.")


@app.command()
def refresh(
    preset: Preset = None,
    lake: LakeRoot = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with the official CIFAR-10 files.")] = None,
    new_data: Annotated[
        str | None, typer.Option(help="Folder, archive, table or address of images that arrived later.")
    ] = None,
    retrain: Annotated[
        str | None, typer.Option(help="When to train again: never, if-stale or always (inputs changed).")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of all randomness.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Training time; fits the schedule to this machine.")] = None,
    pretrained: Annotated[
        bool | None, typer.Option("--pretrained", help="Start from timm's published weights.")
    ] = None,
    folds: Annotated[
        int | None, typer.Option(help="Additional models that score training samples they never saw.")
    ] = None,
    apply_reviews: Annotated[
        bool | None, typer.Option("--apply-reviews", help="Apply people's reviews: correct labels, leave samples out.")
    ] = None,
    config: ConfigFile = None,
    override: Overrides = None,
    force: Annotated[
        bool, typer.Option("--force", help="Publish even if nothing is new or the accuracy fell; recorded.")
    ] = False,
    accept: Annotated[
        bool, typer.Option("--yes", help="Take the suggestions for what is unclear about the data; recorded.")
    ] = False,
    if_stale: Annotated[
        str | None, typer.Option(help="Refresh only if the latest run is older than this: 90m, 24h, 7d.")
    ] = None,
    max_hours: Annotated[float | None, typer.Option(help="Stop after this time; the next refresh continues.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as one JSON object on stdout.")] = False,
) -> None:
    """Compute what is missing and publish a run; resumes where it was interrupted."""
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
    refresh_options = refresh_command.RefreshOptions(force=force, accept=accept, if_stale=if_stale, max_hours=max_hours)
    if int(os.environ.get("RANK", "0")) > 0:
        from pipeline.refresh.refresh import help_refresh

        help_refresh(settings, Progress(quiet=True))
        return
    summary = refresh_command.run(settings, refresh_options)
    try:
        typer.echo(refresh_command.to_json(summary) if as_json else summary["run_id"])
    except Unprinted as error:  # the run is published all the same
        log_setup.say(f"Readers see {summary['run_id']}; only its id could not be printed ({error.reason}).")


@app.command()
def serve(
    lake: LakeRoot = None,
    config: ConfigFile = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes any free one.")] = 8501,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    base_path: Annotated[str, typer.Option(help="Path prefix that a proxy keeps, such as /lake.")] = "",
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Neither offer nor accept reviews and saved sets.")
    ] = False,
    secrets: Annotated[
        Path | None,
        typer.Option(help="Streamlit's secrets.toml, with a login in \\[auth].", metavar="PATH", parser=_to_path),
    ] = None,
) -> None:
    """Serve the pages of a lake in the browser."""
    root = _settings(config, None, lake=lake).lake
    server_options = serve_command.ServeOptions(
        root, host, port, base_path=base_path, read_only=read_only, secrets=secrets
    )
    serve_command.become_server(server_options)


@app.command()
def status(
    lake: LakeRoot = None,
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what readers see now: the latest run, its age and headline figures, and what could not be used."""
    found = status_command.look(Lake(_settings(config, None, lake=lake).lake), dt.datetime.now(dt.UTC))
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
    else:
        status_command.print_status(found)


@app.command()
def runs(lake: LakeRoot = None, config: ConfigFile = None) -> None:
    """List all published runs, newest first."""
    store = Lake(_settings(config, None, lake=lake).lake)
    frame = store.runs()
    table = Table(
        Column("run", no_wrap=True),
        Column("published (UTC)", no_wrap=True),
        "preset",
        "data",
        "checks",
        box=None,
        header_style="bold",
    )
    for run in frame.iter_rows(named=True):
        published = f"{run['published_at']:%Y-%m-%d %H:%M}"
        table.add_row(run["run_id"], published, run["preset"], run["dataset_name"], str(run["checks"]))
    open_console().print(table if len(frame) else escape(store.tell_empty()), soft_wrap=not len(frame))


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="Earlier run.")],
    b: Annotated[str, typer.Argument(help="Later run.")] = "latest",
    lake: LakeRoot = None,
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Show what run B fixed and broke since run A, and what changed in losses, map, groups, findings, data and cost."""
    from pipeline.commands.compare import print_summary, summarise

    store = Lake(_settings(config, None, lake=lake).lake)
    earlier, later = store.run(a), store.run(b)
    if earlier.run_id == later.run_id:
        raise UsageError(f"{a} and {b} are the same run, {later.run_id}: name two runs (`latentlake runs` lists them).")
    summary = summarise(later, earlier)
    if as_json:
        typer.echo(json.dumps(summary, indent=2))
    else:
        print_summary(summary)


@app.command()
def export(
    path: Annotated[
        Path | None,
        typer.Argument(
            help="File to write: .html for the report, .csv or .parquet for the samples, .svg or .png for a chart.",
            metavar="PATH",
            parser=_to_path,
        ),
    ] = None,
    run: Annotated[str, typer.Option(help="Run to export.")] = "latest",
    condition: Annotated[
        str | None, typer.Option("--filter", help="Condition on the samples, such as label == 'cat'.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    lake: LakeRoot = None,
    config: ConfigFile = None,
) -> None:
    """Write a run to a file: its report as one HTML page, its samples as rows, or the chart map or confusion."""
    from pipeline.commands.export import export as write

    published_run = Lake(_settings(config, None, lake=lake).lake).run(run)
    typer.echo(write(published_run, path, condition=condition, force=force).to_sentence())


@app.command()
def verify(
    lake: LakeRoot = None,
    config: ConfigFile = None,
    run: Annotated[str, typer.Option(help="Run to check.")] = "latest",
    maps: Annotated[bool, typer.Option("--maps", help="Repeat the checks of its loss maps.")] = False,
    planted: Annotated[
        bool, typer.Option("--planted", help="Repeat the checks that plant faults for its lists to find.")
    ] = False,
) -> None:
    """Check a published run again: files, contracts, keys, row counts; exits with 1 if a check fails."""
    published_run = Lake(_settings(config, None, lake=lake).lake).run(run)
    open_console().print(
        f"run {published_run.run_id}: {published_run.verify()} checks of files, contracts, keys and row counts passed"
    )
    if not maps and not planted:
        return
    _need_training_packages("verify --maps and --planted")
    from pipeline.checks.run import MAPS, PLANTED, check_again

    proofs = check_again(published_run, Progress(), (MAPS if maps else ()) + (PLANTED if planted else ()))
    table = Table("", "what was measured", "n", "figure", "95 %", "bar", box=None, header_style="bold")
    for row in proofs.iter_rows(named=True):
        mark = {True: "[green]holds[/]", False: "[red]missed[/]", None: "too few"}[row["holds"]]
        figure, *ends = ("" if row[key] is None else f"{row[key]:.3g}" for key in ("value", "low", "high"))
        interval = " to ".join(end for end in ends if end)
        table.add_row(mark, row["claim"], f"{row['n']:,}", figure, interval, f"{row['rule']} {row['bar']:g}")
    open_console().print(table)
    missed = proofs.filter(~pl.col("holds"))["proof"].to_list()
    if missed:
        raise UserError(f"{len(missed)} of {len(proofs)} checks are missed: {', '.join(missed)}.")


@app.command()
def gc(
    lake: LakeRoot = None,
    config: ConfigFile = None,
    keep: Annotated[int | None, typer.Option(help="Number of newest runs to keep.")] = None,
    older_than: Annotated[float | None, typer.Option(help="Also keep runs younger than this, in days.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Remove old runs and what crashed refreshes left; never the last run of a dataset, reviews or views."""
    settings = _settings(config, None, lake=lake, keep_runs=keep, keep_days=older_than)
    removed = _collect_garbage(settings, dry_run=dry_run)
    typer.echo(json.dumps(asdict(removed)) if as_json else removed.to_sentence(settings.reader_hours))


@app.command()
def config(config: ConfigFile = None, preset: Preset = None, override: Overrides = None) -> None:
    """Print every setting as JSON: its value, and whether a flag, the environment, the file or the preset set it."""
    flags = read_flags(Settings, {"preset": preset}, override or [])
    settings = _load(config, flags)
    sources = find_origins(settings, config, flags)
    typer.echo(json.dumps(settings.model_dump(mode="json") | {"sources": sources}, indent=2))


@app.command()
def doctor(lake: LakeRoot = None, config: ConfigFile = None) -> None:
    """Check what this machine has and lacks; exits with 1 if a refresh could not run."""
    settings = _settings(config, None, lake=lake)
    checks = list(diagnosis.diagnose(settings))
    for check in checks:
        mark = {True: "[green]ok[/]", False: "[red]no[/]", None: "[dim]--[/]"}[check.good]
        open_console().print(f"{mark}  {escape(check.message)}", highlight=False, soft_wrap=True)
    raise SystemExit(1 if any(check.good is False for check in checks) else 0)


def _collect_garbage(settings: Settings, *, dry_run: bool) -> Removed:
    local = "://" not in settings.lake
    if local and not os.path.lexists(settings.lake):
        raise UserError(Lake(settings.lake).tell_empty())
    retention = Retention(runs=settings.keep_runs, days=settings.keep_days, hours=settings.reader_hours)
    with only_one(Lake(settings.lake), Progress()):
        return collect_garbage(Lake(settings.lake), retention, alone=local, dry_run=dry_run)


def _need_training_packages(command: str) -> None:
    if importlib.util.find_spec("torch") is None:
        raise UserError(f"{command} needs the training packages, which are not installed: pip install '.[train]'.")


def _settings(config_file: Path | None, overrides: list[str] | None, **flags: Any) -> Settings:
    return _load(config_file, read_flags(Settings, flags, overrides or []))


def _load(config_file: Path | None, flags: dict[str, Any]) -> Settings:
    """Load the settings; a file that --config does not name is reported, and child processes use it too."""
    settings = load_settings(config_file, **flags)
    log_setup.configure(settings.log)
    outcome.REPORTS[:] = [settings.work_dir]
    for warning in find_unknown_variables(Settings):
        log_setup.say(warning)
    if file := find_file(config_file):
        os.environ[CONFIG] = str(file.absolute())
        if config_file is None:
            log_setup.say(f"Settings from {file}.")
    return settings


if __name__ == "__main__":
    main()
