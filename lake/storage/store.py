"""Open, stage, publish and read: a run is visible to readers if and only if it has a row in `runs`.

Stages append their tables under a new `run_id`; `publish` validates them and appends one row with the pinned
version of every table. Readers scan each table at its pinned version, so later writes do not affect them.
"""

import datetime as dt
import os
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import (
    CommitProperties,
    DeltaTable,
    PostCommitHookProperties,
    Transaction,
)
from deltalake.exceptions import TableNotFoundError

from lake.contracts.tables import DATASET_TABLES, FORMAT_VERSION, RUN_TABLES, TABLES, key_column
from lake.contracts.validation import polars_schema, validate, validated
from lake.errors import BrokenContract, LakeError
from lake.storage.damage import reading, writing
from lake.storage.door import open_table, plain_path, vacuum_table, write_table
from lake.storage.files import compute_digest, list_files
from lake.storage.partitions import only_key, writer_properties
from lake.storage.places import command
from lake.storage.places import default_root as default_root
from lake.storage.roots import check_columns, check_files, check_folder

KEEP_LOG = {"delta.logRetentionDuration": "interval 36500 days"}
"""By default deltalake deletes log entries older than 30 days, and with them versions that runs pin."""


class Lake:
    """The tables under one root, a local folder or an object-store URL."""

    def __init__(self, root: str | Path) -> None:
        self.root = str(root).rstrip("/")
        self._table = lru_cache(maxsize=256)(self.open)
        self._check_once = lru_cache(maxsize=1024)(
            lambda name, version, partition: self._check_files(name, self._at(name, version), partition)
        )

    def __repr__(self) -> str:
        from lake.storage.summaries import summarize_lake  # deferred: it depends on this module

        return summarize_lake(self)

    def runs(self) -> pl.DataFrame:
        """Return the published runs, newest first and without repeated publications; empty if there are none.

        Raises `LakeError` if the lake is damaged or was written by a newer version.
        """
        runs = self.read_newest("runs")
        newest = max(runs["format_version"].to_list(), default=0)
        if newest > FORMAT_VERSION:
            raise LakeError(
                f"The lake {self.root} has runs in format {newest}, but this version of latentlake reads formats up "
                f"to {FORMAT_VERSION}. Install a newer version to read it."
            )
        unique_runs = runs.sort("published_at").unique("run_id", keep="first", maintain_order=True)
        return unique_runs.sort("published_at", descending=True)

    def rejected(self) -> pl.DataFrame:
        """Return the runs that were computed but rejected, newest first."""
        return self.read_newest("rejected").sort("rejected_at", descending=True)

    def run(self, run_id: str = "latest") -> "Run":
        """Return the published run with an id, or the latest; raises `LakeError` if there is none."""
        runs = self.runs()
        if runs.is_empty():
            raise LakeError(self.tell_empty())
        matches = runs.head(1) if run_id == "latest" else runs.filter(pl.col("run_id") == str(run_id))
        if matches.is_empty():
            raise LakeError(
                f"The lake {self.root} has no run {str(run_id)[:80]!r}: "
                f"the latest is {runs['run_id'][0]}; `{command('runs', self.root)}` lists them all."
            )
        return Run(self, matches.row(0, named=True))

    def tell_empty(self) -> str:
        """Return the message for a lake without a published run."""
        refresh = f"run `{command('refresh', self.root)}`"
        if any(self.exists(name) for name in (*DATASET_TABLES, *RUN_TABLES)):
            return (
                f"The lake {self.root} has tables but no published run: {refresh}, or restore the runs from a backup."
            )
        return f"The lake {self.root} has no published run yet: {refresh}."

    def stage(self, name: str, frame: pl.DataFrame, *, key: str | None = None) -> None:
        """Write the rows of one run (or dataset) to a table, replacing those of an earlier attempt.

        `key` is the run or dataset, needed if the frame may be empty. Raises `LakeError` if the contract is violated.
        """
        column, key = key_column(name), only_key(name, frame, key)
        exists = self.exists(name)
        self._write(name, frame, mode="overwrite", predicate=f"{column} = '{key}'" if exists else None)

    def add_rows(self, name: str, frame: pl.DataFrame) -> None:
        """Append rows to those of a dataset in a table; an empty frame writes nothing."""
        if not frame.is_empty():
            only_key(name, frame, None)
            self._write(name, frame, mode="append")

    def _write(self, name: str, frame: pl.DataFrame, **options: Any) -> None:
        ordered = validated(name, frame).sort(TABLES[name].primary_key())
        with writing(self.root):
            self._create_root()
            table = self.open_to_write(name)
            write_table(
                self._address(name),
                ordered,
                onto=table,
                schema_mode="merge" if table else None,
                partition_by=key_column(name),
                configuration=None if table else KEEP_LOG,
                storage_options=self.options,
                writer_properties=writer_properties(name, frame),
                **options,
            )

    def staged(self, name: str, key: str) -> pl.LazyFrame:
        """Return the rows of a table with a key at its newest version, published or not."""
        with reading(self.root):
            return self._select(name, self._newest(name), key)

    def scan_runs(self, name: str, runs: pl.DataFrame) -> pl.LazyFrame:
        """Return the rows of several published runs (rows of `runs`) in a table, in one read.

        Reads the latest version that any of them pins, which contains the rows of earlier runs unchanged.
        """
        tables_of_runs = runs.select("run_id", "tables").iter_rows()
        pins = {run_id: t["version"] for run_id, tables in tables_of_runs for t in tables if t["name"] == name}
        if not pins:
            return TABLES[name].create_empty().lazy()
        latest = max(pins.values())
        with reading(self.root):
            self._check_once(name, latest, "")
            return self._complete(self._at(name, latest), name).filter(pl.col("run_id").is_in(list(pins)))

    def has(self, name: str, key: str) -> bool:
        """Return whether a table has rows with the key at its newest version."""
        if not self.exists(name):
            return False
        with reading(self.root):
            return not self.staged(name, key).select(key_column(name)).head(1).collect().is_empty()

    def publish(self, facts: dict[str, Any]) -> str:
        """Validate every table of `facts["run_id"]`, make the run visible in one append and return its id.

        Raises `BrokenContract` or another `LakeError`; readers then see no change.
        """
        run_id, dataset_id = facts["run_id"], facts["dataset_id"]
        with reading(self.root):
            versions = {name: self._newest(name) for name in (*DATASET_TABLES, *RUN_TABLES)}
            keys = {name: dataset_id if name in DATASET_TABLES else run_id for name in versions}
            tables = {name: self._select(name, version, keys[name]) for name, version in versions.items()}
            try:
                counts, checks = validate(tables)
            except BrokenContract as error:
                raise BrokenContract(f"Nothing was published: {error}") from None
            digests = [{"table": n, "sha256": self.digest(n, version, keys[n])} for n, version in versions.items()]
        row = facts | {
            "format_version": FORMAT_VERSION,
            "published_at": self._after_last(dt.datetime.now(dt.UTC)),
            "tables": [{"name": n, "version": v, "rows": counts[n]} for n, v in versions.items()],
            "digests": digests,
            "checks": checks,
        }
        self._append_run(validated("runs", pl.DataFrame([row], schema=polars_schema("runs"))))
        return str(run_id)

    def reject(self, facts: dict[str, Any], reason: str, measured: dict[str, Any]) -> None:
        """Record why a staged run is not published; `measured` holds the other columns of `rejected`."""
        row = facts | measured | {"reason": reason, "rejected_at": dt.datetime.now(dt.UTC)}
        frame = pl.DataFrame(
            [{name: row[name] for name in polars_schema("rejected")}], schema=polars_schema("rejected")
        )
        with writing(self.root):
            self.append_once("rejected", validated("rejected", frame), transaction=f"reject/{facts['run_id']}")

    def version(self, name: str) -> int | None:
        """Return the newest version of a table; None if it does not exist."""
        if not self.exists(name):
            return None
        return self._newest(name)

    def exists(self, name: str) -> bool:
        """Return whether a table exists."""
        with reading(self.root):
            return DeltaTable.is_deltatable(self.uri(name), self.options)

    def uri(self, name: str) -> str:
        """Return a path or URL by which deltalake and polars can open a table, whatever the names of its folders."""
        return plain_path(self._address(name))

    def open(self, name: str, version: int | None = None) -> DeltaTable:
        """Open a table at a version, by default the newest; raises the errors of deltalake."""
        return open_table(self._address(name), version=version, storage_options=self.options)

    def open_to_write(self, name: str) -> DeltaTable | None:
        """Open a table at its newest version and make it keep the log of every version; None if it does not exist."""
        if not self.exists(name):
            return None
        table = self.open(name)
        if KEEP_LOG.items() - table.metadata().configuration.items():
            no_cleanup = PostCommitHookProperties(cleanup_expired_logs=False)
            table.alter.set_table_properties(KEEP_LOG, post_commithook_properties=no_cleanup)
        return table

    def digest(self, name: str, version: int, key: str) -> str:
        """Return the SHA-256 of the files with the rows of a key at a version; raises `OSError` if one is missing."""
        files = list_files(self._at(name, version), name).filter(key=key)
        return compute_digest(self.uri(name), files["path"], self.options)

    def append_once(self, name: str, frame: pl.DataFrame, *, transaction: str, partition_by: str | None = None) -> None:
        """Append rows in one commit with a transaction id; a second attempt with the same id changes nothing.

        Raises the errors of deltalake.
        """
        transaction_id = Transaction(app_id=transaction, version=1)
        exists = self.exists(name)
        if exists and self.open(name).transaction_version(transaction_id.app_id) is not None:
            return
        write_table(
            self._address(name),
            frame,
            mode="append",
            schema_mode="merge" if exists else None,
            partition_by=partition_by,
            storage_options=self.options,
            commit_properties=CommitProperties(app_transactions=[transaction_id]),
        )

    def replace(self, name: str, table: DeltaTable, frame: pl.DataFrame) -> None:
        """Replace the rows that an unpartitioned table had when it was opened; raises the errors of deltalake."""
        write_table(self._address(name), frame, onto=table, mode="overwrite")

    def delete_files(self, table: DeltaTable, name: str, **which: Any) -> list[str]:
        """Run `DeltaTable.vacuum` and return the paths that it lists; raises the errors of deltalake."""
        return vacuum_table(self._address(name), table, **which)

    def _at(self, name: str, version: int) -> DeltaTable:
        self.uri(name)  # restore the door, which a cleanup of the temporary folder may have removed
        return self._table(name, version)

    def _address(self, name: str) -> str:
        return f"{self.root}/{name}"

    def _after_last(self, moment: dt.datetime) -> dt.datetime:
        """Return the moment, or just after the last publication if the clock went back, so that the order is kept."""
        runs = self.runs()
        return moment if runs.is_empty() else max(moment, runs["published_at"][0] + dt.timedelta(microseconds=1))

    def _append_run(self, row: pl.DataFrame) -> None:
        with writing(self.root):
            self.append_once("runs", row, transaction=f"publish/{row['run_id'][0]}")

    def read_newest(self, name: str) -> pl.DataFrame:
        """Read a whole table at its newest version; columns added since it was written are null."""
        with reading(self.root):
            check_folder(self.root)
            try:
                table = self.open(name)
            except TableNotFoundError:
                return TABLES[name].create_empty()
            self._check_files(name, table)
            return self._complete(table, name).collect()

    def _select(self, name: str, version: int, key: str) -> pl.LazyFrame:
        """Return the rows of a table with a key at a version; its files are checked only once."""
        table, column = self._at(name, version), key_column(name)
        self._check_once(name, version, f"{column}={key}/")
        return self._complete(table, name).filter(pl.col(column) == key)

    def _complete(self, table: DeltaTable, name: str) -> pl.LazyFrame:
        """Return all rows, with nulls for columns added since the table was written."""
        stored_columns = {field.name for field in table.schema().fields}
        check_columns(name, stored_columns, self._address(name))
        missing = {c: pl.lit(None, dtype) for c, dtype in polars_schema(name).items() if c not in stored_columns}
        return pl.scan_delta(table).with_columns(**missing)

    def _check_files(self, name: str, table: DeltaTable, partition: str = "") -> None:
        if "://" not in self.root:
            check_files(table, Path(self._address(name)), partition, self.root)

    def _newest(self, name: str) -> int:
        try:
            return self.open(name).version()
        except TableNotFoundError:
            raise LakeError(f"The table {name} has not been staged: refresh again.") from None

    def _create_root(self) -> None:
        if "://" not in self.root:
            Path(self.root).mkdir(parents=True, exist_ok=True)

    @cached_property
    def options(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))}


