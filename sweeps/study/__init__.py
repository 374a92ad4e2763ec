"""Studies: what a file names, validated, as runs and cells."""

from sweeps.study.loading import (
    SCALES,
    SHIPPED,
    Source,
    expanded,
    load_studies,
    load_study,
    parse_scenario,
    shipped,
)
from sweeps.study.study import SearchStudy, Studies, Study

__all__ = [
    "SCALES",
    "SHIPPED",
    "SearchStudy",
    "Source",
    "Studies",
    "Study",
    "expanded",
    "load_studies",
    "load_study",
    "parse_scenario",
    "shipped",
]
