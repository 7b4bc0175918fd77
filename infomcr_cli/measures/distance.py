"""How far training has carried the weights from where they began."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def distance_from_initialization(weights: Mapping[str, Any], initial: Mapping[str, Any]) -> float:
    """Return ‖w - w₀‖₂ over the weights named in `weights`.

    Args:    weights, initial: arrays by name; `initial` may hold others as well.
    Source:  Nagarajan & Kolter, 2019, arXiv:1901.01672; Jiang et al., 2020, arXiv:1912.02178.
    Example: distance_from_initialization({"w": np.ones(4)}, {"w": np.zeros(4)}) is 2.0.
    """
    differences = (np.asarray(weights[name], np.float64) - np.asarray(initial[name], np.float64) for name in weights)
    return float(np.sqrt(sum(float(np.sum(d**2)) for d in differences)))
