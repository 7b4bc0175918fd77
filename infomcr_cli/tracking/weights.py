"""Upload weights to MLflow: the artifacts of a checkpoint's LoggedModel are a model of the Keras flavor."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from infomcr_cli.runs.directory import RunDirectory
from infomcr_cli.tracking.client import Progress, connect, store_lock
from infomcr_cli.tracking.models import STEP, WEIGHTS, create_model, models_of_run
from infomcr_cli.tracking.store import Store
from infomcr_cli.tracking.sync import mirror

UPLOADED = "uploaded"


class WeightStore:
    """The LoggedModels of one run, to which weights are uploaded.

    Args:
        run:   its mirror is brought up to date first.
        store: where it is mirrored.
    """

    def __init__(self, run: RunDirectory, store: Store) -> None:
        self._run, self._store, self._client = run, store, connect(store)
        self._progress = Progress()
        mirror(run, store, client=self._client, progress=self._progress)
        models = list(models_of_run(self._client, str(self._progress.run_id)))
        self._ids = {int(model.tags[STEP]): str(model.model_id) for model in models}
        self._uploaded = {int(model.tags[STEP]) for model in models if model.tags.get(WEIGHTS) == UPLOADED}

    def missing(self, checkpoints: Mapping[int, str]) -> dict[int, str]:
        """Return those of some checkpoints, names by steps, whose weights MLflow does not hold."""
        return {step: name for step, name in checkpoints.items() if step not in self._uploaded}

    def upload(self, step: int, name: str, model: Any, inputs: Mapping[str, Any], about: Mapping[str, Any]) -> str:
        """Upload a checkpoint as a model of the Keras flavor, and return the id of its LoggedModel.

        Args:
            model:  a keras.Model that plain Keras can load.
            inputs: what it takes, name → (type, shape without the batch); a single input has the name "".
            about:  class names and the like, JSON-able, kept as the metadata of the model.
        """
        if step not in self._ids:
            with store_lock(self._store):
                self._ids[step] = create_model(self._client, self._run, self._progress, name, step)
        # Outside of the lock: an upload may take long, and other runs are mirrored meanwhile.
        with tempfile.TemporaryDirectory(prefix="infomcr-") as folder:
            path = Path(folder) / "model"
            _save(model, path, inputs, about, run_id=str(self._progress.run_id), model_id=self._ids[step])
            self._client.log_model_artifacts(self._ids[step], str(path))
        with store_lock(self._store):
            self._client.set_logged_model_tags(self._ids[step], {WEIGHTS: UPLOADED})
        self._uploaded.add(step)
        return self._ids[step]


def _save(
    model: Any, path: Path, inputs: Mapping[str, Any], about: Mapping[str, Any], *, run_id: str, model_id: str
) -> None:
    import mlflow.keras
    from mlflow.models import Model, ModelSignature
    from mlflow.types.schema import Schema, TensorSpec

    # An axis of -1 is the batch.
    taken = [TensorSpec(np.dtype(dtype), (-1, *shape), name or None) for name, (dtype, shape) in inputs.items()]
    given = TensorSpec(np.dtype(model.output.dtype), (-1, *model.output_shape[1:]))
    mlflow.keras.save_model(
        model,
        str(path),
        signature=ModelSignature(Schema(taken), Schema([given])),
        # Named here: otherwise MLflow infers them in another process, which takes many seconds.
        pip_requirements=[f"{one}=={importlib.metadata.version(one)}" for one in ("mlflow", "keras", "tensorflow")],
        metadata=dict(about),
        mlflow_model=Model(run_id=run_id, model_id=model_id),
    )
