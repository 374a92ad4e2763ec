"""Loading a study: from a name, a file, a text or a dictionary to a validated study at a scale."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from fnmatch import filter as matching
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from pydantic import ValidationError

from amc_core import paths
from amc_core.errors import AmcError, require_known, suggest
from amc_core.models import model_spec
from amc_core.modulations import MODULATIONS, modulation_names
from amc_core.scenario import AUGMOD, AUGMOD_OFFSETS, CHANNELS, FILE_FIELDS, SCENARIO_FIELDS, Scenario
from sweeps.study.alternatives import front_ends
from sweeps.study.code import Code, read_code
from sweeps.study.file import StudyFile, parse_yaml, read_content, require_content, sentence, text_content, validated
from sweeps.study.grid import digests_of
from sweeps.study.space import Space, read_space
from sweeps.study.study import SCALED, SearchStudy, Studies, Study, strided

Source = str | Path | Mapping | Study  # of a study: see `load_study`

SUFFIXES = (".yaml", ".yml")  # of study files
SHIPPED = Path(__file__).parents[1] / "studies"

# What `--scale` sets unless the study has a `scales` entry of that name (`proposals` applies to a search); `paper` is
# that of P1 §IV-C.
# `small` and `medium` have smaller batches, since few instances in the paper's batches would be too few steps to learn
# anything. snr_stride: 4 takes every fourth of the study's SNRs, including the last. recipe: fields where the study's
# recipe has none; new instances every epoch make of few what more of the same would.
SCALES = {
    "smoke": {"instances": 10, "snr_stride": 4, "epochs": 1, "proposals": 3},
    "small": {"instances": 100, "epochs": 20, "batch_size": 64},
    "medium": {
        **{"instances": 200, "snr_stride": 2, "epochs": 20, "batch_size": 64},
        "recipe": {"fresh": True, "schedule": "cosine", "keep": "last"},
    },
    "paper": {"instances": 1000, "epochs": 80},
}

_UNNAMED = "the study"  # name of a text or a dictionary in messages


def load_study(source: Source, scale: str | None = None) -> Study:
    """Read and validate a study.

    source: the path of a study file, the name of a shipped study, the text of a study file, or its content as a
    dictionary, in which tuples, ranges and NumPy arrays count as lists. Paths in a text or a dictionary start from the
    working directory, and the study is named "study". A `Study` is returned unchanged.
    Raises AmcError that names the file, the field, the value and what is allowed, with a line for each mistake.
    """
    if isinstance(source, Study):
        return source
    content, name, folder, where = _content(source)
    try:
        code = read_code(content.get("code", ()), folder)
        space = read_space(content, code)
        if space.dimensions:
            return _search_study(name, space, folder, code, scale)
        study = _at_scale(name, [validated(content, folder, code)], scale)
        for run in study.runs():
            study.tests(run)
        _require_starts(study.file)
    except ValidationError as error:
        raise AmcError(f"{where}: {_shortened(sentence(error))}") from None
    except AmcError as error:
        raise AmcError(f"{where}: {_shortened(str(error))}") from None
    return study


def load_studies(sources: Source | Sequence[Source], scale: str | None = None) -> Study | Studies:
    """A study from any source that `load_study` takes, or several studies as one.

    A pattern, such as p1-*, names all shipped studies that match. Raises AmcError as `load_study` does, if nothing
    matches a pattern, and if a search is one of several studies.
    """
    if isinstance(sources, Studies):
        return sources
    several = isinstance(sources, Sequence) and not isinstance(sources, str)
    studies = [load_study(source, scale) for source in expanded(list(sources) if several else [sources])]
    if len(studies) == 1:
        return studies[0]
    for study in studies:
        if isinstance(study, SearchStudy):
            raise AmcError(f"{study.name} is a search: it has to be run without other studies")
    return Studies(tuple(studies))


def expanded(sources: list[Source]) -> list[Source]:
    """The sources, and the shipped studies that match a pattern, each once. Raises AmcError if nothing matches."""
    if not sources:
        raise AmcError(f"no study is named (known: {', '.join(shipped())})")
    studies: list[Source] = []
    for source in sources:
        matches = [source]
        if isinstance(source, str) and set(source) & set("*?[") and not (_is_text(source) or Path(source).exists()):
            matches = matching(shipped(), source)
            if not matches:
                message = f"no shipped study is named like {source!r}; a pattern matches names of shipped studies"
                raise AmcError(message + suggest(source, shipped()))
        studies += [match for match in matches if not (isinstance(match, str) and match in studies)]
    return studies


def _content(source: Source) -> tuple[dict, str, Path, str]:
    """The content of a study, its name, the folder that its paths start from, and its name in messages."""
    if isinstance(source, Mapping):
        return require_content(_plain(source), _UNNAMED), "study", Path.cwd(), _UNNAMED
    if isinstance(source, str) and _is_text(source):
        return text_content(source, _UNNAMED), "study", Path.cwd(), _UNNAMED
    if not isinstance(source, str | Path):
        raise AmcError(f"{source!r} is not a study: give a path, the name of a shipped study, YAML or a dictionary")
    try:
        path = _find(str(source))
    except (OSError, ValueError) as error:
        known = isinstance(error, AmcError)
        raise (
            error if known else AmcError(f"study {str(source)[:80]!r} is not allowed: it has to be the path of a file")
        ) from None
    return read_content(path), study_name(path), path.absolute().parent, str(path)


def at_every_scale(source: Source, scale: str | None = None) -> list[Study]:
    """A study as it is written and at each scale that it can be run at, or only at `scale` if it is given.

    Raises AmcError as `load_study` does.
    """
    if scale is not None:
        return [load_study(source, scale)]
    written = load_study(source)
    studies = [written]
    for name in dict.fromkeys([*SCALES, *written.file.scales]):
        with suppress(AmcError):  # the study has no runs at this scale
            studies.append(load_study(source, name))
    return studies


def _is_text(source: str) -> bool:
    """Is this the text of a study, and not a path or a name?"""
    return "\n" in source or re.match(r"\s*(\{|\w+:\s)", source) is not None


def _plain(value: Any) -> Any:
    """A value with tuples, arrays, paths and the like converted to the types that YAML has."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | range):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return str(value) if isinstance(value, PurePath) else value


