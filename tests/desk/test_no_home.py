"""A user without a name, a home or a place in the packages' folders to write to, as in a container."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from numba.core.caching import UserProvidedCacheLocator

from lake.storage.store import Lake
from tests.support.data.external import external_table
from tests.support.data.own_data import QUICK
from tests.support.processes.python import VARIABLES

pytestmark = [pytest.mark.root, pytest.mark.long]
NOBODY = 54321
READS_ALL = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
"""Whoever runs the tests may have python and packages in a folder of their own."""
SETTINGS = f"""
{QUICK}
lake = "published"
work_dir = "work"
[dataset]
source = "said.parquet"
predictions = {{}}
"""
COMPILED_ANEW = "smooth_knn_dist"
"""A function of UMAP that takes seconds to compile; all functions take a minute."""


def copy_compiled(cache: Path) -> None:
    """Copy what numba has compiled beside the packages into its cache, except one function."""
    for name in ("pynndescent", "umap"):
        source = Path(str(find_spec(name).origin))  # type: ignore[union-attr]
        place = cache / UserProvidedCacheLocator.get_suitable_cache_subpath(str(source))
        place.mkdir(parents=True)
        for file in source.parent.glob("__pycache__/*.nb[ci]"):
            if f".{COMPILED_ANEW}-" not in file.name:
                shutil.copy2(file, place)


def as_nobody(*command: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run python as a user who may read everything and write nothing but the folder."""
    known = ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_CACHE_HOME", "NUMBA_CACHE_DIR", "MPLCONFIGDIR")
    variables = {name: value for name, value in os.environ.items() if name not in known}
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *READS_ALL]
    return subprocess.run(
        [*become, sys.executable, *command],
        cwd=folder,
        env=variables | {"PYTHONPATH": VARIABLES["PYTHONPATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def desk() -> Iterator[Path]:
    """A folder of theirs with predictions and settings; those of pytest are closed to them."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if (
            os.getuid() != 0
            or shutil.which("setpriv") is None
            or as_nobody("-c", "import numpy", folder=folder).returncode
        ):
            pytest.skip("only root becomes another user who may read all files, with setpriv of util-linux")
        external_table(120).drop("image").write_parquet(folder / "said.parquet")
        (folder / "said.toml").write_text(SETTINGS)
        copy_compiled(folder / "work" / "cache" / "numba")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, NOBODY, NOBODY)
        yield folder


def test_a_refresh_is_published_with_caches_in_the_work_folder(desk: Path) -> None:
    done = as_nobody("-m", "pipeline.cli", "refresh", "--config", "said.toml", folder=desk)
    assert done.returncode == 0, done.stderr[-2000:]
    assert Lake(desk / "published").run().run_id == done.stdout.strip()
    assert list((desk / "work" / "cache" / "numba").rglob(f"*.{COMPILED_ANEW}-*.nbi"))
    assert "temporary cache directory" not in done.stderr, "as matplotlib makes one where it has none"
