"""The time of each measure on Wide ResNet 28-2 with 1,000 images, and of all of them beside what was forecast.

Command:  python -m benchmarks.measures [--images 1000] [--names all] [--model wrn] [--json FILE] [--table FILE]
The images are of ten random patterns with noise, and the network is trained on them for a few epochs first, so that
it stands at a minimum: searches along rays, Langevin chains and eigenvalues take as long as at one. A history of four
epochs stands in for that of a run, so that each measure has a value. What measures share is timed with the first that
needs it, as in `infomcr eval`; compilation is part of it. Seconds of the clock stand beside those of the processors,
which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.machine import machine
from infomcr_cli.data.dataset import Dataset, Split

if TYPE_CHECKING:
    import keras

    from infomcr_cli.measures.base import Measure
    from infomcr_cli.measures.context import MeasureContext
    from infomcr_cli.measures.history import RunHistory

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
NOTHING = 0.05  # seconds
EPOCHS, BATCH_SIZE, LEARNING_RATE = 6, 50, 0.05
NOISE = 60.0  # standard deviation of each image from its class's pattern, grey levels
LOSSES = (1.5, 0.7, 0.3, 0.09)  # of the epochs of the history


def main() -> None:
    """Time every measure and print a table."""
    options = _options()
    if options.table:
        print(table(json.loads(options.table.read_text(encoding="utf-8"))))
        return
    from infomcr_cli.measures.base import chosen_measures
    from infomcr_cli.measures.work import forecast

    with tempfile.TemporaryDirectory() as folder:
        context = _context(options, Path(folder))
        measures = chosen_measures(context.config.names)
        expected, processors = (forecast(measures, context, clock) for clock in (time.perf_counter, time.process_time))
        print(f"{len(measures)} measures, expected: {expected:.0f} s, {processors:.0f} s of processors", flush=True)
        times = {}
        for measure in measures:
            times[measure.name], note = _timed(measure, context)
            print(f"{measure.name:32}{_shown(times[measure.name])}{note}", flush=True)
    together = {key: sum(one[key] for one in times.values()) for key in ("seconds", "processor_seconds")}
    print(f"{'together':32}{_shown(together)}")
    if options.json:
        estimate = {"seconds": expected, "processor_seconds": processors}
        found = {"images": options.images, "model": options.model, "estimate": estimate, "together": together}
        options.json.write_text(json.dumps({"machine": machine(), **found, "measures": times}, indent=1) + "\n")


def table(document: Mapping[str, Any]) -> str:
    """Return what `--json` wrote as a table in Markdown; measures that took nothing of their own share a line."""
    rows = ["| measure | seconds | of processors |", "| --- | --- | --- |"]
    free = [name for name, one in document["measures"].items() if one["processor_seconds"] < NOTHING]
    named = {name: one for name, one in document["measures"].items() if name not in free}
    named |= {"all together": document["together"], "forecast": document["estimate"]}
    rows += [f"| {name} | {one['seconds']:.1f} | {one['processor_seconds']:.1f} |" for name, one in named.items()]
    return "\n".join([*rows, "", f"Less than {NOTHING:g} s each: {', '.join(free)}."])


def _shown(one: Mapping[str, float]) -> str:
    return f"{one['seconds']:9.2f} s {one['processor_seconds']:9.2f} s of processors"


def _timed(measure: Measure, context: MeasureContext) -> tuple[dict[str, float], str]:
    """Compute a measure; return its times, and a note if this network has no value."""
    from infomcr_cli.errors import InputError

    began, used, note = time.perf_counter(), time.process_time(), ""
    try:
        found = measure.compute(context)
        if found.value is None:
            note = f"  without a value: {found.extras.get('reason')}"
    except InputError as error:
        note = f"  without a value: {error.rule}"
    times = {"seconds": time.perf_counter() - began, "processor_seconds": time.process_time() - used}
    return times, note


def _context(options: argparse.Namespace, folder: Path) -> MeasureContext:
    from infomcr_cli.config.compose import compose_run
    from infomcr_cli.experiment.network import build_network, initial_weights
    from infomcr_cli.measures.context import MeasureContext

    draws = max(1, options.images // 100)
    chosen = {
        "model": options.model,
        "measure.names": options.names,
        "measure.samples": options.images,
        "measure.gamma.samples": options.images,
        "measure.gamma.draws": draws,
    }
    config = compose_run([*(f"{key}={value}" for key, value in chosen.items()), *options.overrides])
    dataset = _patterns(options.images)
    model, initial = build_network(config, dataset), initial_weights(config, dataset)
    _train(model, dataset)
    history = _history(folder / "run", initial or {})
    return MeasureContext(model, dataset, config.measure, 0, lambda: initial, 0.1, history)


def _patterns(count: int) -> Dataset:
    """Return images of ten classes, each a random pattern with noise."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, count).astype(np.int32)
    patterns = rng.uniform(64, 192, (10, 32, 32, 3))
    images = np.clip(patterns[labels] + NOISE * rng.standard_normal((count, 32, 32, 3)), 0, 255).astype(np.uint8)
    split = Split(images, labels)
    names = tuple(str(k) for k in range(10))
    return Dataset("patterns", split, split, names, (127.5,) * 3, (73.9,) * 3, True, "patterns")


def _train(model: keras.Model, dataset: Dataset) -> None:
    import keras

    split = dataset.train
    images = dataset.standardise(split.images[np.arange(len(split.labels))])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(LEARNING_RATE, momentum=0.9), loss, metrics=["accuracy"])
    fitted = model.fit(images, split.labels, batch_size=BATCH_SIZE, epochs=EPOCHS, verbose=0)
    found, accuracy = model.evaluate(images, split.labels, batch_size=200, verbose=0)
    print(
        f"trained to {found:.3f} nats ({accuracy:.1%}); in the last epoch {fitted.history['loss'][-1]:.3f}", flush=True
    )


def _history(path: Path, early: Mapping[str, Any]) -> RunHistory:
    """Return the history of a run of four epochs of ten steps."""
    from infomcr_cli.measures.history import RunHistory
    from infomcr_cli.runs import Checkpoint, MetricsLog, RunDirectory, epoch_name, new_status, save_checkpoint

    run = RunDirectory.create(path, config=b"{}\n", overrides=[], status=new_status("a" * 64))
    for epoch, loss in enumerate(LOSSES, start=1):
        MetricsLog(run).append(10 * epoch, epoch, {"train/loss": loss, "clean_train/loss": loss}, {})
    save_checkpoint(run, epoch_name(1), Checkpoint(10, 1, early))
    return RunHistory(run, 10 * len(LOSSES), LOSSES[-1])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--names", default="all", help="a suite, or a list such as [gamma,sharpness]")
    parser.add_argument("--model", default="wrn")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--table", type=Path, help="print a JSON document of an earlier run as a table, and do no more")
    parser.add_argument("overrides", nargs="*", help="further overrides, such as measure.noise.draws=2")
    return parser.parse_args()


if __name__ == "__main__":
    main()
