"""Scikit-learn classifiers by their path, "sklearn.svm.SVC": their arguments, and how they are saved.

They are saved as skops writes them. Only types that are listed here or known to skops are loaded, and nothing is
pickled. Imports no torch, and imports scikit-learn only when a classifier is named.
"""

from __future__ import annotations

import importlib
import inspect
import io
import re
import zipfile
from functools import cache, partial
from typing import Any

from amc_core.errors import AmcError, suggest
from amc_core.fields import Field
from amc_core.quantities import number

USUAL = "sklearn.ensemble.RandomForestClassifier"

# Types in fitted scikit-learn classifiers that skops does not trust by default.
_TRUSTED = {
    *(
        f"sklearn.metrics._dist_metrics.{kind}Distance64"
        for kind in ("Euclidean", "Manhattan", "Minkowski", "Chebyshev")
    ),
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    *(f"sklearn.gaussian_process.kernels.{kind}" for kind in ("ConstantKernel", "Product", "RBF")),
    *(f"sklearn.neighbors.{kind}" for kind in ("_ball_tree.BallTree", "_kd_tree.KDTree")),
    *(f"sklearn.neural_network._stochastic_optimizers.{kind}Optimizer" for kind in ("Adam", "SGD")),
    "sklearn.tree._tree.Tree",
}
_OURS = {"random_state": "it follows from the study's seeds"}
_OURS |= dict.fromkeys(("n_jobs", "verbose", "warm_start"), "it changes no result and keeps its default")
_FIXED_DATE = (1980, 1, 1, 0, 0, 0)


def read_path(value: Any) -> str:
    """The path of a classifier, checked. Raises AmcError if there is no such classifier."""
    class_of(value)
    return value


@cache
def class_of(path: Any) -> type:
    """The class of a path. Raises AmcError unless it is a scikit-learn classifier that needs no other estimator."""
    allowed = f"allowed is the path of a scikit-learn classifier, such as {USUAL}"
    if not isinstance(path, str) or not re.fullmatch(r"sklearn(\.[a-z]\w*)+\.[A-Z]\w*", path):
        raise AmcError(f"classifier {path!r} is not allowed: {allowed}")
    from sklearn.base import BaseEstimator, ClassifierMixin

    module, _, name = path.rpartition(".")
    try:
        package = importlib.import_module(module)
    except ImportError:
        raise AmcError(f"classifier {path!r} is not known: scikit-learn has no {module}; {allowed}") from None
    kind = getattr(package, name, None)
    if not (isinstance(kind, type) and issubclass(kind, ClassifierMixin) and issubclass(kind, BaseEstimator)):
        known = [
            each for each in getattr(package, "__all__", ()) if each.endswith(("Classifier", "SVC", "NB", "Analysis"))
        ]
        raise AmcError(f"classifier {path!r} is not known{suggest(name, known) if known else f': {allowed}'}")
    needed = [name for name, default in _arguments(kind).items() if default is inspect.Parameter.empty]
    if needed:
        raise AmcError(
            f"classifier {path!r} needs other estimators ({', '.join(needed)}): name a classifier that needs none"
        )
    return kind


def parameters_of(path: str) -> dict[str, Field]:
    """Argument of a classifier → declaration, from its signature."""
    return {
        name: Field(default, reader=partial(_read, path, name, default))
        for name, default in _arguments(class_of(path)).items()
        if name not in _OURS and isinstance(default, bool | int | float | str | tuple | None)
    }


def require_arguments(path: str, values: dict[str, Any]) -> None:
    """Raise AmcError for values of arguments that the classifier does not allow."""
    made(path, values, 0)


def reason(name: str) -> str:
    """Why a study cannot set a scikit-learn argument; "" if it can."""
    return _OURS.get(name, "")


def made(path: str, values: dict[str, Any], seed: int) -> Any:
    """The classifier before its fit. Raises AmcError for a value that it does not allow."""
    kind = class_of(path)
    own = {"random_state": seed % (1 << 32)} if "random_state" in _arguments(kind) else {}
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    estimator = kind(**values | own)
    try:
        estimator._validate_params()
    except ValueError as error:
        raise AmcError(f"classifier {path}: {' '.join(str(error).split())}") from None
    return estimator


def dumped(estimator: Any) -> bytes:
    """A fitted classifier as bytes, the same for the same classifier. Raises AmcError if it could not be loaded."""
    import skops.io

    content = skops.io.dumps(estimator)
    _require_trusted(content)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    numbers: dict[str, int] = {}  # of objects, which skops identifies by their memory addresses

    def renumbered(match: re.Match) -> str:
        return f"{match[1]}{numbers.setdefault(match[2], len(numbers))}"

    schema = re.sub(r'("__id__": |"file": ")(\d+)', renumbered, files.pop("schema.json").decode())
    names = {f"{numbers[name.partition('.')[0]]}.{name.partition('.')[2]}": data for name, data in files.items()}
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        for name, data in [*sorted(names.items()), ("schema.json", schema.encode())]:
            archive.writestr(zipfile.ZipInfo(name, _FIXED_DATE), data, zipfile.ZIP_DEFLATED)
    return whole.getvalue()


def loaded(path: str, content: bytes) -> Any:
    """The fitted classifier in bytes. Raises AmcError if they hold a type that is not trusted, or another class."""
    import skops.io

    try:
        _require_trusted(content)
        estimator = skops.io.loads(content, trusted=sorted(_TRUSTED))
    except AmcError:
        raise
    except Exception as error:  # damaged bytes may raise anything
        raise AmcError(f"the fitted {path} cannot be read: {type(error).__name__}: {str(error)[:200]}") from None
    if type(estimator) is not class_of(path):
        raise AmcError(f"the fitted classifier is a {type(estimator).__name__}, not a {path}")
    return estimator


def _require_trusted(content: bytes) -> None:
    import skops.io

    unknown = sorted({*skops.io.get_untrusted_types(data=content)} - _TRUSTED)
    if unknown:
        raise AmcError(f"a fitted classifier holds types that are not trusted: {', '.join(unknown)[:300]}")


def _arguments(kind: type) -> dict[str, Any]:
    parameters = [*inspect.signature(kind.__init__).parameters.values()][1:]
    return {parameter.name: parameter.default for parameter in parameters}


def _read(path: str, name: str, default: Any, value: Any) -> Any:
    """A value in its canonical form: a whole number as an int, unless the default is a float."""
    if isinstance(value, list | tuple):
        if not isinstance(default, tuple):
            raise AmcError(f"{path}: {name} {value!r} is not allowed: it must not be a list")
        return [_read(path, name, 0, entry) for entry in value]
    spelled = None if isinstance(value, bool) else number(value)
    if spelled is not None:
        value = spelled if isinstance(default, float) or spelled != int(spelled) else int(spelled)
    if not isinstance(value, bool | int | float | str | None):
        raise AmcError(f"{path}: {name} {value!r} is not allowed: it has to be a number, a text, true, false or null")
    return value
