"""Studies: what a file names, validated, as runs and cells."""

from sweeps.study.loading import (
    SCALES,
    SHIPPED,
    SUFFIXES,
    expanded,
    load_studies,
    load_study,
    parse_scenario,
    run_command,
    shipped,
    study_name,
)
from sweeps.study.study import SearchStudy, Studies, Study, last_runs, unseen_tests

__all__ = [
    "SCALES",
    "SHIPPED",
    "SUFFIXES",
    "SearchStudy",
    "Studies",
    "Study",
    "expanded",
    "last_runs",
    "load_studies",
    "load_study",
    "parse_scenario",
    "run_command",
    "shipped",
    "study_name",
    "unseen_tests",
]
