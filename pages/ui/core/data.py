"""All reads of the pages, cached by run and plain arguments; filtering happens outside the caches."""

import polars as pl
import streamlit as st

from lake.comparison.differences import Ranked
from lake.contracts.samples import OF_CLASSES
from lake.query import histograms, integers, loss_maps, pivots, queries
from lake.query.filters import Filters
from lake.query.loss_maps import Maps
from lake.query.pivots import Axis
from lake.query.sample_table import read_samples
from lake.search.similar import Index
from lake.storage.damage import reading
from lake.storage.read_only import ReadOnlyLake
from lake.storage.store import Lake, Run, default_root
from pages.charts import scales
from pages.report.document import render_report
from pages.text import missing
from pages.text.claims import Claim, find_claims
from pages.text.headline import Figure, headline_figures, say_headline
from pages.ui.internals.streamlit_internals import altair_settings
from pages.ui.session import telemetry
from pages.ui.session.access import access

SECONDS_UNTIL_NEW_RUNS_SHOW = 10
SECONDS_READY = 5


@st.cache_data(ttl=SECONDS_UNTIL_NEW_RUNS_SHOW, max_entries=4, show_spinner=False)
@telemetry.query("runs")
def read_runs(root: str) -> pl.DataFrame:
    """Published runs, newest first."""
    return Lake(root).runs()


@st.cache_resource(max_entries=16, show_spinner=False)
@telemetry.query("run")
def open_run(root: str, run_id: str) -> Run:
    """Open a run at its pinned table versions; its lake rejects writes if the app is read-only."""
    return (ReadOnlyLake if access().read_only else Lake)(root).run(run_id)


@st.cache_resource(ttl=SECONDS_READY, max_entries=4, show_spinner=False)
@telemetry.query("ready")
def read_latest(root: str) -> Run | None:
    """Return the latest run after reading one of its tables; None if there is none, `LakeError` if it is damaged."""
    lake = Lake(root)
    if lake.runs().is_empty():
        return None
    run = lake.run()
    with reading(root):
        run.scan("metrics").head(1).collect()
    return run


def runs() -> pl.DataFrame:
    """Published runs of the lake being served, newest first."""
    return read_runs(default_root())


@st.cache_data(max_entries=4, show_spinner=False)
@telemetry.query("metrics of runs")
def _metrics_of_runs(root: str, run_ids: tuple[str, ...], stage: str, names: tuple[str, ...]) -> pl.DataFrame:
    rows = read_runs(root).filter(pl.col("run_id").is_in(run_ids))
    return queries.metrics_of_runs(Lake(root), rows, stage, names).collect()


def metrics_of_runs(runs: pl.DataFrame, stage: str, *names: str) -> pl.DataFrame:
    """Return metrics of a stage of these runs by run_id, without opening the runs."""
    return _metrics_of_runs(default_root(), tuple(runs["run_id"]), stage, names)


@st.cache_data(ttl=SECONDS_UNTIL_NEW_RUNS_SHOW, max_entries=4, show_spinner=False)
@telemetry.query("refused runs")
def _read_rejected(root: str) -> pl.DataFrame:
    return Lake(root).rejected()


def rejected() -> pl.DataFrame:
    """Return the runs that were computed but rejected, newest first."""
    return _read_rejected(default_root())


def current_run() -> Run:
    """Return the run of this session; it changes only when the reader picks another."""
    return open_run(default_root(), st.session_state["run_id"])


def other_runs(run: Run) -> list[str]:
    """The other runs of the same dataset, newest first."""
    rows = runs().filter(pl.col("dataset_id") == run.dataset_id, pl.col("run_id") != run.run_id)
    return rows["run_id"].to_list()


def runs_of_other_data(run: Run) -> list[str]:
    """The runs of other datasets, newest first."""
    return runs().filter(pl.col("dataset_id") != run.dataset_id)["run_id"].to_list()


def previous_run(run: Run) -> Run | None:
    """Return the previous run of the same dataset; None if there is none."""
    earlier = queries.previous_run_id(runs(), run)
    return open_run(run.lake.root, earlier) if earlier else None


