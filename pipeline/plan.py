"""How a stage comes to its tables: found in the work folder, taken over from the run before, or computed.

A fingerprint says what a stage is computed from. Three kinds of stages take over what the run before knows: those that
measure each sample by itself, those that fit all samples once and add later ones, and those about such a fit.
"""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from pipeline.before import Before, Record
from pipeline.workspace import Finished, Frames, Workspace, hash_facts

Code = tuple[ModuleType, ...]
Names = tuple[str, ...]
MOST_ADDED = 0.1
"""Share of samples that may be added to a fit before it is made anew."""


class Plan:
    """The stages of one refresh, in one work folder, after the run before if there is one."""

    def __init__(self, work: Workspace, before: Before | None, *, samples: int) -> None:
        self._work, self._before, self._samples = work, before, samples

    def whole(
        self, name: str, compute: Callable[[], Frames], *, settings: Names = (), code: Code, inputs: Names
    ) -> Finished:
        """A stage that is computed at once."""
        key = self._work.key(name, settings=settings, code=code, inputs=inputs)
        return self._work.find(name, key, lambda _: compute())

    def by_row(
        self,
        name: str,
        compute: Callable[[Frames | None], Frames],
        *,
        settings: Names = (),
        code: Code,
        of: Names,
        rows: Names,
        knows: Names,
    ) -> Finished:
        """A stage that measures each sample: `of` is what a value depends on besides the sample, `rows` names them.

        `compute` gets the tables `knows` of the run before, if that measured under the same settings, code and `of`.
        """
        row_key = self._work.key(name, settings=settings, code=code, inputs=of)
        record = self._record(name)
        takes = knows if record and record.row_key == row_key else ()
        fingerprint = hash_facts([row_key, rows])
        return self._work.find(name, fingerprint, lambda _: compute(self._tables(takes)), row_key=row_key)

    def fitted(
        self,
        name: str,
        fit: Callable[[Frames | None], Frames],
        extend: Callable[[Frames], Frames],
        *,
        settings: Names,
        code: Code,
        of: Names,
        rows: Names,
        knows: Names,
        follows: bool = False,
    ) -> Finished:
        """A stage that fits all samples: later ones are added by `extend`, until they are a tenth.

        One that `follows` fits to lie as the run before does, whatever that was fitted to, and gets its tables.
        """
        row_key = self._work.key(name, settings=settings, code=code, inputs=of)
        record = self._record(name)
        goes_on = record is not None and record.row_key == row_key and self._added(name, record) <= MOST_ADDED
        whole = hash_facts([row_key, rows])
        number = record.fit if record and goes_on else hash_facts([whole, record.fit if record and follows else None])
        tables = self._tables(knows if record and (goes_on or follows) else ())

        def compute(_: Path) -> Frames:
            return extend(tables) if goes_on and tables is not None else fit(tables)

        return self._work.find(name, hash_facts([whole, number]), compute, row_key=row_key, fit=number)

    def about(
        self,
        name: str,
        compute: Callable[[], Frames],
        carry: Callable[[Before], Frames],
        *,
        settings: Names = (),
        code: Code,
        inputs: Names,
    ) -> Finished:
        """A stage about a fit, that stays as it was while the fit does: then `carry` reads it from the run before."""
        key = self._work.key(name, settings=settings, code=code, inputs=inputs)
        before, record = self._before, self._record(name)
        same = record is not None and record.fingerprint == key
        return self._work.find(name, key, lambda _: carry(before) if before and same else compute())

    def training(self, name: str, train: Callable[[Path], Frames], *, wanted: str, keep: bool) -> Finished:
        """The training `wanted`, or that of the run before; one that the lake holds is not done again."""
        before, record = self._before, self._record(name)
        fingerprint = record.fingerprint if record and keep else wanted

        def compute(folder: Path) -> Frames:
            if before and record and record.fingerprint == fingerprint:
                return before.restore_training(name, folder)
            return train(folder)

        return self._work.find(name, fingerprint, compute, row_key=fingerprint)

    def _record(self, name: str) -> Record | None:
        return self._before.record(name) if self._before else None

    def _tables(self, names: Names) -> Frames | None:
        return self._before.tables(*names) if self._before and names else None

    def _added(self, name: str, record: Record) -> float:
        """Share of samples that came since the fit was made."""
        fitted = self._before.fitted_samples(name, record.fit) if self._before else self._samples
        return (self._samples - fitted) / fitted
