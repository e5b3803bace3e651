"""A small lake of this version, kept in `tests/releases` and read by the tests of all later versions.

    python -m tests.support.lakes.released

draws photos, refreshes them with the command `latentlake` and writes `tests/releases/<version>.tar.xz`.
"""

import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.data.own_data import QUICK, draw_files, write_folder
from tests.support.paths import REPOSITORY

RELEASES = REPOSITORY / "tests" / "releases"
PHOTOS = 160
SETTINGS = (
    QUICK
    + """\
model = "test_resnet"
phases = [{ resolution = 32, epochs = 6 }]
lake = "lake"
work_dir = "work"

[dataset]
source = "photos"
name = "Drawn shapes"
groups = { superclass = { angular = ["bar", "square"], round = ["disc", "ring"] } }
"""
)


def write_sources(folder: Path) -> None:
    """Write the photos, in a subfolder for each class, and the settings file into an existing folder."""
    write_folder(folder, draw_files(PHOTOS), below="photos")
    (folder / "latentlake.toml").write_text(SETTINGS)


def pack(folder: Path, archive: Path) -> None:
    """Write photos, settings and lake to an archive; without the work folder, which a new machine lacks too."""
    archive.parent.mkdir(exist_ok=True)
    with tarfile.open(archive, "w:xz") as packed:
        for name in ("latentlake.toml", "photos", "lake"):
            packed.add(folder / name, arcname=name)


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive into a folder and return the folder."""
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder


def main() -> None:
    archive = RELEASES / f"{version('latentlake')}.tar.xz"
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_sources(folder)
        command = shutil.which("latentlake", path=str(Path(sys.executable).parent)) or "latentlake"
        subprocess.run([command, "refresh"], cwd=folder, check=True)
        pack(folder, archive)
    sys.stdout.write(f"{archive.relative_to(REPOSITORY)}: {archive.stat().st_size / 2**20:.1f} MiB\n")


if __name__ == "__main__":
    main()