@st.cache_resource(max_entries=4, show_spinner="Reading the run ...")
@telemetry.query("samples")
def _samples(root: str, run_id: str) -> pl.DataFrame:
    return read_samples(open_run(root, run_id))


def samples(run: Run) -> pl.LazyFrame:
    """Return the sample table of the run, ordered by sample id."""
    return _samples(run.lake.root, run.run_id).lazy()


def samples_of(run: Run, sample_id: pl.Series) -> pl.DataFrame:
    """Return the rows of `samples` for some ids, in their order; ids that the run has not scored are skipped."""
    everything = _samples(run.lake.root, run.run_id)
    positions = everything["sample_id"].search_sorted(sample_id).clip(0, max(len(everything) - 1, 0))
    rows = everything[positions]
    return rows.filter(rows["sample_id"] == sample_id)


@st.cache_data(max_entries=256, show_spinner=False)
def _is_measure(root: str, run_id: str, column: str) -> bool:
    return integers.is_measure(_samples(root, run_id)[column])


def is_measure(run: Run, column: str) -> bool:
    """Return whether a column holds numbers with a range: floats, and metadata of integers unless they are ids."""
    if _samples(run.lake.root, run.run_id).schema[column].is_float():
        return True
    return column in run.metadata and _is_measure(run.lake.root, run.run_id, column)


@st.cache_data(max_entries=256, show_spinner=False)
def _values(root: str, run_id: str, column: str, most: int, *, measure: bool) -> tuple[list[object], bool]:
    values = _samples(root, run_id)[column]
    some_empty = values.null_count() > 0
    if measure:
        return [values.min(), values.max()], some_empty
    distinct = values.drop_nulls().unique() if column != "sample_id" else values
    return distinct.sort().head(most).to_list(), some_empty


def values(run: Run, column: str, most: int) -> tuple[list[object], bool]:
    """Return the range of a measure, or the first values of another column; and whether it has nulls."""
    return _values(run.lake.root, run.run_id, column, most, measure=is_measure(run, column))


@st.cache_resource(max_entries=64, show_spinner=False)
def _table(root: str, run_id: str, name: str) -> pl.DataFrame:
    with telemetry.query(name):
        return open_run(root, run_id).scan(name).collect()


def table(run: Run, name: str) -> pl.DataFrame:
    """A small table of the run: findings, cluster_summaries, training, metrics."""
    return _table(run.lake.root, run.run_id, name)


@st.cache_resource(max_entries=16, show_spinner=False)
def _headline(root: str, run_id: str) -> tuple[str, list[Figure]] | None:
    run, samples = open_run(root, run_id), _samples(root, run_id).lazy()
    sentence = say_headline(samples, missing.noun(run))
    if sentence is None:
        return None
    calibration = run.metric("score", "calibration_error")
    return sentence, headline_figures(samples, _table(root, run_id, "findings"), calibration)


def headline(run: Run) -> tuple[str, list[Figure]] | None:
    """The answer of the run and its headline numbers; None without labelled test samples."""
    return _headline(run.lake.root, run.run_id)


@st.cache_resource(max_entries=2, show_spinner="Comparing images ...")
def _ranked(root: str, run_id: str) -> Ranked:
    return Ranked(_samples(root, run_id))


@st.cache_resource(max_entries=64, show_spinner=False)
def _shared(root: str, run_id: str, sample_ids: tuple[int, ...]) -> pl.DataFrame:
    return _ranked(root, run_id).measure([_samples(root, run_id)["sample_id"].is_in(sample_ids).to_numpy()])


def shared(run: Run, sample_ids: list[int]) -> pl.DataFrame:
    """Return how some samples differ from all others, as `lake.comparison.differences.measure`."""
    return _shared(run.lake.root, run.run_id, tuple(sample_ids))


@st.cache_resource(max_entries=16, show_spinner=False)
def _claims(root: str, run_id: str) -> list[Claim]:
    return find_claims(open_run(root, run_id), _samples(root, run_id).lazy())