def _require_starts(file: StudyFile) -> None:
    """Raise AmcError for a stage of transfer that no model of the study can start."""
    trained = {model.name for model in file.models if model_spec(model.name).epochs}
    for index, stage in enumerate(file.transfer):
        if not trained & set(stage.models or trained):
            raise AmcError(f"transfer.{index}: no run can start this stage: the study trains none of its models")


def parse_scenario(text: str, files: Sequence[str | Path] = ()) -> Scenario:
    """A scenario of a command line: the name of a channel or of a shipped scenario, or fields in YAML's braces.

    files: Python files, all in one folder, whose functions may be its front end. Raises AmcError.
    """
    named = {name: Scenario(channel=name) for name in CHANNELS} | {"augmod": AUGMOD, "augmod_offsets": AUGMOD_OFFSETS}
    if text in named:
        return named[text]
    try:
        fields = parse_yaml(text)
    except AmcError as error:
        raise AmcError(f"scenario {text!r} is not YAML: {error}") from None
    if not isinstance(fields, dict):
        fields_form = "fields are written '{upsampling: 4}'"
        raise AmcError(f"scenario {text!r} is not known{suggest(text, named)}; {fields_form}")
    require_known("scenario field", fields, SCENARIO_FIELDS)
    given = {name: str(paths.expanded(fields[name])) for name in FILE_FIELDS if isinstance(fields.get(name), str)}
    if "front_end" in fields:
        folder = Path(files[0]).parent if files else Path.cwd()
        several = front_ends(fields["front_end"], read_code([Path(file).name for file in files], folder))
        if len(several) != 1:
            raise AmcError(f"front_end {fields['front_end']!r} is not allowed here: give one value of each parameter")
        given["front_end"] = several[0]
    return Scenario(**fields | given)


