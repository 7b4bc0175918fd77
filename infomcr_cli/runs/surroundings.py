"""The folders beside a folder of runs: mlflow/ and sweeps/."""

from __future__ import annotations

import os
from pathlib import Path


def store_folder(runs_dir: Path | str) -> Path:
    """Return the folder of the default store for new runs in `runs_dir`."""
    return surroundings(runs_dir) / "mlflow"


def surroundings(runs_dir: Path | str) -> Path:
    """Return the folder that holds what belongs to all runs, such as mlflow/ and sweeps/.

    It is the folder around `runs_dir`. Where runs lie in the working folder itself, it is that folder and not the one
    around it; nor is it the root of the file system, unless that is the working folder.
    """
    runs, here = Path(os.path.abspath(runs_dir)), os.path.realpath(".")
    is_root = runs.parent == Path(runs.anchor) and str(runs.parent) != here
    return runs if os.path.realpath(runs) == here or is_root else runs.parent


def existing_store_folder(runs_dir: Path | str) -> Path:
    """Return the folder of the default store of the runs that lie in `runs_dir`, wherever they were trained from."""
    runs = Path(os.path.abspath(runs_dir))
    places = (store_folder(runs), runs.parent / "mlflow", runs / "mlflow")
    return next((place for place in places if os.path.exists(place / "mlflow.db")), places[0])
