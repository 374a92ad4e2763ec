"""Studies: a study file is read and validated, and names runs and cells."""

from sweeps.study.loading import (
    SCALES,
    SHIPPED,
    SUFFIXES,
    Source,
    at_every_scale,
    expanded,
    load_studies,
    load_study,
    parse_modulations,
    parse_scenario,
    run_command,
    shipped,
    study_name,
)
from sweeps.study.study import SearchStudy, Studies, Study

__all__ = [
    "SCALES",
    "SHIPPED",
    "SUFFIXES",
    "SearchStudy",
    "Source",
    "Studies",
    "Study",
    "at_every_scale",
    "expanded",
    "load_studies",
    "load_study",
    "parse_modulations",
    "parse_scenario",
    "run_command",
    "shipped",
    "study_name",
]
