"""What takes turns in `benchmarks/training.py`: each row in a process of its own, its seconds as JSON."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np

BATCH = 128
WHOLE = ["model=wrn", "augment=standard", "tracking=mlflow", f"data.batch_size={BATCH}", "schedule=constant"]


def _random_data(folder: Path, count: int) -> Path:
    """Write random images of the size of CIFAR-10's as a source for `data=npz`."""
    rng = np.random.default_rng(0)
    sizes = {"train": count, "test": BATCH}
    images: dict[str, Any] = {
        f"{name}_images": rng.integers(0, 256, (n, 32, 32, 3), np.uint8) for name, n in sizes.items()
    }
    labels: dict[str, Any] = {f"{name}_labels": np.arange(n, dtype=np.int64) % 10 for name, n in sizes.items()}
    np.savez(folder / "random.npz", **images, **labels)
    return folder / "random.npz"


def _step_of(precision: str, deterministic: bool) -> Callable[[], None]:
    """Return a plain training step on one batch in memory, waited for."""
    import tensorflow as tf

    from infomcr_cli import runtime
    from infomcr_cli.config.compose import compose_run
    from infomcr_cli.models import build_model
    from infomcr_cli.training.state import TrainingState

    settings = [f"precision={precision}", f"deterministic={str(deterministic).lower()}"]
    runtime.prepare(compose_run(settings))
    model = build_model("wrn", input_shape=(32, 32, 3), num_classes=10, depth=28, width=2, l2=5e-4)
    state = TrainingState(model, _sgd())
    images, labels = tf.random.normal((BATCH, 32, 32, 3)), tf.range(BATCH, dtype=tf.int32) % 10

    def step() -> None:
        state.plain_step(images, labels)
        state.failed_at.numpy()

    return step


def _bare_step() -> Callable[[], None]:
    """Return the least that trains: one tf.function around a tape and an optimizer, on one batch in memory."""
    import tensorflow as tf

    from infomcr_cli.models import build_model

    model = build_model("wrn", input_shape=(32, 32, 3), num_classes=10, depth=28, width=2, l2=5e-4)
    optimizer = _sgd()
    optimizer.build(model.trainable_variables)
    images, labels = tf.random.normal((BATCH, 32, 32, 3)), tf.range(BATCH, dtype=tf.int32) % 10

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, model(images, training=True))
            loss = tf.reduce_mean(losses) + tf.add_n(model.losses)
        optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
        return loss

    return lambda: step().numpy()


def _sgd() -> Any:
    import keras

    return keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)


def _seconds(step: Callable[[], None], steps: int) -> float:
    began = time.perf_counter()
    for _ in range(steps):
        step()
    return time.perf_counter() - began


def _take_turns(options: argparse.Namespace, ours: Callable[[int], float], theirs: Callable[[int], float]) -> None:
    """Print what each side took, turn by turn, after a first turn that is not counted."""
    ours(2), theirs(2)
    turns = [(ours(options.steps), theirs(options.steps)) for _ in range(options.rounds)]
    _answer(*zip(*turns, strict=True), steps=options.steps)


def _answer(ours: Sequence[float], theirs: Sequence[float], *, steps: int) -> None:
    """Print the seconds of a step in each turn, and how many images a step takes."""
    print(json.dumps({"ours": [t / steps for t in ours], "theirs": [t / steps for t in theirs], "images": BATCH}))


def _precision(options: argparse.Namespace) -> None:
    half = _step_of("mixed_bfloat16", options.deterministic)
    half()
    single = _step_of("float32", options.deterministic)
    _take_turns(options, lambda n: _seconds(half, n), lambda n: _seconds(single, n))


def _torch(options: argparse.Namespace) -> None:
    step = _step_of("float32", options.deterministic)
    with _torch_peer() as theirs:
        _take_turns(options, lambda n: _seconds(step, n), theirs)


