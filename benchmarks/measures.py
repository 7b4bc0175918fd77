"""The time of each measure on Wide ResNet 28-2 with 1,000 images, common passes listed apart.

Command:  python benchmarks/measures.py [--images 1000] [--names all] [--model wrn] [--json FILE]
The network is untrained and the images are random: times depend on neither. Shared passes are timed with the first
measure that asks for them, as in `infomcr eval`; compilation is part of it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from infomcr_cli.data.dataset import Dataset, Split

if TYPE_CHECKING:
    from infomcr_cli.measures.base import Measure
    from infomcr_cli.measures.context import MeasureContext

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    """Time every measure and print a table."""
    options = _options()
    from infomcr_cli.config.compose import compose_run
    from infomcr_cli.experiment.initial_weights import initial_weights
    from infomcr_cli.experiment.network import network
    from infomcr_cli.measures.base import chosen_measures
    from infomcr_cli.measures.context import MeasureContext
    from infomcr_cli.measures.evaluate import forecast, forward_passes

    draws = max(1, options.images // 100)
    chosen = {
        "model": options.model,
        "measure.names": options.names,
        "measure.samples": options.images,
        "measure.gamma.samples": options.images,
        "measure.gamma.draws": draws,
    }
    config = compose_run([*(f"{key}={value}" for key, value in chosen.items()), *options.overrides])
    dataset = _random_images(options.images)
    model = network(config, dataset)
    context = MeasureContext(model, dataset, config.measure, 0, lambda: initial_weights(config, dataset), 0.0)
    measures = chosen_measures(config.measure.names)
    expected = forecast(measures, context)
    per_image = expected / forward_passes(measures, config.measure)
    print(f"one forward pass: {1000 * per_image:.2f} ms an image; estimate of everything: {expected:.0f} s", flush=True)
    seconds: dict[str, float] = {}
    for measure in measures:
        began = time.perf_counter()
        note = _computed(measure, context)
        seconds[measure.name] = time.perf_counter() - began
        print(f"{measure.name:32}{seconds[measure.name]:9.2f} s{note}", flush=True)
    print(f"{'together':32}{sum(seconds.values()):9.2f} s")
    if options.json:
        options.json.write_text(json.dumps({"images": options.images, "estimate": expected, "seconds": seconds}))


def _computed(measure: Measure, context: MeasureContext) -> str:
    """Compute a measure; return a note if this network has no value, as one without margins or a history."""
    from infomcr_cli.errors import InputError

    try:
        measure.compute(context)
    except InputError as error:
        return f"  without a value: {error.rule}"
    return ""


def _random_images(count: int) -> Dataset:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 32, 32, 3), np.uint8)
    split = Split(images, rng.integers(0, 10, count).astype(np.int32))
    names = tuple(str(k) for k in range(10))
    return Dataset("random", split, split, names, (127.5,) * 3, (73.9,) * 3, True, "random")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--names", default="all", help="a suite, or a list such as [gamma,sharpness]")
    parser.add_argument("--model", default="wrn")
    parser.add_argument("--json", type=Path)
    parser.add_argument("overrides", nargs="*", help="further overrides, such as measure.noise.draws=2")
    return parser.parse_args()


if __name__ == "__main__":
    main()
