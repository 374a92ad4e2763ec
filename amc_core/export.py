"""Trained networks as files that other programs run: ONNX, PyTorch's .pt2, and safetensors with a loader in Python.

Before a file gets its name, it is run on a hundred instances, and its scores are compared with the network's.
"""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from amc_core.errors import AmcError
from amc_core.instances import Instances
from amc_core.models.real_arithmetic import in_real_arithmetic
from amc_core.recordings.atomic import replacing
from amc_core.run import Dataset
from amc_core.scenario import FILE_FIELDS

INSTANCES = 100  # on which a file is compared with the network
TOLERANCE = 1e-4  # of scores, relative to the largest if that is above 1
_OPSET = 17  # of ONNX
_SCALED = {
    "power": "of unit mean power",
    "energy": "divided by their energy",
    "max": "divided by their largest magnitude",
    "none": "as recorded",
}  # by a scenario's normalisation
_LOADER = '''\
"""Loads {file}: run {run}, {model} for {classes} classes."""

import json
from pathlib import Path

from safetensors import safe_open

{imports}


def load(path=Path(__file__).with_name({file!r})):
    """The network in evaluation mode, (batch, 2, {length}) float32 {scaled} to scores, and its classes."""
    with safe_open(path, framework="pt") as file:
        about = {{name: json.loads(text) for name, text in file.metadata().items()}}
        weights = {{name: file.get_tensor(name) for name in file.keys()}}
    network = {build}
    network.load_state_dict(weights)
    return network.eval(), about["classes"]
'''


@dataclass(frozen=True)
class About:
    """What an exported file says of its network.

    run: its key. model: its name. classes: in the order of the scores. length: samples of an instance. normalisation:
    of the instances, as in `Scenario`. own: is the network the user's own code?
    """

    run: str
    model: str
    hyperparameters: dict
    classes: Sequence[str]
    length: int
    normalisation: str = "power"
    own: bool = False

    def texts(self) -> dict[str, str]:
        """The fields as JSON, by name."""
        return {name: json.dumps(value) for name, value in asdict(self).items() if name != "own"}


def require_exportable(path: Path) -> None:
    """Raise AmcError unless a path ends in .onnx, .pt2 or .safetensors, and the format's packages are installed."""
    if path.suffix not in _FORMATS:
        raise AmcError(f"{str(path)!r} names no format for networks; allowed endings are {', '.join(_FORMATS)}")
    missing = [name for name in _FORMATS[path.suffix][0] if importlib.util.find_spec(name) is None]
    if missing:
        raise AmcError(f"{path.suffix} needs {' and '.join(missing)}: pip install 'amc-sweeps[export]'")


def export_network(path: Path, network: nn.Module, about: About, x: torch.Tensor) -> tuple[list[Path], float]:
    """Write a network to a file, run that file, and compare.

    path: see `require_exportable`. network: (batch, 2, length) float32 → (batch, classes) scores, in evaluation mode on
    a CPU. x: (batch, 2, length), the instances on which the scores are compared. Returns the files written, and the
    largest difference of a score. Raises AmcError, and leaves no file, if the network cannot be exported, the file
    cannot be written, or the scores differ by more than `TOLERANCE`. For a model fitted in one step, the recognised
    classes have to be the same instead.
    """
    require_exportable(path)
    if path.suffix != ".safetensors" and any(map(_keeps_more, network.modules())):
        raise AmcError(
            f"{about.model} cannot be exported as {path.suffix}: its fitted classifier does not compute with tensors; "
            "export it as NAME.safetensors"
        )
    _, write, run = _FORMATS[path.suffix]
    paths = [path.with_suffix(".py"), path] if path.suffix == ".safetensors" else [path]
    with torch.no_grad():
        expected = network(x)
    with replacing(*paths) as partial:
        with _explained(about.model, path.suffix):
            write(partial, path, network, about, x)
            scores = run(partial, x)
        difference = (scores - expected).abs().max().item()
        fitted = hasattr(network, "fit")  # the rounding of its eighth powers depends on their order
        same = torch.equal(scores.argmax(1), expected.argmax(1))
        near = difference <= TOLERANCE * max(1.0, expected.abs().max().item())
        if not (same if fitted else near):
            raise AmcError(
                f"{about.model} cannot be exported as {path.suffix}: the file's scores differ from the network's by "
                f"{difference:.2g}"
            )
    return paths[::-1], difference


def _keeps_more(layer: nn.Module) -> bool:
    """Does a layer keep state other than parameters and buffers?"""
    return type(layer).get_extra_state is not nn.Module.get_extra_state


