"""The floors of the packages: which may import which, no circles, and no file that is too long to be held in mind."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("amc_core", "sweeps", "analysis")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
_LONGEST = 400  # lines of a file of code
_CODE = (".py", ".c", ".js", ".css", ".html")


def imported(node: ast.AST) -> list[str]:
    """The modules of ours that an import statement names."""
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"a relative import: {ast.unparse(node)}"
        inside = [f"{node.module}.{alias.name}" for alias in node.names]
        names = [name if name in MODULES else node.module for name in inside]
    return [name for name in names if name in MODULES]


def statements(tree: ast.AST, lazy: bool) -> Iterator[ast.AST]:
    """The nodes of a module; without `lazy`, only those that run when it is imported."""
    for node in ast.iter_child_nodes(tree):
        checking = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if checking or (not lazy and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            continue
        yield node
        yield from statements(node, lazy)


def imports_of(name: str, lazy: bool) -> set[str]:
    """The modules of ours that a module imports, with the packages that they are in."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    nodes = list(statements(tree, lazy))
    named = {module for node in nodes for module in imported(node)}
    if lazy:  # by `import_module`
        texts = (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))
        named |= {module for text in texts if "." in (module := text.partition(":")[0]) and module in MODULES}
    around = {module.rpartition(".")[0] for module in named}
    return {module for module in named | around if module in MODULES} - {name}


def test_no_module_imports_one_that_imports_it():
    graph = {name: imports_of(name, lazy=False) for name in MODULES}
    # A module that its package imports may import the package's others, which are there by then.
    graph = {name: {other for other in others if not name.startswith(f"{other}.")} for name, others in graph.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


@pytest.mark.parametrize(
    ("floor", "above", "doors"),
    [
        ("amc_core", ("sweeps", "analysis", "benchmarks"), ()),
        ("sweeps", ("analysis", "benchmarks"), ("sweeps.driver", "sweeps.cli.")),
        ("analysis", ("benchmarks", "sweeps.cli", "sweeps.engine", "sweeps.driver"), ()),
    ],
)
def test_no_floor_imports_from_one_above_it(floor, above, doors):
    for name in MODULES:
        if name.partition(".")[0] == floor and not name.startswith(doors):
            upwards = {
                module
                for module in imports_of(name, lazy=True)
                if f"{module}.".startswith(tuple(f"{a}." for a in above))
            }
            assert not upwards, f"{name} imports {upwards}"


def test_the_driver_asks_for_the_tables_only_when_they_are_asked_for():
    assert not {name for name in imports_of("sweeps.driver", lazy=False) if name.startswith("analysis")}


@pytest.mark.parametrize(
    ("floor", "outside"), [("amc_core", ("ray", "pandas", "optuna", "typer")), ("analysis", ("ray",))]
)
def test_no_floor_imports_what_it_has_to_run_without(floor, outside):
    for name, path in MODULES.items():
        if name.partition(".")[0] == floor:
            nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
            modules = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
            modules += [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
            assert not {module for module in modules if module.partition(".")[0] in outside}, name


def test_no_file_of_code_has_more_lines_than_a_newcomer_can_hold_in_mind():
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.suffix in _CODE]
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert not {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > _LONGEST}
