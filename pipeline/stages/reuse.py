"""How a stage gets its tables: found in the work folder, reused from the previous run, or computed.

Each stage is computed in one of four ways, each with the facts that its values depend on. Facts are named `stage.part`
or `dataset.part`; code is hashed by `pipeline.engine.code_hash`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.engine.hashing import hash_facts
from pipeline.engine.previous_run import PreviousRun, Record
from pipeline.engine.results import check_result
from pipeline.engine.stage_cache import Finished, Frames, Workspace
from pipeline.stages.inputs import StageInputs

Names = tuple[str, ...]
MOST_ADDED = 0.1
"""Fraction of samples that may be added to a fit before it is refitted."""


class Computation(Protocol):
    """One of the four ways."""

    def find(self, stage: "StageRun") -> Finished: ...


@dataclass(frozen=True)
class Whole:
    """Computed as a whole, again whenever one of the facts changes."""

    compute: Callable[[StageInputs], Frames]
    facts: Names
    settings: Names = ()

    def find(self, stage: "StageRun") -> Finished:
        key = stage.key(self.settings, self.facts, self.compute)
        return stage.finish(key, lambda: self.compute(stage.inputs))


@dataclass(frozen=True)
class PerSample:
    """Measures each sample independently, and only those that the previous run did not measure.

    `value_facts` are what a value depends on besides the sample; `sample_facts` identify the samples. `compute`
    receives the tables `reuses` of the previous run if it measured under equal settings, code and value facts.
    """

    compute: Callable[[StageInputs, Frames | None], Frames]
    value_facts: Names
    sample_facts: Names
    reuses: Names = ()
    settings: Names = ()

    def find(self, stage: "StageRun") -> Finished:
        key = stage.key(self.settings, self.value_facts, self.compute)
        reused = self.reuses if stage.record and stage.record.value_key == key else ()
        fingerprint = hash_facts([key, stage.values(self.sample_facts)])
        return stage.finish(fingerprint, lambda: self.compute(stage.inputs, stage.tables(reused)), value_key=key)


@dataclass(frozen=True)
class Fit:
    """Fits all samples; later samples are added to the fit by `extend`, until they exceed a tenth of it.

    With `starts_from_previous`, each new fit also receives the tables `reuses` of the previous run, whatever that run
    was fitted to.
    """

    fit: Callable[[StageInputs, Frames | None], Frames]
    extend: Callable[[StageInputs, Frames], Frames]
    value_facts: Names
    sample_facts: Names
    reuses: Names
    settings: Names
    starts_from_previous: bool = False

    def find(self, stage: "StageRun") -> Finished:
        key, record = stage.key(self.settings, self.value_facts, self.fit, self.extend), stage.record
        goes_on = record is not None and record.value_key == key and stage.added_share() <= MOST_ADDED
        samples_key = hash_facts([key, stage.values(self.sample_facts)])
        start = record.fit_id if record and self.starts_from_previous else None
        fit_id = record.fit_id if record and goes_on else hash_facts([samples_key, start])
        tables = stage.tables(self.reuses if record and (goes_on or self.starts_from_previous) else ())

        def compute() -> Frames:
            return self.extend(stage.inputs, tables) if goes_on and tables else self.fit(stage.inputs, tables)

        return stage.finish(hash_facts([samples_key, fit_id]), compute, value_key=key, fit_id=fit_id)


@dataclass(frozen=True)
class AboutFit:
    """Describes a fit, and is unchanged as long as the fit is: `carry` reads it from the previous run."""

    compute: Callable[[StageInputs], Frames]
    carry: Callable[[PreviousRun], Frames]
    facts: Names
    settings: Names = ()

    def find(self, stage: "StageRun") -> Finished:
        key, previous, record = stage.key(self.settings, self.facts, self.compute), stage.previous, stage.record
        same = record is not None and record.fingerprint == key
        return stage.finish(key, lambda: self.carry(previous) if previous and same else self.compute(stage.inputs))


@dataclass(frozen=True)
class StageRun:
    """A stage of one refresh: its inputs, the record of the previous run, and the workspace for its result."""

    inputs: StageInputs
    work: Workspace
    previous: PreviousRun | None
    fact: Callable[[str], str]

    @property
    def name(self) -> str:
        return self.inputs.stage.name

    @property
    def record(self) -> Record | None:
        """The record of the stage in the previous run, or None."""
        return self.previous.record(self.name) if self.previous else None

    def values(self, facts: Names) -> list[str]:
        """The named facts of this refresh."""
        return [self.fact(name) for name in facts]

    def key(self, settings: Names, facts: Names, *functions: Callable[..., object]) -> str:
        """Hash of everything that a value depends on."""
        return self.work.key(self.name, settings=settings, code=functions, facts=self.values(facts))

    def tables(self, names: Names) -> Frames | None:
        """Tables of the previous run; None if no names are given."""
        return self.previous.tables(*names) if self.previous and names else None

    def added_share(self) -> float:
        """Number of samples added since the recorded fit, as a fraction of the fitted samples."""
        assert self.previous is not None and self.record is not None
        fitted = self.previous.fitted_samples(self.name, self.record.fit_id)
        return (len(self.inputs.rows) - fitted) / fitted

    def finish(
        self, fingerprint: str, compute: Callable[[], Frames], *, value_key: str = "", fit_id: str = ""
    ) -> Finished:
        """The result in the work folder under this fingerprint, otherwise a newly computed one."""

        def compute_in(_: Path) -> Frames:
            frames = compute()
            check_result(self.inputs.stage, frames, samples=len(self.inputs.rows))
            return frames

        return self.work.find(self.name, fingerprint, compute_in, value_key=value_key, fit_id=fit_id)
