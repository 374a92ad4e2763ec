"""What is read of a class of the user's own from the text of its file, without running it."""

import pytest

from amc_core.errors import AmcError
from amc_core.own import OwnModel

CLASS = """
from typing import Literal, Optional

raise SystemExit("it was run")

class Net:
    min_length: int = 32
    feature_maps = ["features", "more"]

    def __init__(self, classes, length, /, {}):
        pass
"""


def hyperparameters(signature: str):
    return OwnModel("net.Net", {"net.py": CLASS.format(signature)}).spec.hyperparameters


@pytest.mark.parametrize(
    ("signature", "taken", "refused"),
    [
        ("width=4", [1, "8", 1e2], [0.5, True, "wide", None, [4]]),
        ("rate=0.5", [1, "1e-3"], [True, None]),
        ("rate: float = 1", [0.5], ["x"]),
        ("bias=True", [False], [0, "true"]),
        ("mode='mean'", ["any text", "é"], [3, "two\nlines", "\x1b[2J"]),
        ("mode: Literal['mean', 'max'] = 'mean'", ["max"], ["min"]),
        ("*, sizes=(3, 5)", [[7], [], [1, 2, 3]], [[0.5], 3, ["x"]]),
        ("sizes=[0.5]", [[1, 0.25]], [["x"]]),
        ("most: int | None = None", [None, 3], [0.5, "x"]),
        ("most: Optional[float] = 0.1", [None, 3, 0.5], ["x"]),
        ("shift=-1", [-3], [0.5]),
    ],
)
def test_a_default_and_its_annotation_say_what_a_hyperparameter_takes(signature, taken, refused):
    [field] = hyperparameters(signature).values()
    assert all(field.takes(value) for value in [field.default, *taken])
    assert not any(field.takes(value) for value in refused)


@pytest.mark.parametrize(
    "default",
    [
        "None, text: str = None",
        "None, width=int(4)",
        "4, width={}",
        "4, width=[[1]]",
        "4, width=1e999",
        r"4, mode='\n'",
    ],
)
def test_a_default_that_cannot_be_read_or_varied_is_refused(default):
    with pytest.raises(AmcError, match="the default of"):
        hyperparameters(f"most={default}")


def test_attributes_and_the_name_of_the_class_are_read_from_the_text():
    spec = OwnModel("net.Net", {"net.py": CLASS.format("width=4")}).spec
    assert (spec.min_length, spec.any_length, spec.parts) == (32, False, ())
    assert spec.feature_maps == ("features", "more") and spec.epochs and not spec.knows_setting
    assert (spec.name, spec.title, spec.source) == ("net.Net", "net.Net", "net.py")
