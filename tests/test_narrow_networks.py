"""Networks with narrow 1x1 shortcuts on odd numbers of images, where kernels were that crash or give wrong numbers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tolerances import FLOAT32

CHILD = Path(__file__).with_name("narrow_child.py")


@pytest.mark.parametrize("onednn", ["0", "1"])
def test_steps_and_measures_of_narrow_networks_are_those_of_float64(onednn: str) -> None:
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": onednn}
    done = subprocess.run([sys.executable, str(CHILD)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    assert {name: error for name, error in found.items() if not error < FLOAT32} == {}
