"""Run in an environment without the `train` extra: the app starts, `refresh` says what is missing. No pytest needed."""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from streamlit.testing.v1 import AppTest

REPOSITORY = Path(__file__).parent.parent
MISSING = ("torch", "timm", "hdbscan", "umap")


def main() -> None:
    """Exit 0 when all of it holds."""
    present = [name for name in MISSING if importlib.util.find_spec(name)]
    assert not present, f"this environment has {present}: run it without the train extra"
    with tempfile.TemporaryDirectory() as lake:
        command = [sys.executable, "-m", "pipeline.cli", "refresh", "--lake", lake]
        result = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert result.returncode == 1, result
        assert "pip install '.[train]'" in result.stderr, result.stderr
        assert "Traceback" not in result.stderr, result.stderr
    app = AppTest.from_file(str(REPOSITORY / "streamlit_app.py"), default_timeout=30).run()
    assert not app.exception, app.exception
    assert "latentlake refresh" in app.code[0].value
    sys.stdout.write("the app runs without the train extra\n")


if __name__ == "__main__":
    main()
