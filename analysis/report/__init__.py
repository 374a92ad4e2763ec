"""The report of a study: one self-contained HTML file with its counts and the page that shows them.

`page/page.html` is the frame, `page/page.css` the style and `page/*.js` the behaviour; all go into the file, together
with the data as JSON. Arrays in it are deflated, see `data.packed`.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from string import Template

import numpy as np

from amc_core.errors import AmcError
from amc_core.identity import VERSION
from amc_core.statistics import normal, student
from analysis.report.data import study_data
from analysis.results import Results
from sweeps.store import Store
from sweeps.study import SCALES, SUFFIXES, Study, load_study, shipped

__all__ = ["held_studies", "study_data", "write"]

# Characters that the confusion counts of a page may take; if those of a study do not fit, they are left out.
LARGEST_CONFUSION = 10_000_000

_MOST_SEEDS = 100  # up to which the page has Student's quantiles; beyond, they are nearly equal

_PAGE = Path(__file__).parent / "page"
_SCRIPTS = ("data.js", "map.js", "curves.js", "search.js", "page.js")


def write(path: str | Path, store: str | Path, studies: Sequence[tuple[str, Study]], limit: bool = False) -> Path:
    """Write the report of studies as one HTML file, and return its path.

    store: directory. studies: the name of each on the command line (a path or a shipped name), and the study. limit:
    draw the upper bound of any classifier over SNR if it is known. Raises AmcError for a study without cells in the
    store.
    """
    room, contents = LARGEST_CONFUSION, []
    for name, study in studies:
        contents.append(study_data(name, Results(study, store), room, limit))
        room -= sum(len(pack["data"]) for pack in contents[-1]["confusion"] or ())
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_page(contents), encoding="utf-8")
    return path


def held_studies(store: str | Path, scale: str | None = None) -> list[tuple[str, Study]]:
    """The shipped studies, and the study files in the working directory, of which a store holds cells.

    Each is taken at `scale`; without it, at every scale at which the store holds cells. As in `write`, a study comes
    with its name on the command line. Raises AmcError if there is none.
    """
    store, taken = Store(store), {}
    listing = store.listing()
    present = listing.trained()
    for name in (*shipped(), *(str(path) for path in sorted(Path().iterdir()) if path.suffix in SUFFIXES)):
        try:
            written = load_study(name, scale)
        except AmcError:  # some other YAML file, or a study without such a scale
            continue
        scales = [] if scale else sorted({*SCALES, *written.file.scales})
        for study in (written, *(load_study(name, other) for other in scales)):
            study = Results(study, store).study
            tests_of = {run.key: {test.key for test in study.tests(run)} for run in study.runs()}
            runs = [key for key in tests_of if key in present]
            held = any(there & tests_of[key] for key, there in zip(runs, listing.tested(runs), strict=True))
            # Of two scales with the same runs and tests, the first is taken.
            identity = frozenset((key, frozenset(tests)) for key, tests in tests_of.items())
            if held and identity not in taken:
                taken[identity] = name, study
    if not taken:
        raise AmcError(
            f"store {str(store.path)!r} holds no cells of a shipped study or of a study file in this directory"
        )
    return list(taken.values())


def _page(studies: list[dict]) -> str:
    frame, style, *scripts = (
        (_PAGE / name).read_text(encoding="utf-8") for name in ("page.html", "page.css", *_SCRIPTS)
    )
    script = "\n".join(scripts)
    quantiles = {"normal": normal(0.95), "student": student(np.arange(1, _MOST_SEEDS), 0.95).tolist()}
    content = quantiles | {
        "version": _version(),
        "definitions": VERSION,
        "largest": LARGEST_CONFUSION,
        "studies": studies,
    }
    # "<" is escaped, so that no text of a study can end its HTML element.
    data = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    title = "Report: " + ", ".join(dict.fromkeys(study["name"] for study in studies))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template(frame).substitute(
        title=html.escape(title if len(title) < 80 else title[:79] + "…"),
        policy=f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'",
        style=style,
        data=data,
        script=script,
    )


def _version() -> str:
    try:
        return version("amc-sweeps")
    except PackageNotFoundError:  # the package runs from its source files
        return "not installed"
