"""The engine against the golden arrays of a tiny Wide ResNet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tolerances import CLOSED_FORM, FLOAT32

from infomcr_cli.measures import GramEngine, gram_matrix, log_volume
from infomcr_cli.measures.gamma import fisher_rao_norm
from infomcr_cli.models import build_model, named_weights
from tests.measures.reference import relative

REFERENCE = Path(__file__).parents[1] / "data" / "wrn_reference.npz"
SCALES = {"raw": None, "normalized": 0.04}


@pytest.fixture(scope="module")
def reference() -> Any:
    return np.load(REFERENCE, allow_pickle=False)


@pytest.fixture(scope="module")
def model(reference: Any) -> keras.Model:
    network = build_model(
        "wrn", input_shape=(16, 16, 3), num_classes=10, widths=(8, 16, 32), blocks_per_group=1, l2=5e-4
    )
    for name, variable in named_weights(network).items():
        variable.assign(reference[f"w0:{name}"])
    return network


@pytest.mark.parametrize("logits", SCALES)
@pytest.mark.parametrize("mode", ["inference", "batch"])
def test_gram_matrix_and_gamma_agree_with_the_file(model: keras.Model, reference: Any, mode: Any, logits: str) -> None:
    before = [np.array(keras.ops.convert_to_numpy(v)) for v in model.variables]
    gram = gram_matrix(
        model, reference["images"], reference["labels"], batch_norm=mode, logit_scale=SCALES[logits], chunk_size=8
    )
    assert relative(gram, reference[f"gram_{mode}_{logits}"]) < 1e-5
    assert log_volume(gram) == pytest.approx(float(reference[f"gamma_{mode}_{logits}"]), rel=FLOAT32)
    for kept, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(kept, keras.ops.convert_to_numpy(variable))


@pytest.mark.parametrize("logits", SCALES)
def test_fisher_rao_norm_agrees_with_the_file(model: keras.Model, reference: Any, logits: str) -> None:
    record = GramEngine(model, logit_scale=SCALES[logits])(reference["images"], reference["labels"])
    assert fisher_rao_norm(record.products) == pytest.approx(
        float(reference[f"fisher_rao_inference_{logits}"]), rel=FLOAT32
    )
    assert set(record.gradient_method.values()) == {"rule"}
    assert sum(g.trace for g in record.groups.values()) == pytest.approx(np.trace(record.gram) / 32, rel=CLOSED_FORM)


def test_blocks_and_groups_of_parameters_change_nothing(model: keras.Model, reference: Any) -> None:
    images, labels = reference["images"], reference["labels"]
    whole, tight = GramEngine(model), GramEngine(model, memory="3MB")
    a, b = whole(images, labels), tight(images, labels)
    assert tight._passes is not None
    assert tight._passes.block_size < len(labels)
    assert relative(b.gram, a.gram) < 1e-6
    np.testing.assert_allclose(b.products, a.products, rtol=FLOAT32, atol=FLOAT32)
