"""Runs with the same settings on several data sets: each job finds its own, and only its own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.grid import expand
from infomcr_cli.config.yaml_text import to_yaml
from infomcr_cli.data import load_dataset
from infomcr_cli.engine.job import Job
from infomcr_cli.engine.plan import plan
from infomcr_cli.errors import InputError
from infomcr_cli.runs import Checkpoint, RunDirectory, State, finished, new_status, save_checkpoint, write_status
from infomcr_cli.runs.identity import identity

NPZ = ("data=npz", "data.batch_size=8", "model=mlp")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INFOMCR_CACHE", str(tmp_path / "cache"))
    for seed, name in enumerate("ab"):
        x = np.random.default_rng(seed).integers(0, 255, (32, 8, 8, 1)).astype(np.uint8)
        np.savez(f"{name}.npz", x_train=x, y_train=np.arange(32) % 4, x_test=x[:16], y_test=np.arange(16) % 4)


def jobs(*arguments: str) -> list[Job]:
    return plan(expand([*NPZ, *arguments]))


def trained(job: Job) -> Path:
    """Leave what a job leaves: settings, a state and a checkpoint that names its data."""
    run = RunDirectory.create(
        job.run, config=to_yaml(job.config), overrides=job.overrides, status=new_status(job.identity)
    )
    data = load_dataset(job.config.data, seed=job.config.seed).fingerprint
    save_checkpoint(run, "epoch-0001", Checkpoint(4, 1, {"w": np.zeros(2)}, extra={"data": data}))
    write_status(run, finished(new_status(job.identity), State.FINISHED))
    return run.path


def states(found: Sequence[Job]) -> list[State | None]:
    return [job.state for job in found]


def test_each_data_set_of_an_axis_is_a_job_with_a_run_of_its_own() -> None:
    found = jobs("data.root=a.npz,b.npz", "seed=0,1")
    assert (
        len({job.identity for job in found}) == len({job.run for job in found}) == len({job.id for job in found}) == 4
    )
    for job in found:
        trained(job)
    again = jobs("data.root=a.npz,b.npz", "seed=0,1")
    assert states(again) == [State.FINISHED] * 4
    assert [job.run for job in again] == [job.run for job in found]


def test_a_run_on_other_data_does_not_match_a_job() -> None:
    (job,) = jobs("data.root=a.npz")
    trained(job)
    assert states(jobs("data.root=b.npz")) == [None]
    assert states(jobs("data.root=a.npz")) == [State.FINISHED]


def test_a_wider_and_a_narrower_axis_find_what_is_done() -> None:
    (job,) = jobs("data.root=a.npz")
    trained(job)
    first, second = jobs("data.root=a.npz,b.npz")
    assert (first.state, first.run, second.state) == (State.FINISHED, job.run, None)
    trained(second)
    assert [one.run for one in (*jobs("data.root=b.npz"), *jobs("data.root=a.npz"))] == [second.run, job.run]


@pytest.mark.parametrize("axis", ["data.root=c.npz", "data.root=b.npz,c.npz"])
def test_moved_data_are_recognised_by_their_fingerprint(axis: str) -> None:
    (job,) = jobs("data.root=a.npz")
    trained(job)
    shutil.move("a.npz", "c.npz")
    assert jobs(axis)[-1].run == job.run


def test_a_run_on_moved_data_without_a_checkpoint_matches_no_job() -> None:
    (job,) = jobs("data.root=a.npz")
    shutil.rmtree(trained(job) / "checkpoints")
    (job.run / "checkpoints").mkdir()
    assert states(jobs("data.root=a.npz")) == [State.FINISHED]
    shutil.move("a.npz", "c.npz")
    assert states(jobs("data.root=c.npz")) == [None]


def test_one_folder_under_two_paths_is_one_data_set() -> None:
    with pytest.raises(InputError, match="must differ in settings that change the weights"):
        jobs("data.root=a.npz,./a.npz")


def test_the_path_of_the_data_does_not_change_the_identity() -> None:
    (job,) = jobs("data.root=a.npz")
    assert job.identity == identity(compose_run([*NPZ, "data.root=elsewhere.npz"]))


def test_a_source_that_reads_no_place_has_one_data_set() -> None:
    with pytest.raises(InputError, match="must differ in settings that change the weights"):
        plan(expand(["data.root=null,x"]))