def parse_modulations(text: str) -> tuple[str, ...]:
    """Modulations of a command line: a name, a set, names separated by commas, or a list in YAML. Raises AmcError."""
    if not text.lstrip().startswith(("[", "{")):
        several = "," in text or text in MODULATIONS
        return modulation_names([name.strip() for name in text.split(",")] if several else text)
    try:
        content = parse_yaml(text)
    except AmcError as error:
        raise AmcError(f"modulations {text!r} are not YAML: {error}") from None
    return modulation_names(content if isinstance(content, list) else [content])


def _search_study(name: str, space: Space, folder: Path, code: Code, scale: str | None) -> SearchStudy:
    files = []
    for words, values in space.ends():
        try:
            files.append(validated(space.fill(values), folder, code))
        except ValidationError as error:
            raise AmcError(f"{words}{sentence(error)}") from None
    first, proposals = _at_scale(name, files, scale), _sizes(files[0], scale).get("proposals")
    digests = digests_of(grid for file in files for grid in file.grids)
    study = SearchStudy(**first.__dict__, space=space, folder=folder, scaled_proposals=proposals, digests=digests)
    study.require_searchable()
    return study


def _at_scale(name: str, files: list[StudyFile], scale: str | None) -> Study:
    """The first of the files as a study at a scale.

    Epochs and batch sizes are scaled so that the largest of each over all files has the scale's value.
    """
    file, sizes = files[0], _sizes(files[0], scale)
    recipes = [SCALED | fields | model.recipe for file in files for model in file.models for fields in file.recipe]
    most = {name: max(fields[name] for fields in recipes) for name in SCALED}
    factors = {name: sizes[name] / most[name] for name in SCALED if name in sizes}
    stride = sizes.get("snr_stride", 1)
    snrs = strided(file.snr_db, stride)
    instances, recipe = sizes.get("instances", file.instances), sizes.get("recipe", {})
    return Study(name, file, scale, instances, snrs, factors, stride, recipe)


def _sizes(file: StudyFile, scale: str | None) -> dict[str, Any]:
    """What a scale sets: `SCALES` updated by the study's own entry of that name; {} without a scale."""
    sizes = {key: dict(values) for key, values in SCALES.items()}
    for key, section in file.scales.items():
        sizes.setdefault(key, {}).update(section.model_dump(exclude_none=True))
    if scale is None:
        return {}
    require_known("scale", [scale], sizes)
    return sizes[scale]


def _find(name: str) -> Path:
    for path in (paths.expanded(name), SHIPPED / f"{name}.yaml"):
        if path.is_file():
            return path
    beside = [f"{name}{suffix}" for suffix in SUFFIXES if Path(f"{name}{suffix}").is_file()]
    hint = f"; did you mean {beside[0]!r}?" if beside else suggest(name, shipped())
    raise AmcError(f"study {name!r} is neither a file nor a shipped study{hint}")


def run_command(study: str, store: str | Path, scale: str | None = None) -> str:
    """The shell command that computes a study."""
    return shlex.join(["amc", "run", study, *(["--scale", scale] if scale else []), "--store", str(store)])


def study_name(source: str | Path) -> str:
    """The name of a study: that of a shipped study, or that of a file without .yaml or .yml."""
    path = Path(source)
    return path.stem if path.suffix in SUFFIXES else path.name


def shipped() -> list[str]:
    """The names of the studies that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def _shortened(message: str) -> str:
    lines = message.split("\n")
    return "\n".join(line if len(line) <= 600 else f"{line[:400]} … {line[-190:]}" for line in lines)
