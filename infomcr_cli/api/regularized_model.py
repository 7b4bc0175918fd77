"""`RegularizedModel`: a Keras model whose `fit` takes the steps of `train_step`, with a regularizer.

`fit` reads batches, calls callbacks and evaluates as Keras does. Only the step is another one: cross-entropy and the
network's own losses, plus what the regularizer adds to the gradient.
"""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from infomcr_cli.errors import InputError
from infomcr_cli.training.gradients import checked_labels, smoothed_labels, training_loss
from infomcr_cli.training.regularizers.base import Regularizer
from infomcr_cli.training.regularizers.fisher_trace import FisherTrace
from infomcr_cli.training.regularizers.gradient_norm import GradientNorm
from infomcr_cli.training.regularizers.local_minimum import LocalMinimum
from infomcr_cli.training.regularizers.sam import SAM
from infomcr_cli.training.step import take_step

OWN = {kind.__name__: kind for kind in (LocalMinimum, SAM, GradientNorm, FisherTrace)}
OF_THE_STEP = ("cross_entropy", "penalty")  # logs of training alone
_ADVICE = "Leave loss out, or give SparseCategoricalCrossentropy(from_logits=True)."


@keras.saving.register_keras_serializable(package="infomcr")
class CrossEntropy(keras.losses.Loss):
    """Cross-entropy of logits [b, C] at class indices [b] or [b, 1], or at class weights [b, C], nats.

    Args:
        label_smoothing: share of each label that is spread evenly over all classes.
    """

    def __init__(self, label_smoothing: float = 0.0, name: str = "cross_entropy", **options: Any) -> None:
        super().__init__(name=name, **options)
        self.label_smoothing = label_smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of each sample, [b]."""
        classes, share = y_pred.shape[-1], self.label_smoothing
        if len(y_true.shape) == 1 or y_true.shape[1] == 1:
            y_true = tf.one_hot(tf.cast(tf.reshape(y_true, [-1]), tf.int64), classes, dtype=y_pred.dtype)
        return tf.nn.softmax_cross_entropy_with_logits((1 - share) * y_true + share / classes, y_pred)

    def get_config(self) -> dict[str, Any]:
        """Return what a saved file keeps of it."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}


