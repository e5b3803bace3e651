"""latentlake from a notebook or a script: refresh a lake, and ask its runs with polars.

import latentlake

latentlake.refresh(preset="smoke", lake="data/lake")
run = latentlake.open("data/lake").run("latest")
run.scan("predictions").filter(pl.col("loss") > 2).collect()
"""

from typing import Any

from lake import open as open
from lake.errors import UserError as UserError
from lake.store import Run


def refresh(settings: Any = None, *, dataset: Any = None, **values: Any) -> Run:
    """Compute what is missing, publish it and return the run that readers now see.

    `settings` are those of `pipeline.settings.load_settings`, or values by name: `refresh(preset="smoke", seed=1)`.
    `dataset`, a `pipeline.datasets.Dataset`, stands in for the one they name. Raises `UserError`, also where the
    training packages are missing.
    """
    try:
        from pipeline.progress import Progress
        from pipeline.refresh import refresh as refresh_lake
        from pipeline.settings import load_settings
    except ImportError as error:
        raise UserError(f"A refresh needs the training packages ({error}): pip install '.[train]'.") from error
    chosen = load_settings(**values) if settings is None else settings
    outcome = refresh_lake(chosen, Progress(), dataset=dataset)
    return open(chosen.lake).run(outcome.run_id)
