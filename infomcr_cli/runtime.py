"""TensorFlow, set up for one run before it touches a device."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from infomcr_cli.config.devices import PARTS_OF_A_CPU
from infomcr_cli.config.schema.run import Device, RunConfig
from infomcr_cli.errors import InputError
from infomcr_cli.imports import collector_paused, not_imported
from infomcr_cli.processor import PROCESSORS, chosen_threads, instructions

NO_GPU = (
    "For an NVIDIA GPU, TensorFlow needs the CUDA libraries: pip install 'tensorflow[and-cuda]' (the extra "
    "infomcr[gpu]). device=auto uses the CPU if there is no GPU."
)
# Keras and TensorFlow import these for features that no run uses, and do without them where they are missing.
UNUSED_BY_KERAS = ("matplotlib", "pandas", "scipy", "sklearn")


@contextmanager
def _native_messages_hidden() -> Iterator[None]:
    """TensorFlow's libraries write to the raw standard error before any logging level reaches them."""
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def prefer_onednn(processors: Path = PROCESSORS) -> None:
    """Let TensorFlow compute with oneDNN where the processor has AVX2, unless the user has chosen.

    By itself it does so only with AVX-512 or the like, and with AVX2 alone a step takes twice the time. It reads the
    variable once, when it is imported.
    """
    if "avx2" in instructions(processors):
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")


_tensorflow_is_new = "tensorflow" not in sys.modules
prefer_onednn()
with _native_messages_hidden(), not_imported(UNUSED_BY_KERAS), collector_paused():
    import keras
    import tensorflow as tf

    tf.config.list_physical_devices()
_tf32_by_default = tf.config.experimental.tensor_float_32_execution_enabled()
if _tensorflow_is_new:  # elsewhere a user's program may have garbage that this would keep
    gc.freeze()  # what was imported stays: a collection need not pass over it for a sixth of a second

from infomcr_cli.models.keras_internals import computes_with_onednn  # noqa: E402 -- after TensorFlow, quietly


def prepare(config: RunConfig) -> None:
    """Seed every generator and set threads, determinism, precision and devices.

    A regularizer needs the difference of two nearly equal gradients, so float32 is then multiplied in full: on recent
    NVIDIA GPUs TensorFlow keeps ten bits of it by default (TF32).

    Raises:
        InputError: the requested device does not exist.
    """
    tf.config.experimental.enable_tensor_float_32_execution(_tf32_by_default and config.reg.name == "off")
    _choose_device(config.device)
    _keep_to_share()
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)


def prepare_to_measure(config: RunConfig) -> None:
    """Prepare as `prepare` does, in float32 that is multiplied in full, whatever precision the run was trained in.

    Raises:
        InputError: the requested device does not exist.
    """
    prepare(config.model_copy(update={"precision": "float32"}))
    tf.config.experimental.enable_tensor_float_32_execution(False)


def strategy(device: Device) -> tf.distribute.Strategy:
    """Return how a step is spread over devices, after `prepare`: `mirrored` over all GPUs, or over the logical CPUs."""
    return _mirrored() if device == "mirrored" else tf.distribute.get_strategy()


@cache
def _mirrored() -> tf.distribute.Strategy:
    """One for the whole process: two of them would take each other's sums for their own."""
    return tf.distribute.MirroredStrategy(sharing_devices("mirrored"))


def sharing_devices(device: Device) -> list[str]:
    """Return the names of the devices that share work, after `prepare`; none if one device does it all."""
    places = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [place.name for place in places] if device == "mirrored" else []


def devices() -> Sequence[str]:
    """Return the names of the devices in use, such as CPU:0."""
    return [device.name.removeprefix("/device:") for device in tf.config.list_logical_devices()]


def kernels() -> str:
    """Return whose kernels compute on the processor, oneDNN's or TensorFlow's own: they differ in the last digits."""
    return "oneDNN" if computes_with_onednn() else "TensorFlow"


def _keep_to_share() -> None:
    """Use as many cores as a sweep gives its job, within an operation and for operations side by side."""
    threads = chosen_threads()
    if threads is None:
        return
    try:
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError as error:  # a library user's TensorFlow has begun to work
        raise InputError("INFOMCR_THREADS must be set before TensorFlow is first used", advice=str(error)) from None


def _choose_device(device: Device) -> None:
    graphics = tf.config.list_physical_devices("GPU")
    if device == "cpu":
        tf.config.set_visible_devices([], "GPU")
        return
    if device == "gpu" and not graphics:
        raise InputError("device=gpu needs a GPU that TensorFlow sees", received="none", advice=NO_GPU)
    for card in graphics:
        tf.config.experimental.set_memory_growth(card, True)
    if device == "mirrored" and not graphics:
        _split_the_cpu()


def _split_the_cpu() -> None:
    """Make logical devices of the CPU, unless someone has divided it: nothing is gained but the same code."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    if tf.config.get_logical_device_configuration(cpu) is None:
        with suppress(RuntimeError):  # a library user's TensorFlow has begun to work: one device it is
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * PARTS_OF_A_CPU)
