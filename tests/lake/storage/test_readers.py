"""Somebody who reads the latest run again and again while others are published and removed never sees half of one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lake.storage.gc import Retention, collect_garbage
from lake.storage.store import Lake
from tests.support.lakes.readers import READER
from tests.support.lakes.tiny_lake import build_tiny_lake
from tests.support.paths import REPOSITORY

PUBLISHES, SAMPLES = 20, 40


@pytest.mark.long
def test_twenty_publishes_tear_no_read_and_break_none(tmp_path: Path) -> None:
    lake, stop, told = Lake(tmp_path / "lake"), tmp_path / "stop", tmp_path / "told"
    ids = [f"202601{day:02d}-000000-aaaaaa" for day in range(1, PUBLISHES + 2)]
    build_tiny_lake(lake.root, run_id=ids[0], samples=SAMPLES)
    command = [sys.executable, "-c", READER, lake.root, str(stop), str(told)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as reader:
        while not told.exists() and reader.poll() is None:
            pass
        for number, run_id in enumerate(ids[1:], start=1):
            build_tiny_lake(lake.root, run_id=run_id, samples=SAMPLES)
            if number % 5 == 0:
                collect_garbage(lake, Retention(runs=3, days=0, hours=24), alone=True)
        stop.touch()
        output, _ = reader.communicate(timeout=60)
    found = json.loads(output)
    assert (found["torn"], found["errors"]) == ([], [])
    assert found["reads"] >= PUBLISHES and found["seen"] == sorted(found["seen"]) and len(found["seen"]) > 5
    assert lake.runs()["run_id"].to_list() == ids[:-4:-1]
    assert lake.run().verify() > 0