class Run:
    """A published run; `scan` reads a table as of its publication."""

    def __init__(self, lake: Lake, facts: dict[str, Any]) -> None:
        self.lake, self.facts = lake, facts
        self.run_id: str = facts["run_id"]
        self.dataset_id: str = facts["dataset_id"]
        self.classes: list[str] = facts["classes"]
        self._versions = {table["name"]: table["version"] for table in facts["tables"]}

    def __repr__(self) -> str:
        from lake.storage.summaries import summarize_run  # deferred: it depends on this module

        return summarize_run(self)

    def scan(self, name: str) -> pl.LazyFrame:
        """Return the rows of this run in a table; columns newer than the run are null, newer tables empty."""
        if name not in (*DATASET_TABLES, *RUN_TABLES):
            tables = ", ".join((*DATASET_TABLES, *RUN_TABLES))
            raise LakeError(f"A run has no table {str(name)[:80]!r}: its tables are {tables}.")
        if name not in self._versions:
            return TABLES[name].create_empty().lazy()
        with reading(self.lake.root):
            return self.lake._select(name, self._versions[name], self._key(name))

    def has(self, name: str) -> bool:
        """Return whether a table of the run has rows; external predictions lack some tables."""
        return any(table["rows"] for table in self.facts["tables"] if table["name"] == name)

    def metric(self, stage: str, name: str) -> float | None:
        """Return a value of the table `metrics`; None if it was not measured."""
        values = self.scan("metrics").filter(stage=stage, name=name).select("value").collect().to_series()
        return values[0] if len(values) else None

    def verify(self) -> int:
        """Check the files, contract, keys and pinned row count of every table; return the number of checks passed.

        Raises `LakeError` for the first failure. Files of runs published before checksums existed are not checked.
        """
        with reading(self.lake.root):
            digests = self._verify_files()
            row_counts = {table["name"]: table["rows"] for table in self.facts["tables"]}
            tables = {name: self.scan(name) for name in (*DATASET_TABLES, *RUN_TABLES)}
            try:
                counts, checks = validate(tables)
            except BrokenContract as error:
                raise LakeError(f"The run {self.run_id} is damaged: {error} Refresh again.") from None
            for name, rows in row_counts.items():
                if (actual := counts[name]) != rows:
                    raise LakeError(
                        f"The run {self.run_id} is damaged: {name} has {actual} rows but was published with {rows}. "
                        "Restore the lake from a backup, or refresh again."
                    )
        return digests + checks + len(row_counts)

    def _verify_files(self) -> int:
        digests = self.facts["digests"] or []
        for table in digests:
            name = table["table"]
            try:
                intact = self.lake.digest(name, self._versions[name], self._key(name)) == table["sha256"]
            except FileNotFoundError:
                intact = False
            if not intact:
                raise LakeError(
                    f"The run {self.run_id} is damaged: the files of {name} differ from those that were published. "
                    "Restore the lake from a backup, or refresh again."
                )
        return len(digests)

    def _key(self, name: str) -> str:
        return self.dataset_id if name in DATASET_TABLES else self.run_id

    @cached_property
    def groups(self) -> dict[str, dict[str, str]]:
        """Grouping -> class -> group, for example superclass -> ship -> vehicle."""
        groupings: dict[str, dict[str, str]] = {}
        for group in self.facts["groups"]:
            groupings.setdefault(group["name"], {})[group["label"]] = group["value"]
        return groupings

    @cached_property
    def metadata(self) -> dict[str, str]:
        """Metadata column of the source -> "text" or "number"."""
        return {column["name"]: column["kind"] for column in self.facts.get("metadata") or []}
