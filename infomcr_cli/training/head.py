"""What a run says of itself before its first step."""

from __future__ import annotations

from infomcr_cli import runtime
from infomcr_cli.config.schema.run import RunConfig
from infomcr_cli.training.kernels import slower_settings, used_kernels
from infomcr_cli.training.setup import Setup


def head_lines(config: RunConfig, setup: Setup) -> list[str]:
    """Return a line each on the data, the network, the devices, the steps, the regularizer and what slows training.

    Args:
        setup: what `set_up` made of the configuration.
    """
    dataset, schedule, model = setup.dataset, setup.schedule, setup.state.model
    splits = {"training": dataset.train, "validation": dataset.validation, "test": dataset.test}
    sizes = ", ".join(f"{len(split):,} {name}" for name, split in splits.items() if split is not None)
    shape = " × ".join(map(str, dataset.image_shape))
    weights = sum(int(variable.value.shape.num_elements()) for variable in model.trainable_variables)
    devices = f"{', '.join(runtime.devices())}, {used_kernels(config.precision)}, {config.precision}"
    steps = f"{config.schedule.epochs} epochs of {schedule.steps_per_epoch} steps of {config.data.batch_size} images"
    optimizer = f"{config.optimizer.name}, learning rate {config.optimizer.learning_rate:g}, {config.schedule.name}"
    lines = {
        "data": f"{dataset.name}: {sizes} images of {shape}, {dataset.num_classes:,} classes",
        "network": f"{config.model.name}: {weights:,} weights",
        "device": devices,
        "steps": f"{steps}: {schedule.steps:,}",
        "optimizer": optimizer,
    }
    if setup.state.regularizer is not None and setup.state.regularizer.is_active:
        lines["regularizer"] = f"reg={config.reg.name}, {_first_regularized(setup)}"
    slower = slower_settings(config.precision, model, runtime.devices())
    return [*(f"{name} {text}" for name, text in lines.items()), *slower]


def _first_regularized(setup: Setup) -> str:
    schedule = setup.schedule
    starts = [0, *(schedule.at(share) for share in schedule.config.phases)]
    first = next((step for step in sorted(starts) if step < schedule.steps and schedule.is_regularized(step)), None)
    return "in no phase" if first is None else f"from epoch {first // schedule.steps_per_epoch + 1}"