@keras.saving.register_keras_serializable(package="infomcr")
class RegularizedModel(keras.Model):
    """A network with a regularizer, to be compiled and fitted as any Keras model.

    The loss is cross-entropy of logits, which the regularizers are defined on. Each step equals that of
    `train_step`. The logs of an epoch have `loss` (cross-entropy and the network's own losses, as Keras counts
    it), `cross_entropy` (nats), `penalty` (the regularizer's value without its weight) and the compiled metrics;
    `evaluate` gives `loss` and the metrics. `save`, `save_weights`, `load_weights` and `export` are those of the
    network inside: a saved file is loaded by plain Keras, without this package.

    Args:
        network:     a Keras model that maps a sample to logits; its weights are trained. It is kept as `.network`.
        regularizer: `LocalMinimum()`, `SAM()`, `GradientNorm()`, `FisherTrace()` or a function of the same form; None
                     for the plain step. The attribute may be set between two calls of `fit`, or by a callback, to begin
                     or to end with it.

    Raises:
        InputError: the network is no Keras model; later, a batch cannot be split into the regularizer's sub-batches,
            or samples have weights.

    Examples:
        >>> import keras, numpy as np
        >>> from infomcr_cli import LocalMinimum, RegularizedModel
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.standard_normal((64, 8)), rng.integers(0, 3, 64)
        >>> network = keras.Sequential([keras.Input([8]), keras.layers.Dense(3)])
        >>> model = RegularizedModel(network, LocalMinimum(num_sub_batches=4))
        >>> model.compile("sgd", metrics=["accuracy"])
        >>> sorted(model.fit(x, y, batch_size=32, verbose=0).history)
        ['accuracy', 'cross_entropy', 'loss', 'penalty']
    """

    def __init__(self, network: keras.Model, regularizer: Regularizer | None = None, **options: Any) -> None:
        if not isinstance(network, keras.Model) or isinstance(network, RegularizedModel):
            raise InputError("network must be a plain keras.Model", received=type(network).__name__)
        if isinstance(regularizer, type) or not (regularizer is None or callable(regularizer)):
            received = getattr(regularizer, "__name__", type(regularizer).__name__)
            raise InputError("regularizer must be an object such as LocalMinimum(), or None", received=received)
        options = {"name": f"regularized_{network.name}", "dtype": network.dtype_policy, **options}
        super().__init__(**options, autocast=False)  # the network casts its inputs itself
        self.network = network
        self._regularizer = regularizer
        self._means = {name: keras.metrics.Mean(name=name) for name in OF_THE_STEP}
        self._label_smoothing = 0.0
        self.built = network.built

    @property
    def regularizer(self) -> Regularizer | None:
        """What is added to each step; None for the plain one."""
        return self._regularizer

    @regularizer.setter
    def regularizer(self, regularizer: Regularizer | None) -> None:
        self._regularizer = regularizer
        if getattr(self, "train_function", None) is not None:
            self.make_train_function(force=True)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Return the logits of the network, [b, C]."""
        return self.network(inputs, training=training)

    def build(self, input_shape: Any) -> None:
        """Build the network."""
        if not self.network.built:
            self.network.build(input_shape)
        self.built = True

    def compile(
        self, optimizer: Any = "rmsprop", loss: Any = None, loss_weights: Any = None, *arguments: Any, **options: Any
    ) -> None:
        """Compile as any Keras model; the loss is cross-entropy of logits.

        Args:
            optimizer: of Keras; clipping, averages of weights and loss scaling are its own.
            loss:      may be left out; otherwise a cross-entropy of Keras with from_logits=True. The label smoothing of
                       `CategoricalCrossentropy` counts, for labels of any form.
            options:   as in Keras: metrics, run_eagerly, steps_per_execution, jit_compile, …

        Raises:
            InputError: the loss is another one.
        """
        if loss_weights is not None:
            raise InputError("a RegularizedModel has one loss, without loss_weights", received=loss_weights)
        self._label_smoothing = _label_smoothing(loss)
        dtype = "float64" if self.network.compute_dtype == "float64" else "float32"
        super().compile(optimizer, CrossEntropy(self._label_smoothing, dtype=dtype), None, *arguments, **options)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile a model that is loaded from a file as it was when it was saved."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def fit(self, *arguments: Any, **options: Any) -> Any:
        """Train as `keras.Model.fit` does, with its arguments.

        Raises:
            InputError: batches cannot be split into sub-batches, samples or classes have weights, or labels are not
                classes of the network.
        """
        given = inspect.signature(super().fit).bind(*arguments, **options)
        given.apply_defaults()
        self._check_fit(given.arguments)
        return super().fit(*arguments, **options)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take one step and return the running means of the epoch."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        _refuse_weights(sample_weight)
        share, count = self._label_smoothing, tf.shape(keras.tree.flatten(x)[0])[0]
        step = take_step(self.network, self.optimizer, x, y, regularizer=self._regularizer, label_smoothing=share)
        with smoothed_labels(share):
            minimized = training_loss(y, step.logits) if share else step.loss
        loss_tracker = self.metrics[0]  # Keras lists it first
        for mean, value in (
            (loss_tracker, minimized + step.l2),
            (self._means["cross_entropy"], step.loss),
            (self._means["penalty"], step.penalty),
        ):
            mean.update_state(value, sample_weight=count)
        return dict(self.compute_metrics(x, y, step.logits, None))

    def test_step(self, data: Any) -> dict[str, Any]:
        """Evaluate one batch as Keras does."""
        results = super().test_step(data)
        return {name: value for name, value in results.items() if name not in OF_THE_STEP}

    def save(self, *arguments: Any, **options: Any) -> None:
        """Save the network inside, which plain Keras loads; the optimizer is not in the file."""
        self.network.save(*arguments, **options)

    def save_weights(self, *arguments: Any, **options: Any) -> None:
        """Save the weights of the network inside."""
        self.network.save_weights(*arguments, **options)

    def load_weights(self, *arguments: Any, **options: Any) -> None:
        """Load weights that were saved from the network inside."""
        self.network.load_weights(*arguments, **options)

    def export(self, *arguments: Any, **options: Any) -> None:
        """Export the network inside for serving."""
        self.network.export(*arguments, **options)

    def get_config(self) -> dict[str, Any]:
        """Return what `keras.saving.save_model` writes about this model, the regularizer included.

        Raises:
            InputError: the regularizer is a function of the user.
        """
        kind = type(self._regularizer).__name__
        if self._regularizer is not None and OWN.get(kind) is not type(self._regularizer):
            advice = "model.save(FILE) saves the network inside."
            raise InputError("only a regularizer of infomcr can be saved", received=kind, advice=advice)
        settings = None if self._regularizer is None else {"kind": kind, **asdict(self._regularizer)}
        network = keras.saving.serialize_keras_object(self.network)
        return {"name": self.name, "network": network, "regularizer": settings}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> RegularizedModel:
        """Return the model that `get_config` describes."""
        network = keras.saving.deserialize_keras_object(config["network"], custom_objects=custom_objects)
        settings = dict(config["regularizer"] or {})
        regularizer = OWN[settings.pop("kind")](**settings) if settings else None
        return cls(network, regularizer, name=config["name"])

    def _check_fit(self, given: dict[str, Any]) -> None:
        for name in ("sample_weight", "class_weight"):
            _refuse_weights(given[name], name)
        x, y = given["x"], given["y"]
        if isinstance(y, np.ndarray) and len(y):
            checked_labels(self.network, y)
        parts = getattr(self._regularizer, "num_sub_batches", 1)
        if parts == 1 or not getattr(self._regularizer, "is_active", True):
            return
        for size in _batch_sizes(x, given):
            if size % parts:
                drop = "Drop the incomplete last batch: x[:n], or a tf.data.Dataset with drop_remainder=True."
                received = f"num_sub_batches={parts}, a batch of {size} samples"
                raise InputError("num_sub_batches must divide every batch", received=received, advice=drop)


def _batch_sizes(x: Any, given: dict[str, Any]) -> list[int]:
    """Return the sizes of batches, as far as they are known before training."""
    if isinstance(x, tf.data.Dataset):
        shapes = [spec.shape for spec in tf.nest.flatten(x.element_spec)]
        return [int(shape[0]) for shape in shapes[:1] if shape.rank and shape[0] is not None]
    shape = tuple(getattr(keras.tree.flatten(x)[0], "shape", ())) if x is not None else ()
    if not shape or given["steps_per_epoch"] is not None:
        return []
    count, size = int(shape[0]), given["batch_size"] or 32  # the default of Keras
    if given["validation_split"] and given["validation_data"] is None:
        count = int(np.floor(count * (1 - given["validation_split"])))
    return [part for part in (min(size, count), count % size) if part]


def _refuse_weights(weights: Any, name: str = "sample_weight") -> None:
    if weights is not None:
        rule = "a RegularizedModel weights all samples alike"
        raise InputError(rule, received=name, advice="Leave the weights out, or repeat samples in the data.")


def _label_smoothing(loss: Any) -> float:
    """Return the share of label smoothing of a loss; raise InputError unless it is mean cross-entropy of logits."""
    if loss is None or isinstance(loss, CrossEntropy):
        return getattr(loss, "label_smoothing", 0.0)
    kinds = (keras.losses.SparseCategoricalCrossentropy, keras.losses.CategoricalCrossentropy)
    rule = "the loss of a RegularizedModel must be the mean cross-entropy of logits"
    if not isinstance(loss, kinds):
        received = loss if isinstance(loss, str) else getattr(loss, "__name__", type(loss).__name__)
        raise InputError(rule, received=received, advice=_ADVICE)
    expected = {"from_logits": True, "reduction": "sum_over_batch_size", "ignore_class": None}
    settings = loss.get_config()
    for name, value in expected.items():
        if settings.get(name, value) != value:
            raise InputError(rule, received=f"{name}={settings[name]!r}", advice=_ADVICE)
    return float(settings.get("label_smoothing", 0.0))
