"""Jobs on GPUs, with what stands in for them: a stub of nvidia-smi, and the variable that each job sees."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from sweeper import Sweeper

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.schema.sweep import LocalEngineConfig
from infomcr_cli.engine.gpus import Gpu, listed_gpus, places_on_gpus, visible_gpus
from infomcr_cli.engine.limits import slots_of
from tests.cli import CommandLine

TWO = "0, GPU-aaaa1111, 24000\n1, GPU-bbbb2222, 12000\n"


def stub(folder: Path, listed: str, code: int = 0) -> str:
    """Write an nvidia-smi that lists some GPUs, and return the PATH that finds it."""
    command = folder / "bin" / "nvidia-smi"
    command.parent.mkdir(exist_ok=True)
    command.write_text(f"#!/bin/sh\ncat <<'END'\n{listed}END\nexit {code}\n")
    command.chmod(0o755)
    return f"{command.parent}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def two_gpus(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("CUDA_DEVICE_ORDER", raising=False)
    monkeypatch.setenv("PATH", stub(tmp_path_factory.mktemp("driver"), TWO))
    monkeypatch.setattr("infomcr_cli.engine.limits.os.sched_getaffinity", lambda pid: range(16))
    monkeypatch.setattr("infomcr_cli.engine.limits.psutil.virtual_memory", lambda: type("", (), {"available": 10**12}))


def engine(*overrides: str) -> LocalEngineConfig:
    found = compose_run(overrides).engine
    assert isinstance(found, LocalEngineConfig)
    return found


@pytest.mark.usefixtures("two_gpus")
def test_the_driver_lists_gpus_with_their_free_memory() -> None:
    assert listed_gpus() == [Gpu("0", "GPU-aaaa1111", 24000 * 2**20), Gpu("1", "GPU-bbbb2222", 12000 * 2**20)]
    assert visible_gpus() == ["0", "1"]


@pytest.mark.parametrize(("listed", "code"), [("", 0), ("No devices were found\n", 0), (TWO, 9), ("It has failed", 0)])
def test_a_driver_that_does_not_answer_lists_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, listed: str, code: int
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", stub(tmp_path, listed, code))
    assert visible_gpus() == []
    assert places_on_gpus(engine()) == []


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("overrides", "places"),
    [
        ([], ["0", "1"]),
        (["engine.devices=[1]"], ["1"]),
        (["engine.devices=[GPU-bbbb2222]"], ["GPU-bbbb2222"]),
        (["engine.jobs_per_device=2"], ["0", "1", "0", "1"]),
        (["engine.device_memory=10GB"], ["0", "1", "0"]),  # 25.2 GB hold two, 12.6 GB hold one
        (["engine.device_memory=10GB", "engine.jobs_per_device=1"], ["0", "1"]),
        (["engine.devices=[1]", "engine.device_memory=4GiB"], ["1", "1"]),
    ],
)
def test_jobs_are_spread_over_gpus_by_their_memory(overrides: list[str], places: list[str]) -> None:
    assert places_on_gpus(engine(*overrides)) == places
    slots = slots_of(engine(*overrides), 100)
    seen = [slots.environment(slot)["CUDA_VISIBLE_DEVICES"] for slot in range(slots.count)]
    assert seen == places
    assert slots.environment(0)["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


@pytest.mark.usefixtures("two_gpus")
def test_a_number_of_jobs_does_not_overfill_a_gpu_whose_room_is_known() -> None:
    assert slots_of(engine("engine.jobs=8", "engine.device_memory=10GB"), 100).count == 3
    assert slots_of(engine("engine.jobs=8", "engine.jobs_per_device=2"), 100).count == 4
    assert slots_of(engine("engine.jobs=8"), 100).count == 8  # the user says how many
    assert slots_of(engine("engine.jobs=2", "engine.jobs_per_device=4"), 100).count == 2


@pytest.mark.usefixtures("two_gpus")
def test_a_mirrored_job_has_all_gpus_and_one_on_the_cpu_none() -> None:
    mirrored = slots_of(engine(), 100, device="mirrored")
    assert (mirrored.count, mirrored.environment(0)["CUDA_VISIBLE_DEVICES"]) == (1, "0,1")
    cpu = slots_of(engine(), 100, device="cpu")
    assert cpu.count == 16
    assert "CUDA_VISIBLE_DEVICES" not in cpu.environment(0)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("given", "places"), [("1", ["1"]), ("1,0", ["1", "0"]), ("", []), ("-1", []), ("0,-1,1", ["0"]), (" 1 ", ["1"])]
)
def test_gpus_that_the_process_was_given_are_all_that_it_uses(
    monkeypatch: pytest.MonkeyPatch, given: str, places: list[str]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
    assert places_on_gpus(engine()) == places


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("engine.devices=[7]", "engine.devices must be GPUs of this machine; got '7'. Accepted: 0, 1."),
        ("engine.devices=[0,0]", "engine.devices must name each GPU once"),
        ("engine.device_memory=20GB", "must not exceed the free memory of a GPU; got '20GB, 12.6 GB on GPU 1'"),
        ("engine.jobs_per_device=0", "engine.jobs_per_device must be at least 1"),
        ("engine.device=[0]", "engine has no such setting; got 'engine.device'"),
    ],
)
def test_gpus_that_cannot_be_used_are_refused_before_anything_is_made(
    command_line: CommandLine, tmp_path: Path, override: str, message: str
) -> None:
    answer = command_line("sweep", "seed=0,1", "tracking=off", override)
    assert answer.code == 2, answer.text
    assert message in " ".join(answer.err.split())
    assert not list(tmp_path.iterdir())


def test_each_job_of_a_sweep_sees_its_own_gpu(light: Sweeper, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = stub(tmp_path_factory.mktemp("driver"), TWO)
    quiet = ("tracking=off", "sweep.compare=false", "schedule.epochs=2")
    arguments = ("seed=range(3)", "engine.jobs=2", "engine.jobs_per_device=1", *quiet)
    code, _, err = light.run(*arguments, PATH=path)
    assert code == 0, err
    (logs,) = light.folder.glob("sweeps/*/logs")
    seen = Counter(line for log in logs.iterdir() for line in log.read_text().splitlines() if line.startswith("GPU"))
    assert set(seen) == {"GPU 0", "GPU 1"}
    assert sum(seen.values()) == 3