def claims(run: Run) -> list[Claim]:
    """Return the claims of the run in the order of the tour."""
    return _claims(run.lake.root, run.run_id)


@st.cache_resource(max_entries=12, show_spinner=False)
@telemetry.query("clusters")
def _distances(root: str, run_id: str, method: str) -> pl.DataFrame:
    members = open_run(root, run_id).scan("clusters").filter(pl.col("method") == method)
    return members.select("sample_id", "distance").collect()


def distances(run: Run, method: str) -> pl.DataFrame:
    """Return the distance of each sample to the centre of its cluster; null for noise."""
    return _distances(run.lake.root, run.run_id, method)


@st.cache_data(max_entries=128, show_spinner=False)
def _histograms(root: str, run_id: str, filters: str, columns: tuple[str, ...]) -> pl.DataFrame:
    samples = _samples(root, run_id)
    passes = Filters.from_text(filters).to_expr(samples.schema)
    return histograms.histograms(samples.lazy(), list(columns), passes).collect()


def column_histograms(run: Run, filters: Filters, columns: list[str]) -> pl.DataFrame:
    """Return histograms of numeric columns, counting all samples and those that pass."""
    return _histograms(run.lake.root, run.run_id, filters.to_text(), tuple(columns))


@st.cache_data(max_entries=64, show_spinner=False)
def _cuts(root: str, run_id: str, column: str) -> list[float]:
    return pivots.quantiles(_samples(root, run_id).lazy(), column).collect()[column].to_list()


@st.cache_data(max_entries=64, show_spinner=False)
def _few_integers(root: str, run_id: str, column: str) -> bool:
    values = _samples(root, run_id)[column]
    return values.dtype.is_integer() and values.n_unique() <= pivots.CATEGORIES


def axis(run: Run, column: str) -> Axis:
    """Return a column as an axis; numbers are cut at their quantiles over the whole run, except for few integers."""
    is_cut = is_measure(run, column) and not _few_integers(run.lake.root, run.run_id, column)
    return Axis(column, tuple(_cuts(run.lake.root, run.run_id, column)) if is_cut else None)


def coarse_metadata(run: Run) -> list[str]:
    """Return the metadata columns that are usable as colours and axes: numbers, and texts and ids with few values."""
    most = queries.GROUPS_AT_MOST
    return [
        column for column in run.metadata if is_measure(run, column) or len(values(run, column, most + 1)[0]) <= most
    ]


def has_labels(run: Run) -> bool:
    """Return whether any sample has a label."""
    return "label" not in empty_columns(run)


def empty_columns(run: Run) -> set[str]:
    """Return the columns without any value, for example because external predictions lack images, or any meaning."""
    empty = {column.name for column in _samples(run.lake.root, run.run_id) if column.null_count() == len(column)}
    empty |= set() if missing.is_classified(run) else set(OF_CLASSES)
    return empty if missing.has(run, missing.COPIES) else {*empty, "leak"}


@st.cache_resource(max_entries=256, show_spinner=False)
def _color_scale(root: str, run_id: str, column: str, picked: tuple[str, ...]) -> scales.ColorScale:
    run, values = open_run(root, run_id), _samples(root, run_id)[column]
    if integers.holds_ids(values):
        values = values.cast(pl.String)
    return scales.color_scale(values, run.classes, run.groups, picked=picked, measure=is_measure(run, column))


def color_scale(run: Run, column: str, picked: tuple[str, ...] = ()) -> scales.ColorScale:
    """Return the colour scale of a column over the whole run, regardless of filters; `picked` values among many."""
    return _color_scale(run.lake.root, run.run_id, column, picked)


@st.cache_data(max_entries=64, show_spinner=False)
def _color_values(root: str, run_id: str, column: str) -> list[str]:
    return scales.by_frequency(_samples(root, run_id)[column]).cast(pl.String).to_list()


def color_values(run: Run, column: str) -> list[str]:
    """Return the values of a non-numeric column as text, most frequent first."""
    return _color_values(run.lake.root, run.run_id, column)


