"""The time of each measure on Wide ResNet 28-2 with 1,000 images, and of all of them beside what was forecast.

Command:  python -m benchmarks.measures [--images 1000] [--names all] [--model wrn] [--json FILE] [--table FILE]
The images are random, and the network is untrained, moved a little from its initial weights. Nineteen images in twenty
have the class that the network gives them, so that there is a margin, and a history of four epochs stands in for
that of a run, so that each measure has a value. Times depend on none of this, but for searches that end when they have
found something. What measures share is timed with the first that asks for it, as in `infomcr eval`; compilation is part
of it. Seconds of the clock stand beside those of the processors, which other work on the machine changes less.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
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
MISLABELLED = 20  # one image in so many keeps its random label
NOTHING = 0.05  # seconds
MOVED = 0.1  # of the standard deviation of each weight
LOSSES = (1.5, 0.7, 0.3, 0.09)  # of the epochs of the history


def main() -> None:
    """Time every measure and print a table."""
    options = _options()
    if options.table:
        print(table(json.loads(options.table.read_text(encoding="utf-8"))))
        return
    from infomcr_cli.measures.base import chosen_measures
    from infomcr_cli.measures.evaluate import forecast

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
    from infomcr_cli.experiment.network import initial_weights, network
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
    dataset = _random_images(options.images)
    model, initial = network(config, dataset), initial_weights(config, dataset)
    _move(model)
    dataset = _as_labelled_by(model, dataset)
    history = _history(folder / "run", initial or {})
    return MeasureContext(model, dataset, config.measure, 0, lambda: initial, 0.1, history)


def _random_images(count: int) -> Dataset:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 32, 32, 3), np.uint8)
    split = Split(images, rng.integers(0, 10, count).astype(np.int32))
    names = tuple(str(k) for k in range(10))
    return Dataset("random", split, split, names, (127.5,) * 3, (73.9,) * 3, True, "random")


def _move(model: keras.Model) -> None:
    """Move the weights, as training does: measures of the distance from initialization need one."""
    rng = np.random.default_rng(1)
    for variable in model.trainable_variables:
        value = np.asarray(variable)
        variable.assign(value + MOVED * (value.std() or 1.0) * rng.standard_normal(value.shape))


def _as_labelled_by(model: keras.Model, dataset: Dataset) -> Dataset:
    """Give most images the class that the network gives them."""
    train = dataset.train
    images = dataset.standardise(train.images[np.arange(len(train.labels))])
    labels = model.predict(images, batch_size=200, verbose=0).argmax(axis=1).astype(np.int32)
    labels[::MISLABELLED] = train.labels[::MISLABELLED]
    return replace(dataset, train=Split(train.images, labels))


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
