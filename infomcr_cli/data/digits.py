"""Load the digits of scikit-learn: 1,797 grey images of 8×8 pixels, 10 classes.

Their file is read without importing scikit-learn, which would take a quarter of the time until the first step.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from infomcr_cli.config.schema.data import DataConfig
from infomcr_cli.data.dataset import Dataset, Split, whole_dataset

SCALE = 255.0 / 16.0  # pixels are 0..16 in the source
TRAIN, TEST = 1437, 360
# One bit for each image, first image first: the test images of scikit-learn's stratified
# train_test_split(range(1797), test_size=360, stratify=labels, random_state=0).
_TEST_BITS = (
    "000004883524104000064100934205001a00080100240028062c12001000940a009019120420f8a0028110a000"
    "080a8820441524494240a00a0000004004d80000818020004805c400104008a0100005404800301000020ec409"
    "000224840083a8013c20a6980a0000000b08400804a0184802024041c1008004404684376a8102160044800040"
    "42a0a4180a5000840b8561c608108008004c80c02004068e00010882008100380803c008190000100e01008410"
    "a0210033282904c044c080680e0102830082008822a6402c24042108a860809081a00c02820242120138a41500"
)


def load_digits(config: DataConfig) -> Dataset:
    """Return a fixed, stratified split into 1,437 training and 360 test images, with pixels from 0 to 255."""
    pixels, labels = _shipped()
    images = (pixels * SCALE).astype(np.float32).reshape(-1, 8, 8, 1)
    bits = np.frombuffer(bytes.fromhex(_TEST_BITS), np.uint8)
    is_test = np.unpackbits(bits, count=len(labels)).astype(bool)  # [n]
    train, test = (Split(images[chosen], labels[chosen]) for chosen in (~is_test, is_test))
    return whole_dataset(config.name, (train, test, tuple(str(digit) for digit in range(10))), stored_order=True)


def _shipped() -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Return pixels 0..16, [n, 64], and labels, [n]."""
    spec = find_spec("sklearn")
    folders = spec.submodule_search_locations if spec else None
    file = Path(folders[0]) / "datasets" / "data" / "digits.csv.gz" if folders else None
    if file is None or not file.is_file():  # another version may keep it elsewhere
        from sklearn.datasets import load_digits as shipped

        return shipped().data, shipped().target.astype(np.int32)
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.int32)
