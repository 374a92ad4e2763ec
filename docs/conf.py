"""The documentation's site, which Sphinx builds, and its tables that follow from the code.

A line `<!-- scenario -->` in a page stands for the table that `TABLES` makes under that name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from amc_core.fields import Field, fields_of
from amc_core.quantities import written

project = "amc-sweeps"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["findings/README.md"]
html_theme = "furo"
html_title = "amc-sweeps"
html_copy_source = False
html_static_path = ["_static"]
html_css_files = ["site.css"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
default_role = "code"

_MARKER = re.compile(r"^<!-- ([a-z]+) -->$", re.MULTILINE)


def setup(app) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _with_tables)
    app.connect("autodoc-process-docstring", _as_written)


def _with_tables(app, page: str, source: list[str]) -> None:
    """Replaces the markers of a page. Raises KeyError for one that names no table."""
    source[0] = _MARKER.sub(lambda match: TABLES[match[1]](), source[0])


def _as_written(app, what: str, name: str, object_: object, options: object, lines: list[str]) -> None:
    """Keeps what reStructuredText would take for a mark, outside of `names`: docstrings are plain sentences."""
    parts = "\n".join(lines).split("`")
    parts[::2] = [re.sub(r"([*|]|_\b|\b_)", r"\\\1", part) for part in parts[::2]]
    lines[:] = "`".join(parts).split("\n")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), ["---"] * len(list(head)), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _default(field: Field) -> str:
    if field.default is None or field.default in ("", ()):
        return "none"
    if isinstance(field.default, bool):
        return str(field.default).lower()
    return written(field.default) if isinstance(field.default, int | float) else f"`{field.default}`"


def _fields(fields: dict[str, Field]) -> str:
    return _table(
        ["field", "means", "allowed", "default"],
        (
            [f"`{name}`", field.help, ("" if field.reader else field.allowed) + _drawn(field), _default(field)]
            for name, field in fields.items()
        ),
    )


def _drawn(field: Field) -> str:
    return ", or a distribution" if field.varies else ""


def _scenario() -> str:
    from amc_core.scenario import Scenario

    return _fields(fields_of(Scenario))


def _channel() -> str:
    from amc_core.delay_lines import Channel

    return _fields(fields_of(Channel))


def _channels() -> str:
    from amc_core.delay_lines import CHANNELS

    return _table(
        ["channel", "delays in µs", "powers in dB", "largest Doppler shift in Hz", "K"],
        (
            [
                f"`{name}`",
                ", ".join(written(round(delay * 1e6, 9)) for delay in channel.path_delays) or "none",
                ", ".join(map(written, channel.path_gains_db)) or "none",
                written(channel.max_doppler),
                written(channel.k_factor),
            ]
            for name, channel in CHANNELS.items()
        ),
    )


def _recipe() -> str:
    from amc_core.run import Recipe

    return _fields(fields_of(Recipe))


def _study() -> str:
    from sweeps.study.schema import study_schema

    return _keys(study_schema()["properties"])


def _search() -> str:
    from sweeps.study.schema import study_schema

    return _keys(study_schema()["$defs"]["SearchSection"]["properties"])


def _keys(described: dict[str, dict]) -> str:
    return _table(["key", "means"], ([f"`{name}`", schema["description"]] for name, schema in described.items()))


def _classifiers() -> str:
    from amc_core.models import MODELS

    return _table(
        ["name", "title", "source", "hyperparameters"],
        (
            [f"`{name}`", spec.title, spec.source, ", ".join(f"`{key}`" for key in spec.hyperparameters)]
            for name, spec in MODELS.items()
        ),
    )


def _commands() -> str:
    import typer

    from sweeps.cli import app

    group = typer.main.get_command(app)
    names = group.list_commands(typer.Context(group))
    return "\n\n".join(_command(f"amc {name}", group.commands[name]) for name in names)


def _command(name: str, command) -> str:
    """A section of one command: what it does, an example, its options. A group is the sections of its commands."""
    if hasattr(command, "commands"):
        return "\n\n".join(_command(f"{name} {inner}", part) for inner, part in command.commands.items())
    help, _, example = (command.help or "").partition("Example:")
    arguments = [part for part in command.params if part.param_type_name == "argument"]
    usage = " ".join([name, *map(_in_usage, arguments)])
    options = [
        [f"`{', '.join(part.opts)}`", _with_code(part.help or "")]
        for part in command.params
        if part.param_type_name == "option"
    ]
    text = f"## `{name}`\n\n```text\n{usage}\n```\n\n{_paragraphs(help)}\n"
    if example:
        text += f"\nExample:\n\n```text\n{' '.join(example.split())}\n```\n"
    return text + ("\n" + _table(["option", "means"], options) if options else "")


def _in_usage(argument) -> str:
    name = (argument.metavar or argument.name.upper()) + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _paragraphs(text: str) -> str:
    return "\n\n".join(_with_code(" ".join(part.split())) for part in text.strip().split("\n\n"))


def _with_code(text: str) -> str:
    """Sets --options as code, which else would begin with a dash."""
    return re.sub(r"(?<![\w`-])--?[a-z][\w-]*", r"`\g<0>`", text)


TABLES: dict[str, Callable[[], str]] = {
    "scenario": _scenario,
    "channel": _channel,
    "channels": _channels,
    "recipe": _recipe,
    "study": _study,
    "search": _search,
    "classifiers": _classifiers,
    "commands": _commands,
}