@st.cache_data(max_entries=64, show_spinner=False)
def _size_domain(root: str, run_id: str, column: str) -> tuple[float, float]:
    return scales.size_domain(_samples(root, run_id)[column])


def size_domain(run: Run, column: str) -> tuple[float, float]:
    """The values of the smallest and the largest dot of a column over the whole run."""
    return _size_domain(run.lake.root, run.run_id, column)


@st.cache_data(max_entries=64, show_spinner=False)
@telemetry.query("misplaced")
def _misplaced(root: str, run_id: str, group: str) -> list[int]:
    sample_ids = queries.misplaced(open_run(root, run_id), group).select("sample_id").collect(engine="streaming")
    return sample_ids["sample_id"].to_list()


def misplaced(run: Run, group: str) -> list[int]:
    """Return the held-out samples most of whose 15 nearest are of another group, lowest share first."""
    return _misplaced(run.lake.root, run.run_id, group)


@st.cache_data(max_entries=512, show_spinner=False)
@telemetry.query("neighbors")
def _neighbors(root: str, run_id: str, sample_id: int) -> pl.DataFrame:
    return open_run(root, run_id).scan("neighbors").filter(pl.col("sample_id") == sample_id).sort("rank").collect()


def neighbors(run: Run, sample_id: int | None) -> pl.DataFrame:
    """Return the nearest neighbours of a sample in latent space, most similar first; empty for None."""
    return _neighbors(run.lake.root, run.run_id, -1 if sample_id is None else sample_id)


@st.cache_resource(max_entries=8, show_spinner=False)
@telemetry.query("loss_maps")
def _maps(root: str, run_id: str, layer: str) -> Maps:
    run = open_run(root, run_id)
    sample_ids = _samples(root, run_id).lazy().filter(loss_maps.MAPPED).select("sample_id").collect()["sample_id"]
    return Maps.of(loss_maps.scan_maps(run, layer).collect()).of_samples(sample_ids.to_numpy())


def maps(run: Run, layer: str) -> Maps:
    """The loss maps of every labelled held-out sample, of its given label."""
    return _maps(run.lake.root, run.run_id, layer)


@st.cache_resource(max_entries=2, show_spinner="Reading the embeddings ...")
@telemetry.query("embeddings")
def _index(root: str, run_id: str) -> Index:
    return Index.of(open_run(root, run_id))


def index(run: Run) -> Index:
    """The embeddings of the run, to be searched."""
    return _index(run.lake.root, run.run_id)


@st.cache_data(max_entries=4, show_spinner=False)
def _report(root: str, run_id: str) -> bytes:
    run = open_run(root, run_id)
    with altair_settings:  # Streamlit changes them for all threads while it draws a chart
        return render_report(run, previous_run(run)).encode()


def report(run: Run) -> bytes:
    """The report of the run as an HTML file."""
    return _report(run.lake.root, run.run_id)


@st.cache_data(max_entries=64, show_spinner=False)
def _map_layers(root: str, run_id: str) -> list[str]:
    return loss_maps.map_layers(open_run(root, run_id))


def map_layers(run: Run) -> list[str]:
    """Return the layers of the run's loss maps, finest first; empty if its model has no layers to explain."""
    return _map_layers(run.lake.root, run.run_id)


@st.cache_data(max_entries=64, show_spinner=False)
def _embedding_size(root: str, run_id: str) -> int:
    return queries.embedding_size(open_run(root, run_id))


def embedding_size(run: Run) -> int:
    """Return the dimension of the embeddings."""
    return _embedding_size(run.lake.root, run.run_id)


@st.cache_data(max_entries=512, show_spinner=False)
@telemetry.query("image_size")
def _image_size(root: str, run_id: str, sample_id: int) -> dict[str, int | None] | None:
    size = queries.image_size(open_run(root, run_id), sample_id).collect()
    return size.row(0, named=True) if len(size) else None


def image_size(run: Run, sample_id: int) -> dict[str, int | None] | None:
    """Return the size of a sample's image and of its original, as `queries.image_size`; None without an image."""
    return _image_size(run.lake.root, run.run_id, sample_id)