def check_instances(dataset: Dataset, length: int) -> torch.Tensor:
    """A hundred evenly chosen instances of the test part, or noise if that part is read from files.

    Returns (100, 2, length) float32, scaled as in the dataset, or noise of unit mean power.
    """
    if any(getattr(scenario, name) for scenario in dataset.scenario.components for name in FILE_FIELDS):
        noise = torch.randn(INSTANCES, 2, length, generator=torch.Generator().manual_seed(0))
        return noise / math.sqrt(2)
    instances = Instances(replace(dataset, length=length), "test")
    positions = torch.arange(INSTANCES) * len(instances) // INSTANCES
    return instances.make(*instances.address(positions))


@contextmanager
def _explained(model: str, ending: str) -> Iterator[None]:
    """Turns an exporter's exception into an AmcError of one sentence, and silences its output."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    except (AmcError, OSError, MemoryError):
        raise
    except Exception as error:  # exporters may raise anything
        reason = " ".join(str(error).split())[:300]
        raise AmcError(f"{model} cannot be exported as {ending}: {type(error).__name__}: {reason}") from None
    finally:
        logging.disable(level)


# -- ONNX ----------------------------------------------------------------------------------------------


def _write_onnx(partial: list[Path], path: Path, network: nn.Module, about: About, x: torch.Tensor) -> None:
    """Uses PyTorch's tracing exporter, which takes a tenth of the newer one's time and needs no further package."""
    import onnx

    torch.onnx.register_custom_op_symbolic("aten::mT", _transposed, _OPSET)
    content, names = io.BytesIO(), {"input_names": ["iq"], "output_names": ["scores"]}
    axes = {name: {0: "batch"} for name in ("iq", "scores")}
    real = in_real_arithmetic(network)
    torch.onnx.export(real, (x[:2],), content, dynamo=False, dynamic_axes=axes, opset_version=_OPSET, **names)
    model = onnx.load_from_string(content.getvalue())
    for name, text in about.texts().items():
        model.metadata_props.add(key=name, value=text)
    onnx.checker.check_model(model)
    partial[0].write_bytes(model.SerializeToString())


def _transposed(graph, x):
    """The last two axes exchanged."""
    order = list(range(x.type().dim()))
    return graph.op("Transpose", x, perm_i=[*order[:-2], order[-1], order[-2]])


def _run_onnx(partial: list[Path], x: torch.Tensor) -> torch.Tensor:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(partial[0]), providers=["CPUExecutionProvider"])
    return torch.as_tensor(session.run(None, {"iq": x.numpy()})[0])


# -- PyTorch's own -------------------------------------------------------------------------------------


def _write_pt2(partial: list[Path], path: Path, network: nn.Module, about: About, x: torch.Tensor) -> None:
    shapes = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(network, (x[:2],), dynamic_shapes=shapes)
    with open(partial[0], "wb") as file:
        torch.export.save(program, file, extra_files={"about.json": json.dumps(asdict(about))})


def _run_pt2(partial: list[Path], x: torch.Tensor) -> torch.Tensor:
    with open(partial[0], "rb") as file, torch.no_grad():
        return torch.export.load(file).module()(x)


# -- safetensors ---------------------------------------------------------------------------------------


def _write_safetensors(partial: list[Path], path: Path, network: nn.Module, about: About, x: torch.Tensor) -> None:
    from safetensors.torch import save_file

    weights = {name: tensor.contiguous().clone() for name, tensor in network.state_dict().items()}
    save_file(weights, partial[1], about.texts())
    module, _, name = about.model.rpartition(".")
    sizes = 'len(about["classes"]), about["length"], **about["hyperparameters"]'
    imports, build = "from amc_core import build_model", f'build_model(about["model"], {sizes})'
    if about.own:
        imports, build = f"from {module} import {name}", f"{name}({sizes})"
    filled = {"classes": len(about.classes), "run": about.run, "model": about.model, "length": about.length}
    filled["scaled"] = _SCALED[about.normalisation]
    partial[0].write_text(_LOADER.format(file=path.name, imports=imports, build=build, **filled))


def _run_safetensors(partial: list[Path], x: torch.Tensor) -> torch.Tensor:
    names = {"__file__": str(partial[0])}
    exec(compile(partial[0].read_text(), partial[0].name, "exec"), names)
    network, _ = names["load"](partial[1])
    with torch.no_grad():
        return network(x)


_Write = Callable[[list[Path], Path, nn.Module, About, torch.Tensor], None]
_FORMATS: dict[str, tuple[tuple[str, ...], _Write, Callable[[list[Path], torch.Tensor], torch.Tensor]]] = {
    ".onnx": (("onnx", "onnxruntime"), _write_onnx, _run_onnx),
    ".pt2": ((), _write_pt2, _run_pt2),
    ".safetensors": (("safetensors",), _write_safetensors, _run_safetensors),
}
