"""`RegularizedModel`: a Keras model whose `fit` trains with a regularizer, by the steps of `train_step`.

`fit` reads batches, calls callbacks and evaluates as Keras does. Only the step is another one: cross-entropy and the
network's own losses, plus what the regularizer adds to the gradient.
"""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import Any

import keras
import tensorflow as tf

from infomcr_cli.api.cross_entropy import CrossEntropy, label_smoothing_of
from infomcr_cli.api.fit_checks import check_fit, refuse_weights
from infomcr_cli.errors import InputError
from infomcr_cli.training.gradients import smoothed_labels, training_loss
from infomcr_cli.training.regularizers.base import Regularizer
from infomcr_cli.training.regularizers.fisher_trace import FisherTrace
from infomcr_cli.training.regularizers.gradient_norm import GradientNorm
from infomcr_cli.training.regularizers.local_minimum import LocalMinimum
from infomcr_cli.training.regularizers.sam import SAM
from infomcr_cli.training.step import take_step

OWN = {kind.__name__: kind for kind in (LocalMinimum, SAM, GradientNorm, FisherTrace)}
OF_THE_STEP = ("cross_entropy", "penalty")  # logs of training alone


@keras.saving.register_keras_serializable(package="infomcr")
class RegularizedModel(keras.Model):
    """A network with a regularizer that is compiled and fitted like any Keras model.

    The loss is cross-entropy of logits. Each step equals that of `train_step`. The logs of an epoch have `loss`
    (cross-entropy plus the network's own losses, as in Keras), `cross_entropy` (nats), `penalty` (the regularizer's
    value before its weight) and the compiled metrics; `evaluate` returns `loss` and the metrics. `save`,
    `save_weights`, `load_weights` and `export` act on the inner network, so plain Keras can load a saved file.

    Args:
        network:     a Keras model that returns logits; its weights are trained. Available as `.network`.
        regularizer: `LocalMinimum()`, `SAM()`, `GradientNorm()`, `FisherTrace()` or a callable of the same form; None
                     for plain steps. Set the attribute between two calls of `fit`, or in a callback, to switch it.

    Raises:
        InputError: the network is not a Keras model; later, a batch cannot be split into the regularizer's sub-batches,
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
        """The regularizer of each step; None for plain steps."""
        return self._regularizer

    @regularizer.setter
    def regularizer(self, regularizer: Regularizer | None) -> None:
        self._regularizer = regularizer
        if getattr(self, "train_function", None) is not None:
            self.make_train_function(force=True)  # the compiled step holds the regularizer that it was traced with

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
        """Compile like any Keras model; the loss is cross-entropy of logits.

        Args:
            optimizer: of Keras; clipping, averages of weights and loss scaling are its own.
            loss:      may be left out; otherwise a cross-entropy of Keras with from_logits=True. The label smoothing of
                       `CategoricalCrossentropy` counts, for labels of any form.
            options:   as in Keras: metrics, run_eagerly, steps_per_execution, jit_compile, …

        Raises:
            InputError: the loss is another one.
        """
        if loss_weights is not None:
            raise InputError("RegularizedModel does not support loss_weights", received=loss_weights)
        self._label_smoothing = label_smoothing_of(loss)
        dtype = "float64" if self.network.compute_dtype == "float64" else "float32"
        super().compile(optimizer, CrossEntropy(self._label_smoothing, dtype=dtype), None, *arguments, **options)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compile a loaded model as it was when it was saved."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:  # as Keras does: the saved state of the optimizer is loaded into its variables
            self.optimizer.build(self.trainable_variables)

    def fit(self, *arguments: Any, **options: Any) -> Any:
        """Train as `keras.Model.fit` does, with its arguments.

        Raises:
            InputError: batches cannot be split into sub-batches, samples or classes have weights, or labels are not
                classes of the network.
        """
        given = inspect.signature(super().fit).bind(*arguments, **options)
        given.apply_defaults()
        check_fit(self.network, self._regularizer, given.arguments)
        return super().fit(*arguments, **options)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Take one step and return the running means of the epoch."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        refuse_weights(sample_weight)
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
        """Save the inner network without the optimizer; plain Keras can load it."""
        self.network.save(*arguments, **options)

    def save_weights(self, *arguments: Any, **options: Any) -> None:
        """Save the weights of the inner network."""
        self.network.save_weights(*arguments, **options)

    def load_weights(self, *arguments: Any, **options: Any) -> None:
        """Load saved weights into the inner network."""
        self.network.load_weights(*arguments, **options)

    def export(self, *arguments: Any, **options: Any) -> None:
        """Export the inner network for serving."""
        self.network.export(*arguments, **options)

    def get_config(self) -> dict[str, Any]:
        """Return the configuration for `keras.saving.save_model`, including the regularizer.

        Raises:
            InputError: the regularizer is a function of the user.
        """
        kind = type(self._regularizer).__name__
        if self._regularizer is not None and OWN.get(kind) is not type(self._regularizer):
            advice = "model.save(FILE) saves the network inside."
            raise InputError("only infomcr's own regularizers can be saved", received=kind, advice=advice)
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
