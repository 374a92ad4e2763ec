"""Any scikit-learn classifier on higher-order cumulants: trees, neighbours, forests, boosting (P1 §II)."""

from typing import Any

import numpy as np
import torch
from torch import nn

from amc_core.cumulants import CUMULANTS, magnitudes
from amc_core.errors import AmcError
from amc_core.models import scikit

_LEAST = 1e-6  # probability: a tree gives other classes 0, whose logarithm is infinite


class HOCClassifier(nn.Module):
    """A scikit-learn classifier on the standardised magnitudes of the eleven cumulants of `HOCSVM`.

    `fit` fits it in one go. It is kept in the state dictionary, as bytes that skops writes, and has no weights that
    gradients train. Until it is fitted, all scores are zero.

    Input: [batch, 2, length] float32, any length. Output: [batch, classes] scores: logarithms of the probabilities,
    or the decision function of a classifier without probabilities.
    """

    def __init__(self, classes: int, classifier: str = scikit.USUAL, **values: Any):
        super().__init__()
        self.classes, self.classifier, self.values, self.fitted = classes, classifier, values, None
        self.register_buffer("mean", torch.zeros(len(CUMULANTS)))
        self.register_buffer("scale", torch.ones(len(CUMULANTS)))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Magnitudes of the normalised cumulants in `CUMULANTS`: [batch, 2, length] → [batch, 11] float32."""
        return magnitudes(x)

    def fit(self, features: np.ndarray, labels: np.ndarray, seed: int) -> None:
        """Fit to features [instances, 11] and labels [instances], integers from 0 to classes − 1.

        Raises AmcError if a class has no instance, or if scikit-learn refuses the data.
        """
        missing = sorted(set(range(self.classes)) - set(np.unique(labels).tolist()))
        if missing:
            labels = ", ".join(map(str, missing))
            raise AmcError(f"hoc needs instances of all {self.classes} classes; labels without instances: {labels}")
        scale = features.std(axis=0, dtype=np.float64)
        self.mean.copy_(torch.as_tensor(features.mean(axis=0, dtype=np.float64)))
        self.scale.copy_(torch.as_tensor(np.where(scale < 1e-5, 1.0, scale)))  # C21 is 1 but for rounding
        estimator = scikit.made(self.classifier, self.values, seed)
        try:
            self.fitted = estimator.fit(self._standardised(torch.as_tensor(features)), labels)
        except ValueError as error:
            raise AmcError(f"{self.classifier} cannot be fitted: {' '.join(str(error).split())[:300]}") from None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.fitted is None:
            return x.new_zeros(len(x), self.classes)
        features = self._standardised(self.features(x))
        if hasattr(self.fitted, "predict_proba"):
            scores = np.log(np.maximum(self.fitted.predict_proba(features), _LEAST))
        else:
            scores = self.fitted.decision_function(features)
            scores = np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores
        return torch.as_tensor(scores, dtype=torch.float32, device=x.device)

    def get_extra_state(self) -> torch.Tensor:
        """The fitted classifier, [bytes] uint8."""
        content = b"" if self.fitted is None else scikit.dumped(self.fitted)
        return torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.zeros(0, dtype=torch.uint8)

    def set_extra_state(self, state: torch.Tensor) -> None:
        content = state.cpu().numpy().tobytes()
        self.fitted = scikit.loaded(self.classifier, content) if content else None

    def _standardised(self, features: torch.Tensor) -> np.ndarray:
        return ((features.cpu() - self.mean.cpu()) / self.scale.cpu()).numpy()
