"""The pictures of docs/, drawn again from the tables committed there."""

import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.figures import save

DOCS = Path(__file__).parents[2] / "docs"
PICTURES = runpy.run_path(str(DOCS / "pictures.py"))["PICTURES"]


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"), float)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_of_the_documentation_is_what_its_table_gives(name, tmp_path):
    [path] = save(PICTURES[name](), tmp_path / name, ["png"])
    ours, committed = pixels(path), pixels(DOCS / f"{name}.png")
    assert ours.shape == committed.shape
    difference = np.abs(ours - committed).max(-1)
    assert (difference > 32).mean() < 0.002  # another version of Matplotlib or FreeType moves an edge here and there
