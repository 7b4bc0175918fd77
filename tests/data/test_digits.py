"""The digits: read without scikit-learn, they are what scikit-learn gives and divides."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.data import digits


@pytest.fixture(params=["the file", "scikit-learn"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "scikit-learn":
        monkeypatch.setattr(digits, "find_spec", lambda name: None)


@pytest.mark.usefixtures("way")
def test_digits_are_divided_as_by_scikit_learns_stratified_split() -> None:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    source = load_digits()
    parts = train_test_split(np.arange(1797), test_size=digits.TEST, stratify=source.target, random_state=0)
    dataset = digits.load_digits(compose_run(["data=digits"]).data)
    for split, part in zip((dataset.train, dataset.test), parts, strict=True):
        chosen = np.sort(part)
        expected = (source.images[chosen] * digits.SCALE).astype(np.float32)[..., None]
        np.testing.assert_array_equal(split.images, expected)
        np.testing.assert_array_equal(split.labels, source.target[chosen])
        assert (split.images.dtype, split.labels.dtype) == (np.float32, np.int32)


def test_reading_digits_does_not_import_scikit_learn() -> None:
    code = "import sys; from infomcr_cli.config.compose import compose_run;"
    code += "from infomcr_cli.data.digits import load_digits; load_digits(compose_run(['data=digits']).data);"
    code += "print('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
