from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import EXAMPLES

NOTEBOOK = EXAMPLES / "notebook.ipynb"
HAS_JUPYTER = all(importlib.util.find_spec(name) for name in ("nbclient", "nbformat", "ipykernel"))
CHECK = """
import numpy as np

assert poses.keypoints.shape == (1, 17, 2)
assert poses.scores[0, :5].mean() > 0.5  # the face
assert len(results) == 27
assert len(seen) >= 20
assert max(min(truth), min(angles)) < 120 < 160 < min(truth[:5])
assert np.median(np.abs(np.subtract(angles, truth))) < 6
assert len(plt.get_fignums()) in (0, 3)  # a kernel closes what it has shown
"""


def cells(kind: str) -> list[dict[str, Any]]:
    content = json.loads(NOTEBOOK.read_text())
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    return [cell for cell in content["cells"] if cell["cell_type"] == kind]


def test_outputs_are_stripped() -> None:
    for cell in cells("code"):
        assert (cell["outputs"], cell["execution_count"]) == ([], None)


def test_the_install_line_brings_jupyter() -> None:
    install = "pip install -c constraints.txt . matplotlib jupyterlab"
    assert install in "".join(cells("markdown")[0]["source"])
    assert install in (EXAMPLES.parent / "docs" / "examples.md").read_text()


@pytest.mark.long
def test_runs_as_plain_python(tmp_path: Path) -> None:
    program = "\n\n".join("".join(cell["source"]) for cell in cells("code")) + CHECK
    (tmp_path / "program.py").write_text(program)
    env = {**os.environ, "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=tmp_path, env=env, text=True, capture_output=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
@pytest.mark.skipif(not HAS_JUPYTER, reason="nbclient, nbformat or ipykernel is not installed")
def test_runs_in_jupyter() -> None:
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(CHECK))
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    pictures = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs if "data" in output
    ]
    assert sum("image/png" in output["data"] for output in pictures) == 3
