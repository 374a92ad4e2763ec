"""The numbers in the two papers, and the rows of our tables that are their counterparts.

P1: Perenda et al., INFOCOM 2021. P2: Courtat and du Mas des Bourboux, ISNCC 2021. Accuracies, drops and gains are
fractions; the papers' "%" of a drop or a gain are points of accuracy (80.4 % down to 53.11 % is a drop of 27.29 %).
The numbers are data: `sweeps/studies/published/<study>.yaml` has those whose counterpart that study computes.
`analysis.compare` compares our results with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from sweeps.study import SHIPPED

QUANTITIES = {
    "accuracy": "accuracy, over all SNRs and seeds",
    "drop": "accuracy of `against` minus accuracy of `rows`",
    "gain": "accuracy of `rows` minus accuracy of `against`",
    "relative_gain": "accuracy of `rows` over accuracy of `against`, minus 1",
    "snr_gain": "dB by which `rows` reach the same accuracies at a lower SNR than `against`: the mean over accuracies",
    "largest_snr_gain": "the largest of these",
    "parameters": "trained parameters",
    "parameter_ratio": "parameters of `against` over parameters of `rows`",
    "speed_ratio": "instances trained a second: `rows` over `against`",
    "epoch_seconds": "duration of an epoch of `instances`",
    "offset": "the smallest tested |Δf| at which `share` of the accuracy above chance is lost",
}

Filters = Mapping[str, Any]  # column of a table → the value of its rows, or a list of all their values
_NO_STUDY = "no-study"  # the file of numbers without a counterpart in our studies


@dataclass(frozen=True)
class Published:
    """A number in a paper.

    value: as in the paper, % as fractions. bound: "about" this value, "at most" or "at least". place: section, table or
    figure of the paper. quote: its words. study: the study with our counterpart, None if there is none. rows, against:
    column → value or values of the cells (of the runs, for parameters); all of these values must occur. over: the
    column for each of whose values the quantity is computed; the largest is compared ("up to"). tolerance: how far our
    interval may be off, because of the paper's rounding or its "c.". note: our reading of ambiguous words.
    """

    what: str
    value: float
    paper: str
    place: str
    quote: str
    study: str | None
    quantity: str
    rows: Filters = field(default_factory=dict)
    against: Filters = field(default_factory=dict)
    over: str | None = None
    bound: str = "about"
    tolerance: float = 0.005
    share: float = 0.0
    instances: int = 0
    note: str = ""


def read_published(folder: Path = SHIPPED / "published") -> tuple[Published, ...]:
    """The numbers of all files in a folder; each file has the name of its study."""
    numbers = []
    for path in sorted(folder.glob("*.yaml")):
        study = None if path.stem == _NO_STUDY else path.stem
        numbers += [Published(study=study, **entry) for entry in yaml.safe_load(path.read_text(encoding="utf-8"))]
    return tuple(numbers)


PUBLISHED = read_published()
