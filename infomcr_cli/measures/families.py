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
    "norm": "size of the weights, of their distance from where training began, or of the slope of the logits",
    "margin": "distance of samples from the decision boundary, alone or set against a norm",
    "volume": "log-volume of the gradients or of the basin around the weights",
    "sharpness": "rise of the loss at some distance from the weights",
    "curvature": "size of the Fisher information or of the Hessian",
    "pac_bayes": "noise that the weights bear, and the bounds that follow from it",
    "confidence": "probabilities that the network gives to its classes",
    "optimization": "speed and state of the training",
    "information": "information criteria and numbers of parameters",
    "spectral": "shape of a spectrum, whatever its size",
    "gradient": "how the gradients of samples agree",
}

Change = Literal["batch_norm_rescaling", "homogeneous_rescaling", "logit_scaling"]
CHANGES: Mapping[Change, str] = {
    "batch_norm_rescaling": "kernel and bias of a layer that batch norm follows, its moving mean and the root of its "
    "moving variance + ε, all times c: the network computes the same function",
    "homogeneous_rescaling": "kernel and bias of a layer that a rectifier follows times c, the kernel of the next "
    "layer divided by c: the network computes the same function",
    "logit_scaling": "kernel and bias of the layer that gives the logits times c > 0: the network decides for the "
    "same classes",
}
SAME_FUNCTION: tuple[Change, ...] = ("batch_norm_rescaling", "homogeneous_rescaling")
EVERY_CHANGE: tuple[Change, ...] = tuple(CHANGES)