@contextmanager
def _torch_peer() -> Iterator[Callable[[int], float]]:
    command = [os.environ["INFOMCR_PEERS"], str(Path(__file__).with_name("torch_step.py")), str(BATCH)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        asks, answers = _pipes(peer)
        weights = int(answers.readline())
        assert weights == 1_467_610, f"not the same network: {weights} weights"

        def steps(count: int) -> float:
            asks.write(f"{count}\n")
            asks.flush()
            return float(answers.readline())

        yield steps
        asks.close()


def _pipes(peer: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert peer.stdin is not None
    assert peer.stdout is not None
    return peer.stdin, peer.stdout


@dataclass
class BareTurns:
    """Stands in for the evaluation of a whole run: there the bare loop has its turn, and the clock of the run stands.

    Args: marks: when each turn of the bare loop began and ended.
    """

    steps: int
    step: Callable[[], None] | None = None
    marks: list[tuple[float, float]] = field(default_factory=list)

    def __call__(self) -> Any:
        """Take a turn."""
        from infomcr_cli.models.score import Score

        if self.step is None:
            self.step = _bare_step()
            self.step()
        began = time.perf_counter()
        _seconds(self.step, self.steps)
        self.marks.append((began, time.perf_counter()))
        return Score(0.0, 0.0)


def _whole(options: argparse.Namespace) -> None:
    """Train with everything on, in epochs of a few steps: pipeline, progress, metrics, checkpoints, MLflow."""
    from rich.console import Console

    from infomcr_cli.train import TrainRequest, train
    from infomcr_cli.training import trainer as session
    from infomcr_cli.training.setup import set_up

    turns = BareTurns(options.steps)

    def with_bare_turns(config: Any) -> Any:
        setup = set_up(config)
        return replace(setup, inputs=replace(setup.inputs, evaluations={"bare": turns}))

    vars(session)[set_up.__name__] = with_bare_turns
    with tempfile.TemporaryDirectory() as folder:
        data = _random_data(Path(folder), options.steps * BATCH)
        settings = [f"data.root={data}", f"data.cache={folder}", f"schedule.epochs={options.rounds + 2}"]
        settings.append(f"deterministic={str(options.deterministic).lower()}")
        result = train(TrainRequest(["data=npz", *WHOLE, *settings], Path(folder) / "runs" / "a"), Console(stderr=True))
        assert result.exit_code == 0, result.reason
    marks = turns.marks[1:]  # MLflow is imported in the epoch before
    whole = [after[0] - before[1] for before, after in pairwise(marks)]
    _answer(whole, [end - began for began, end in marks[1:]], steps=options.steps)


def _start(options: argparse.Namespace) -> None:
    """Print the way from the start of this process to the first step on digits: seconds and processor seconds."""
    import psutil

    last = (psutil.Process().create_time(), 0.0)
    parts: dict[str, tuple[float, float]] = {}

    def passed(part: str) -> None:
        nonlocal last
        now = (time.time(), time.process_time())
        parts[part], last = (now[0] - last[0], now[1] - last[1]), now

    from infomcr_cli import cli  # noqa: F401
    from infomcr_cli.config.compose import compose_run

    config = compose_run(["data=digits"])
    passed("Python, command line, settings")
    from infomcr_cli import runtime

    passed("importing TensorFlow and Keras")
    from infomcr_cli.data import load_dataset
    from infomcr_cli.training.loop import Position
    from infomcr_cli.training.setup import set_up

    load_dataset(config.data, seed=0)
    passed("data")
    runtime.prepare(config)
    setup = set_up(config)
    passed("building the network")
    batch = next(iter(setup.inputs.batches(Position())))
    passed("input pipeline")
    setup.state.plain_step(*batch)
    passed("tracing and taking the first step")
    print(json.dumps(parts))


def main() -> None:
    """Carry out one row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("row", choices=CHILDREN)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--deterministic", type=lambda word: word == "true", default=True)
    options = parser.parse_args()
    CHILDREN[options.row](options)


CHILDREN = {"whole": _whole, "precision": _precision, "torch": _torch, "start": _start}

if __name__ == "__main__":
    main()
