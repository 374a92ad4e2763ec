"""HOC-SVM, the expert-feature baseline of P1 §IV-B: higher-order cumulants into a linear SVM."""

import numpy as np
import torch
from torch import nn

from amc_core.cumulants import CUMULANTS, magnitudes
from amc_core.errors import AmcError


class HOCSVM(nn.Module):
    """A one-vs-rest linear SVM on the standardised magnitudes of eleven cumulants (P1 §IV-B).

    Its weights are buffers that `fit` fills in one go. So it has no trainable parameters, yet it is evaluated,
    saved and moved between devices as the networks are. Until it is fitted, all scores are zero.

    Input: [batch, 2, length] float32, any length. Output: [batch, classes] scores; the class with the largest
    score is recognised.
    """

    def __init__(self, classes: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(len(CUMULANTS)))
        self.register_buffer("scale", torch.ones(len(CUMULANTS)))
        self.register_buffer("weight", torch.zeros(classes, len(CUMULANTS)))
        self.register_buffer("bias", torch.zeros(classes))

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """Magnitudes of the normalised cumulants in `CUMULANTS`: [batch, 2, length] → [batch, 11] float32."""
        return magnitudes(x)

    def fit(self, features: np.ndarray, labels: np.ndarray, seed: int) -> None:
        """Fit the SVM to features [instances, 11] and labels [instances], integers from 0 to classes − 1.

        Squared hinge loss with C = 1, solved in the primal, since instances far outnumber features. That solver is
        deterministic, so `seed` has no effect. Raises AmcError if a class has no instance.
        """
        from sklearn.svm import LinearSVC

        classes = len(self.bias)
        missing = sorted(set(range(classes)) - set(np.unique(labels).tolist()))
        if missing:
            labels = ", ".join(map(str, missing))
            raise AmcError(f"HOC-SVM needs instances of all {classes} classes; labels without instances: {labels}")
        mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
        scale[scale < 1e-5] = 1.0  # the normalised C21 is 1 but for rounding, which must not be amplified
        svm = LinearSVC(dual=False, C=1.0, max_iter=2000, random_state=seed)
        svm.fit((features - mean) / scale, labels)
        weight, bias = svm.coef_, svm.intercept_
        if classes == 2:  # scikit-learn keeps the score of the second class only
            weight, bias = np.concatenate([-weight, weight]), np.concatenate([-bias, bias])
        self.mean.copy_(torch.as_tensor(mean))
        self.scale.copy_(torch.as_tensor(scale))
        self.weight.copy_(torch.as_tensor(weight))
        self.bias.copy_(torch.as_tensor(bias))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        standardised = (self.features(x) - self.mean) / self.scale
        # An elementwise product: under autocast a matrix product would round the features to eight bits.
        return (standardised[:, None] * self.weight).sum(dim=-1) + self.bias
