"""What kinds of measures there are, and the changes of a network under which a value may stay the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Family = Literal[
    "norm",
    "margin",
    "volume",
    "sharpness",
    "curvature",
    "pac_bayes",
    "confidence",
    "optimization",
    "information",
    "spectral",
    "gradient",
]
FAMILIES: Mapping[Family, str] = {
    "norm": "size of the weights, of their distance from the initial weights, or of the slope of the logits",
    "margin": "distance of samples from the decision boundary, alone or relative to a norm",
    "volume": "log-volume of the gradients or of the basin around the weights",
    "sharpness": "rise of the loss at some distance from the weights",
    "curvature": "size of the Fisher information or of the Hessian",
    "pac_bayes": "noise that the weights tolerate, and the bounds that follow from it",
    "confidence": "predicted probabilities",
    "optimization": "speed and state of the training",
    "information": "information criteria and numbers of parameters",
    "spectral": "shape of a spectrum, independent of its scale",
    "gradient": "agreement between the gradients of samples",
}

Change = Literal["batch_norm_rescaling", "homogeneous_rescaling", "logit_scaling"]
CHANGES: Mapping[Change, str] = {
    "batch_norm_rescaling": "a layer followed by batch norm is multiplied by c, with the moving mean and the root of "
    "the moving variance + ε; the function stays the same",
    "homogeneous_rescaling": "a layer followed by a rectifier is multiplied by c, and the kernel of the next layer is "
    "divided by c; the function stays the same",
    "logit_scaling": "the layer that outputs the logits is multiplied by c > 0; the predicted classes stay the same",
}
SAME_FUNCTION: tuple[Change, ...] = ("batch_norm_rescaling", "homogeneous_rescaling")
EVERY_CHANGE: tuple[Change, ...] = tuple(CHANGES)
