"""The notebooks under examples/, run from the first cell to the last as a reader would."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted(Path(__file__).parents[1].glob("examples/*.ipynb"))


def outputs(cell) -> str:
    return "".join(str(output.get("text", "")) + str(output.get("data", "")) for output in cell.get("outputs", ()))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_what_is_committed_has_no_outputs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    assert not any(outputs(cell) for cell in notebook.cells)
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    told = {cell.source.splitlines()[0]: outputs(cell) for cell in notebook.cells if cell.cell_type == "code"}
    assert "2 of 2 runs and 12 of 12 cells are missing" in told["study = {"]
    assert "4 of 6 runs and 24 of 36 cells are missing" in told["larger = study | {"]
    [first, second] = [text for source, text in told.items() if source.startswith("outcome = run(")]
    assert "runs 2/2 · cells 12/12" in first and "complete, runs 2, trained 2" in first
    assert "'trained': 6" in second and "'failures': 0" in second
    assert "image/png" in told["outcome.figure()"]
