"""From the name of a study, a file or a text to a validated study at a scale."""

from __future__ import annotations

from fnmatch import filter as matching
from pathlib import Path

from pydantic import ValidationError

from amc_core.errors import AmcError, require_known, suggest
from amc_core.models import MODELS
from amc_core.scenario import AUGMOD, AUGMOD_OFFSETS, CHANNELS, SCENARIO_FIELDS, Scenario
from sweeps.study.file import StudyFile, parse_yaml, read_content, sentence, validated
from sweeps.study.space import Space, read_space
from sweeps.study.study import SCALED, SearchStudy, Studies, Study, strided

SHIPPED = Path(__file__).parents[1] / "studies"

# What `--scale` sets (trials of a search only) where the study has no `scales` entry of that name; `paper` is P1 §IV-C.
# Few instances in batches of the paper's size would be too few steps to learn anything. snr_stride: 4 takes every
# fourth of the study's SNRs, the last one among them.
SCALES = {
    "smoke": {"instances": 10, "snr_stride": 4, "epochs": 1, "trials": 3},
    "small": {"instances": 100, "epochs": 20, "batch_size": 64},
    "paper": {"instances": 1000, "epochs": 80},
}


def load_study(name: str, scale: str | None = None) -> Study:
    """Read and validate a study: a path, or the name of one that is shipped with the package.

    Raises AmcError with one sentence that names the file, the field, the value and what is allowed.
    """
    try:
        path = _find(name)
    except (OSError, ValueError) as error:
        raise (
            error if isinstance(error, AmcError) else AmcError(f"study {name[:80]!r} is not the name of a file")
        ) from None
    content = read_content(path)
    try:
        space, folder = read_space(content), path.absolute().parent
        if space.dimensions:
            return _search_study(path.stem, space, folder, scale)
        study = _at_scale(path.stem, [validated(content, folder)], scale)
        for run in study.runs():
            study.tests(run)
        _require_starts(study.file)
    except ValidationError as error:
        raise AmcError(f"{path}: {_shortened(sentence(error))}") from None
    except AmcError as error:
        raise AmcError(f"{path}: {_shortened(str(error))}") from None
    return study


def load_studies(names: list[str], scale: str | None = None) -> Study | Studies:
    """The study of that name, or all of several as one; a pattern, such as p1-*, names the shipped ones that match.

    Raises AmcError as `load_study` does, where nothing matches, and for a search among others.
    """
    studies = [load_study(name, scale) for name in expanded(names)]
    if len(studies) == 1:
        return studies[0]
    for study in studies:
        if isinstance(study, SearchStudy):
            raise AmcError(f"{study.name} is a search: name it without other studies")
    return Studies(tuple(studies))


def expanded(names: list[str]) -> list[str]:
    """The names, and the shipped ones that match a pattern, each once. Raises AmcError where nothing matches."""
    found: dict[str, None] = {}
    for name in names:
        plain = not set(name) & set("*?[") or Path(name).exists()
        matches = [name] if plain else matching(shipped(), name)
        if not matches:
            told = f"no shipped study is named like {name!r}, and patterns are of their names"
            raise AmcError(told + suggest(name, shipped()))
        found |= dict.fromkeys(matches)
    return list(found)


def _require_starts(file: StudyFile) -> None:
    """Raise AmcError for a stage of transfer that no model of the study can start."""
    trained = {name for name, _ in file.models if MODELS[name].epochs}
    for place, stage in enumerate(file.transfer):
        if not trained & set(stage.models or trained):
            raise AmcError(f"transfer.{place}: no run above can start it: the study has none of its models")


def parse_scenario(text: str) -> Scenario:
    """A scenario as it stands on a command line: a channel, a shipped scenario, or fields in YAML's braces."""
    named = {name: Scenario(channel=name) for name in CHANNELS} | {"augmod": AUGMOD, "augmod_offsets": AUGMOD_OFFSETS}
    if text in named:
        return named[text]
    try:
        fields = parse_yaml(text)
    except AmcError as error:
        raise AmcError(f"scenario {text!r} is not YAML: {error}") from None
    if not isinstance(fields, dict):
        raise AmcError(f"scenario {text!r} is not known{suggest(text, named)}, nor fields such as '{{upsampling: 4}}'")
    require_known("scenario field", fields, SCENARIO_FIELDS)
    return Scenario(**fields)


def _search_study(name: str, space: Space, folder: Path, scale: str | None) -> SearchStudy:
    files = [validated(space.fill(values), folder) for _, values in space.ends()]
    first, trials = _at_scale(name, files, scale), _sizes(files[0], scale).get("trials")
    study = SearchStudy(**first.__dict__, space=space, folder=folder, scaled_trials=trials)
    study.require_searchable()
    return study


def _at_scale(name: str, files: list[StudyFile], scale: str | None) -> Study:
    """The first of the files as a study; the recipe with the most epochs, or the largest batch, has the scale's."""
    file, sizes = files[0], _sizes(files[0], scale)
    recipes = [SCALED | fields for file in files for fields in file.recipe]
    most = {name: max(fields[name] for fields in recipes) for name in SCALED}
    factors = {name: sizes[name] / most[name] for name in SCALED if name in sizes}
    stride = sizes.get("snr_stride", 1)
    snrs = strided(file.snr_db, stride)
    return Study(name, file, scale, sizes.get("instances", file.instances), snrs, factors, stride)


def _sizes(file: StudyFile, scale: str | None) -> dict[str, int]:
    """What a scale sets, by the study's own entry of that name or by ours; nothing without a scale."""
    sizes = {key: dict(values) for key, values in SCALES.items()}
    for key, section in file.scales.items():
        sizes.setdefault(key, {}).update(section.model_dump(exclude_none=True))
    if scale is None:
        return {}
    require_known("scale", [scale], sizes)
    return sizes[scale]


def _find(name: str) -> Path:
    for path in (Path(name), SHIPPED / f"{name}.yaml"):
        if path.is_file():
            return path
    raise AmcError(f"study {name!r} is neither a file nor a shipped study{suggest(name, shipped())}")


def shipped() -> list[str]:
    """The names of the studies that come with the package."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def _shortened(message: str) -> str:
    lines = message.split("\n")
    return "\n".join(line if len(line) <= 600 else f"{line[:400]} … {line[-190:]}" for line in lines)
