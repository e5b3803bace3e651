"""Check, in an environment with the wheel and no extra, that the app starts and `refresh` names what is missing.

Does not need pytest.
"""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from streamlit.testing.v1 import AppTest

import streamlit_app

REPOSITORY = Path(__file__).parents[3]  # the package `tests` cannot be imported there
COMMAND = Path(sys.executable).parent / "latentlake"
SCRIPT = Path(streamlit_app.__file__)
MISSING = ("torch", "timm", "hdbscan", "umap")


def main() -> None:
    """Exit with 0 if everything holds."""
    present = [name for name in MISSING if importlib.util.find_spec(name)]
    assert not present, f"this environment has {present}: run it without the train extra"
    assert not SCRIPT.is_relative_to(REPOSITORY), f"{SCRIPT} is no wheel's: pip install dist/*.whl"
    with tempfile.TemporaryDirectory() as folder:
        command = [str(COMMAND), "refresh", "--lake", "lake"]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert result.returncode == 1, result
        assert "pip install '.[train]'" in result.stderr, result.stderr
        assert "Traceback" not in result.stderr, result.stderr
    app = AppTest.from_file(str(SCRIPT), default_timeout=30).run()
    assert not app.exception, app.exception
    assert "latentlake refresh" in app.code[0].value
    sys.stdout.write("the app runs from the wheel without the train extra\n")


if __name__ == "__main__":
    main()
