"""`measure`: computes the generalization measures of any Keras model, like `infomcr eval`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from infomcr_cli.api.arguments import network_of, samples_of, whole_number
from infomcr_cli.api.given_data import Samples, given_data
from infomcr_cli.config.schema.measure import MeasureConfig
from infomcr_cli.data.labels import class_indices
from infomcr_cli.errors import InputError
from infomcr_cli.measures.base import check_measures, chosen_measures
from infomcr_cli.measures.context import InitialWeights, MeasureContext
from infomcr_cli.measures.evaluate import evaluate_measures
from infomcr_cli.measures.stateless import complete, without_tf32
from infomcr_cli.measures.value import MeasureValue
from infomcr_cli.models.names import named_weights
from infomcr_cli.models.score import Score, make_scorer

if TYPE_CHECKING:
    import keras

Entry = dict[str, Any]


@without_tf32()
def measure(
    model: keras.Model,
    train: Any,
    test: Any = None,
    *,
    names: str | Iterable[str] = "standard",
    seed: int = 0,
    initial: Any = None,
    settings: Mapping[str, Any] | None = None,
) -> dict[str, Entry]:
    """Compute measures of a network; the result equals that of `infomcr eval` on the same data in the same order.

    The samples are passed to the network unchanged, so scale them as in its training. The network
    is not changed. A measure that is not available has the value None and a `reason`; the others are computed.

    Args:
        model:    any Keras 3 model that maps a sample to logits, or a `RegularizedModel`.
        train:    (x, y), training samples and their classes: x [n, ...], or a dict of arrays by input name if it
                  has several; y whole numbers, [n] or [n, 1]. Draws and subsets are taken from the first ones.
        test:     (x, y) of test samples; None: omit test scores.
        names:    a suite such as `fast`, `standard` or `all`, a measure, or a list of measures; `infomcr measures`
                  lists them.
        seed:     seed for random choices, such as noise on the weights; does not affect the draws of gamma.
        initial:  the weights before training, for measures that need them: the earlier `model.get_weights()`, a dict
                  from `named_weights`, or a model that holds them.
        settings: settings of `measure.` by name, such as {"gamma.draw_size": 50}; others are those of the suite.

    Returns:
        {NAME: {"value", "std_error", "unit", "direction", "convention", …}}. With a test set also `train_error`,
        `test_error` and `gap_error` as fractions, `test_loss` and `gap_loss` in nats.

    Raises:
        InputError: the model outputs probabilities, a name is unknown, or arrays do not fit together.

    Examples:
        >>> import keras, numpy as np
        >>> from infomcr_cli import measure
        >>> rng = np.random.default_rng(0)
        >>> x, y = rng.standard_normal((40, 8)), rng.integers(0, 3, 40)
        >>> model = keras.Sequential([keras.Input([8]), keras.layers.Dense(3, kernel_initializer="zeros")])
        >>> found = measure(model, (x, y), names=["train_loss", "parameter_count"])
        >>> round(found["train_loss"]["value"], 4), found["train_loss"]["unit"]  # ln 3
        (1.0986, 'nats')
        >>> found["parameter_count"]["value"]
        27.0
    """
    network, seed = network_of(model), whole_number("seed", seed, least=0)
    config = _config(names, settings or {})
    chosen_measures(config.names)  # raises if a name is unknown
    x, y = samples_of("train", train)
    tested = None if test is None else samples_of("test", test)
    classes = complete(network, x)
    class_indices(y, "labels of train", classes=classes)
    score, before = make_scorer(network), _initial_weights(network, initial)
    on_train, scores = score(_batches((x, y), config.batch_size)), {}
    if tested is not None:  # first: what cannot be scored is refused before the measures, which may take hours
        class_indices(tested[1], "labels of test", classes=classes)
        scores = _scores(on_train, score(_batches(tested, config.batch_size)), len(y), len(tested[1]))
    ctx = MeasureContext(network, given_data((x, y), tested, classes), config, seed, before, on_train.loss)
    return {name: value.to_dict() for name, value in evaluate_measures(ctx).items()} | scores


def _config(names: str | Iterable[str], settings: Mapping[str, Any]) -> MeasureConfig:
    """Return the settings of a suite, or those of `standard` for other names, with some changed.

    Raises:
        InputError: a setting is unknown or out of range.
    """
    import yaml
    from pydantic import ValidationError

    from infomcr_cli.config.search_path import own_conf
    from infomcr_cli.config.validation_errors import validation_errors

    folder = own_conf() / "measure"
    suites = {path.stem: path for path in folder.glob("*.yaml")}
    is_suite = isinstance(names, str) and names in suites
    plain = yaml.safe_load(suites[str(names) if is_suite else "standard"].read_text(encoding="utf-8"))
    if not is_suite:
        if not isinstance(names, Iterable):
            raise InputError("names must be a suite, a measure or a list of measures", received=names)
        plain["names"] = names if isinstance(names, str) else list(names)
    for key, value in settings.items():
        _set(plain, key, value)
    try:
        # from JSON, because strict validation takes a list for a tuple only there
        config = MeasureConfig.model_validate_json(json.dumps(plain, default=_plain_number))
    except ValidationError as error:
        raise validation_errors(error) from None
    if not config.names:
        raise InputError("names must name at least one measure", advice="`infomcr measures` lists them.")
    check_measures(config)
    return config


def _plain_number(value: Any) -> Any:
    """Return the Python number of a NumPy one, which JSON does not know."""
    if isinstance(value, np.generic):
        return value.item()
    raise InputError("settings must contain plain numbers, texts and lists", received=type(value).__name__)


def _set(plain: dict[str, Any], key: str, value: Any) -> None:
    *groups, leaf = key.removeprefix("measure.").split(".")
    place: Any = plain
    for group in groups:
        place = place.get(group) if isinstance(place, dict) else None
    if not isinstance(place, dict) or leaf not in place or leaf == "names":
        dotted = [name for name, value in plain.items() if not isinstance(value, dict) and name != "names"]
        dotted += [f"{name}.{inner}" for name, group in plain.items() if isinstance(group, dict) for inner in group]
        raise InputError("settings must contain only settings of measures", received=key, accepted=dotted)
    place[leaf] = value


def _initial_weights(network: keras.Model, initial: Any) -> InitialWeights:
    """Return a function that returns the weights before training by name, or None if they are unknown.

    Raises:
        InputError: they are not those of the network.
    """
    if initial is None:
        return lambda: None
    if hasattr(initial, "get_weights"):
        initial = named_weights(network_of(initial))
    elif not isinstance(initial, Mapping):
        initial = _named(network, list(initial))
    known, given = named_weights(network), {name: _array(value) for name, value in initial.items()}
    shapes = [{name: tuple(v.shape) for name, v in weights.items()} for weights in (known, given)]
    if shapes[0] != shapes[1]:
        odd = sorted({name for name, _ in set(shapes[0].items()) ^ set(shapes[1].items())})
        received = f"{len(odd)} odd weights: {', '.join(odd[:3])}"
        raise InputError("initial must be the network's weights before training", received=received)
    return lambda: given


def _named(network: keras.Model, arrays: list[Any]) -> dict[str, Any]:
    if len(arrays) != len(network.weights):
        rule = f"initial must be what model.get_weights() returns, {len(network.weights)} arrays"
        raise InputError(rule, received=f"{len(arrays)} arrays")
    by_variable = {id(variable): array for variable, array in zip(network.weights, arrays, strict=True)}
    return {name: by_variable[id(variable)] for name, variable in named_weights(network).items()}


def _batches(samples: Samples, size: int) -> Iterator[tuple[Any, Any]]:
    from infomcr_cli.measures.samples import take

    images, labels = samples
    for start in range(0, len(labels), size):
        chosen = np.arange(start, min(start + size, len(labels)))
        yield take(images, chosen), labels[chosen]


def _scores(train: Score, test: Score, n_train: int, n_test: int) -> dict[str, Entry]:
    """Return error rates with their binomial standard errors, losses, and gaps (test minus training)."""
    errors = [(1 - score.accuracy, n) for score, n in ((train, n_train), (test, n_test))]
    (on_train, train_se), (on_test, test_se) = ((e, float(np.sqrt(e * (1 - e) / n))) for e, n in errors)
    rows = {
        "train_error": (on_train, train_se, "fraction"),
        "test_error": (on_test, test_se, "fraction"),
        "gap_error": (train.accuracy - test.accuracy, float(np.hypot(train_se, test_se)), "fraction"),
        "test_loss": (test.loss, None, "nats"),
        "gap_loss": (test.loss - train.loss, None, "nats"),
    }
    return {
        name: replace(MeasureValue(value, error).finite(), unit=unit).to_dict()
        for name, (value, error, unit) in rows.items()
    }


def _array(value: Any) -> np.ndarray[Any, Any]:
    """Return a copy of an array or of the value of a Keras variable, which NumPy 2 itself copies with a warning."""
    return np.array(value.numpy() if hasattr(value, "numpy") else value)
