"""Compute the paths between two minima: the straight line, with or without alignment, and a trained curve."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console

from infomcr_cli.console.parts import SECONDS_BETWEEN_LINES, PartsProgress
from infomcr_cli.console.screen import say
from infomcr_cli.console.text import clock_time
from infomcr_cli.data import Split, evaluation_batches
from infomcr_cli.errors import InputError
from infomcr_cli.landscapes.alignment import Alignment, align
from infomcr_cli.landscapes.alignment_channels import channel_groups
from infomcr_cli.landscapes.minima import Minimum
from infomcr_cli.landscapes.network import LandscapeNetwork, in_memory, open_network
from infomcr_cli.landscapes.path_curve import Arrays, on_curve, on_line
from infomcr_cli.landscapes.path_folder import PathFolder, Point
from infomcr_cli.landscapes.path_settings import PathSettings, curve_training
from infomcr_cli.landscapes.path_training import CurveTraining, curve_batches, train_curve
from infomcr_cli.measures.draws import image_order
from infomcr_cli.models.score import Score
from infomcr_cli.report.path_document import (
    VALUES,
    PathAlignment,
    PathDocument,
    PathEnd,
    PathScore,
    PathValues,
    barriers,
)
from infomcr_cli.runs import read_status

PASSES_OF_A_STEP = 3  # of training, in forward passes over its batch: for the forecast
FEW = 64  # images on which functions are compared
SAME = 1e-3  # largest relative change of the logits: what rounding in float32 leaves, and no more


@dataclass(frozen=True)
class PathNetwork:
    """The network of both minima, scored at any weights on training and test images.

    Args:
        network: at the first minimum.
        test:    the test images that values are taken of.
    """

    network: LandscapeNetwork
    test: Split

    def scores(self, weights: Arrays, *, renew: bool = False) -> tuple[Score, Score]:
        """Return the scores on both splits at weights with their own moving statistics, as `eval` does.

        Args:
            renew: compute the statistics anew, of the training images without augmentation.
        """
        train, measured = self.network.score(weights, renew=renew), self.network.network
        test = evaluation_batches(self.test, measured.dataset, measured.config.measure.batch_size)
        return train, measured.score(test)

    def renewed(self, weights: Arrays) -> Point:
        """Return the values at weights after the moving statistics of batch norm were renewed."""
        train, test = self.scores(weights, renew=True)
        found = (train.loss, 1.0 - train.accuracy, test.loss, 1.0 - test.accuracy)
        return {name: value if np.isfinite(value) else None for name, value in zip(VALUES, found, strict=True)}


def compute_path(
    settings: PathSettings, ends: tuple[Minimum, Minimum], folder: PathFolder, console: Console
) -> tuple[PathDocument, dict[str, Any] | None]:
    """Compute the missing parts of a path; return its document and the trained control point, if any.

    Raises:
        InputError: the runs' data or network cannot be used.
        RunFailedError: the loss of the curve is not finite.
    """
    return _Computation(settings, ends, folder, console).result()


class _Computation:
    """The steps of one computation, and its progress messages."""

    def __init__(
        self, settings: PathSettings, ends: tuple[Minimum, Minimum], folder: PathFolder, console: Console
    ) -> None:
        self._settings, self._ends, self._folder, self._console = settings, ends, folder, console
        first, samples = ends[0], settings.samples
        network = open_network(first.run, first.config, first.checkpoint, samples)
        dataset = network.network.dataset
        order = image_order(dataset.test.labels, dataset.stored_order)[:samples]
        self._network = PathNetwork(network, in_memory(dataset.test if samples is None else dataset.test.take(order)))
        self._first, self._last = (one.checkpoint.weights for one in ends)

    def result(self) -> tuple[PathDocument, dict[str, Any] | None]:
        training = curve_training(self._settings, self._ends[0].config) if self._settings.steps else None
        batches = self._batches(training)  # refused before hours of work
        groups = channel_groups(self._network.network.model) if self._settings.align else None
        scores, seconds = self._scored_ends()
        self._foretell(seconds, training)
        paths = {"linear": self._along("linear", lambda t: on_line(self._first, self._last, t))}
        alignment, last = None, self._last
        if groups is not None:
            alignment, last = self._aligned(groups)
            paths["aligned"] = self._along("aligned", lambda t: on_line(self._first, last, t))
        control = None
        if training is not None and batches is not None:
            control = self._trained(training, batches, last)
            middle = control
            paths["curve"] = self._along("curve", lambda t: on_curve(self._first, middle, last, t))
        document = PathDocument(
            ends=[_end(one, score) for one, score in zip(self._ends, scores, strict=True)],
            points=self._settings.points,
            steps=self._settings.steps,
            samples={"train": len(self._network.network.samples), "test": len(self._network.test)},
            seed=self._settings.seed,
            paths=paths,
            barriers=barriers(paths),
            alignment=None if alignment is None else _description(alignment),
            training=training,
        )
        return document, control

    def _batches(self, training: Mapping[str, Any] | None) -> Any:
        if training is None:
            return None
        config, dataset = self._ends[0].config, self._network.network.network.dataset
        size, seed = training["batch_size"], self._settings.seed
        return curve_batches(dataset, config, size, self._settings.steps, seed)

    def _scored_ends(self) -> tuple[list[tuple[Score, Score]], tuple[float, float]]:
        """Return the scores of both ends as `eval` reports them, and the seconds of each; the first compiles."""
        clock = [time.monotonic()]
        scores = []
        for weights in (self._first, self._last):
            scores.append(self._network.scores(weights))
            clock.append(time.monotonic())
        return scores, (clock[1] - clock[0], clock[2] - clock[1])

    def _foretell(self, seconds: tuple[float, float], training: Mapping[str, Any] | None) -> None:
        """Print the amount of work and an estimate of its duration.

        Args:
            seconds: of two evaluations, of which the first compiled the network.
        """
        compiling = max(0.0, seconds[0] - seconds[1]) * ((training is not None) * PASSES_OF_A_STEP + 1)
        train, test = len(self._network.network.samples), len(self._network.test)
        per_image, paths = seconds[1] / (train + test), 1 + self._settings.align + (training is not None)
        renewals = train if self._network.network.batch_statistics.is_needed else 0
        points = paths * self._settings.points * (train + test + renewals)
        steps = self._settings.steps * PASSES_OF_A_STEP * training["batch_size"] if training else 0
        passes = f"{train:,} training and {test:,} test images"
        renewed = ", moving statistics renewed before" if renewals else ""
        curve = f"; {self._settings.steps:,} steps of the curve" if training else ""
        line = f"{paths} path{'s' if paths > 1 else ''} of {self._settings.points} points, each on {passes}"
        say(self._console, f"{line}{renewed}{curve}: about {clock_time(compiling + per_image * (points + steps))}")

    def _along(self, kind: str, weights: Callable[[float], Arrays]) -> PathValues:
        """Return the values along a path; points that are done are not computed again."""
        places = np.linspace(0.0, 1.0, self._settings.points)
        known = [self._folder.point(kind, index) for index in range(len(places))]
        done = sum(one is not None for one in known)
        found = []
        with PartsProgress(self._console, "points", len(places), done).shown() as progress:
            for index, (t, point) in enumerate(zip(places.tolist(), known, strict=True)):
                if point is None:
                    point = self._network.renewed(weights(t))
                    self._folder.keep_point(kind, index, point)
                    progress.part(kind)
                found.append(point)
        return PathValues(t=places.tolist(), **{name: [point[name] for point in found] for name in VALUES})

    def _aligned(self, groups: Any) -> tuple[Alignment, dict[str, Any]]:
        """Align the second network, and check that its function is the same."""
        say(self._console, f"aligning {sum(group.size for group in groups):,} channels in {len(groups)} groups")
        found = self._folder.alignment(groups)
        if found is None:
            trainable, seed, saying = self._network.network.trainable, self._settings.seed, _SweepLines(self._console)
            found = align(self._first, self._last, groups, trainable=trainable, seed=seed, on_sweep=saying)
            self._folder.keep_alignment(found)
        last = found.permuted(self._last)
        before, after = (self._logits(weights) for weights in (self._last, last))
        change = float(np.abs(after - before).max() / np.abs(before).max())
        if not change <= SAME:
            raise InputError("alignment must not change the network's function", received=f"{change:g} of a logit")
        return found, last

    def _logits(self, weights: Arrays) -> Any:
        network = self._network.network
        network.place(weights)
        images = network.network.dataset.standardise(network.samples.images[:FEW])
        return np.asarray(network.model(images, training=False), np.float64)

    def _trained(self, training: Mapping[str, Any], batches: Any, last: Arrays) -> dict[str, Any]:
        """Return the trained control point by name."""
        steps = self._settings.steps
        curve = CurveTraining(self._network.network.model, self._first, last, training, self._settings.seed)
        curve.resume(self._folder)
        if curve.steps < steps:
            curve.compile(next(iter(batches(curve.steps))))  # before the time that is left is counted
        with PartsProgress(self._console, "steps", steps, curve.steps).shown() as progress:
            train_curve(
                curve,
                batches,
                self._folder,
                steps=steps,
                seed=self._settings.seed,
                on_step=lambda: progress.part("curve"),
            )
        return curve.control()


class _SweepLines:
    """Prints the number of finished sweeps of an alignment; the total is unknown."""

    def __init__(self, console: Console) -> None:
        self._console, self._sweeps, self._said_at = console, 0, time.monotonic()

    def __call__(self) -> None:
        """Count a sweep."""
        self._sweeps += 1
        if time.monotonic() - self._said_at >= SECONDS_BETWEEN_LINES:
            self._said_at = time.monotonic()
            say(self._console, f"aligning: {self._sweeps} sweeps over all groups")


def _end(minimum: Minimum, scores: tuple[Score, Score]) -> PathEnd:
    train, test = (PathScore(loss=score.loss if score.is_finite else None, accuracy=score.accuracy) for score in scores)
    checkpoint = minimum.checkpoint
    return PathEnd(
        run=str(minimum.run.path),
        name=minimum.run.name,
        uid=read_status(minimum.run).uid,
        checkpoint=minimum.name,
        step=checkpoint.step,
        epoch=checkpoint.epoch,
        train=train,
        test=test,
    )


def _description(alignment: Alignment) -> PathAlignment:
    description = {
        "method": "weight matching",
        "groups": len(alignment.groups),
        "channels": alignment.channels,
        "moved": alignment.moved,
        "sweeps": alignment.sweeps,
        "distance_before": alignment.before,
        "distance_after": alignment.after,
    }
    return PathAlignment.model_validate(description)
