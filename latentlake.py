"""latentlake from a notebook or a script: refresh a lake, and ask its runs with polars.

import latentlake

latentlake.refresh(dataset="photos", lake="data/lake")
run = latentlake.open("data/lake").run("latest")
run.scan("predictions").filter(pl.col("loss") > 2).collect()
"""

from typing import Any

import latentlake_packages

latentlake_packages.load("lake")

from lake import open as open  # noqa: E402
from lake.errors import UserError as UserError  # noqa: E402
from lake.storage.places import find_file  # noqa: E402
from lake.storage.store import Run  # noqa: E402


def refresh(config: Any = None, *, dataset: Any = None, **values: Any) -> Run:
    """Compute what is missing, publish it and return the run that readers now see.

    `config` is the path of a settings file or a dict as in one, `dataset` a dict as its section [dataset] or the path
    of its source, and `values` are any other settings: `refresh(dataset="photos", preset="smoke", seed=1)`. Both may
    be objects of the pipeline, a `Settings` and a `Dataset`. Without `config`, a `latentlake.toml` in the working
    folder, or the file that `LATENTLAKE_CONFIG` names, counts as for the command.

    Raises `UserError` with what to do, also where the training packages are missing.
    """
    try:
        latentlake_packages.load("pipeline")
    except ImportError as error:
        raise UserError(str(error)) from error
    from pipeline.commands.python_use import read_arguments, refresh_here

    settings, whole = read_arguments(config, dataset, values)
    try:
        run_id = refresh_here(settings, whole, settings_file=find_file() if config is None else None)
    except ImportError as error:
        raise UserError(f"A refresh needs the training packages ({error}): pip install '.[train]'.") from error
    return open(settings.lake).run(run_id)
