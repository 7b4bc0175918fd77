"""What eval would refuse when all is trained, or each job for itself, is refused before anything is made."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.yaml_text import to_yaml
from infomcr_cli.engine.factory import check_engine
from infomcr_cli.errors import InputError
from infomcr_cli.runs import RunDirectory, State, new_status
from infomcr_cli.runs.lifecycle import RunOutcome
from infomcr_cli.train import TrainRequest, settings_of
from tests.conftest import CommandLine
from tests.data.layouts import image_files, write_folder, write_tar

MLP = ("model=mlp", "model.depth=1", "model.width=8", "schedule.epochs=1", "tracking=off", "data.batch_size=4")
TOO_FEW = "measure.gamma.draw_size must not exceed the number of training images"
IMAGENET = ("data=imagenet", "data.root=classes", "data.image_size=8", "data.resize=10")


@pytest.fixture(autouse=True)
def _sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources of 48 images; their decoded forms lie elsewhere."""
    sources = tmp_path / "sources"
    sources.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (96, 8, 8, 3), np.uint8)
    x, y, labels = pixels[:48], pixels[48:], np.arange(48) % 4
    np.savez(sources / "few.npz", x_train=x, y_train=labels, x_test=y, y_test=labels)
    write_folder(sources / "images", image_files(24, 4, (8, 8, 3)))
    write_folder(sources / "damaged", {**image_files(80, 4, (8, 8, 3)), "train/class0/0000.png": b"no image"})
    write_tar(sources / "few.tar.gz", image_files(24, 4, (8, 8, 3)))
    nested = {name.replace("test/", "val/"): data for name, data in image_files(24, 4, (20, 16, 3)).items()}
    write_folder(sources / "classes", nested)
    monkeypatch.setenv("INFOMCR_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()


def refused(command_line: CommandLine, tmp_path: Path, *words: str) -> str:
    """Run a command that must be refused in an empty folder, and return what it says."""
    os.chdir(tmp_path / "work")
    placed = [word.replace("data.root=", f"data.root={tmp_path}/sources/") for word in words]
    answer = command_line(*placed)
    assert answer.code == 2, answer.out + answer.err
    assert list((tmp_path / "work").iterdir()) == []
    return answer.err


TOO_SMALL = {
    "subset": ("data.train_size=64",),
    "what validation leaves": ("data.validation_size=1400",),
    "npz": ("data=npz", "data.root=few.npz"),
    "folder": ("data=image_folder", "data.root=images"),
    "imagenet": IMAGENET,
    "archive": ("data=image_folder", "data.root=few.tar.gz"),
    "larger draws": ("data.train_size=256", "measure.gamma.draw_size=300"),
    "one measure of the draws": ("data.train_size=64", "measure.names=[fisher_trace]"),
}


@pytest.mark.parametrize("data", TOO_SMALL)
def test_fewer_training_images_than_a_draw_takes_are_refused_before_a_sweep(
    command_line: CommandLine, tmp_path: Path, data: str
) -> None:
    """Each of its jobs is measured when it is trained."""
    assert TOO_FEW in refused(command_line, tmp_path, "sweep", "seed=0,1", *MLP, *TOO_SMALL[data])


@pytest.mark.parametrize("data", [*TOO_SMALL, "enough"])
def test_train_says_before_it_trains_that_eval_will_refuse_so_few_images(
    command_line: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: str
) -> None:
    """It does not refuse: a run may be for other use, and eval can be given other settings."""
    import infomcr_cli.training.trainer as session

    def no_training(work: session.TrainJob) -> RunOutcome:
        if work.on_data:
            work.on_data(48)
        return RunOutcome(State.FINISHED)

    monkeypatch.setattr(session, "run_training", no_training)
    settings = TOO_SMALL.get(data, ("data.train_size=100",))
    placed = [word.replace("data.root=", f"data.root={tmp_path}/sources/") for word in settings]
    answer = command_line("train", *MLP, *placed, "--run-dir", str(tmp_path / "run"))
    assert answer.code == 0, answer.err
    assert answer.err.count(f"With these settings, eval will refuse to measure this run: {TOO_FEW}") == (
        data != "enough"
    )


def test_a_dry_run_refuses_what_the_settings_show_and_says_what_the_data_show(
    command_line: CommandLine, tmp_path: Path
) -> None:
    sweep = ("sweep", "--dry-run", "seed=0,1", *MLP)
    assert TOO_FEW in refused(command_line, tmp_path, *sweep, "data.train_size=64")
    answer = command_line(*sweep, "data=npz", f"data.root={tmp_path}/sources/few.npz")
    assert (answer.code, "2 jobs" in answer.out) == (0, True)
    assert f"This sweep would be refused: {TOO_FEW}" in answer.err


@pytest.mark.parametrize(
    "settings",
    [
        ("measure.gamma.draw_size=20",),
        ("measure.names=[train_loss,margin]",),
        ("data.train_size=100",),
        ("measure.samples=5000", "measure.gamma.draw_size=32"),
    ],
)
def test_what_eval_takes_is_not_refused(command_line: CommandLine, settings: tuple[str, ...]) -> None:
    sizes = () if "data.train_size=100" in settings else ("data.train_size=64",)
    assert command_line("train", *MLP, *sizes, *settings, "--print-config").code == 0
    assert command_line("sweep", "--dry-run", "seed=0,1", *MLP, *sizes, *settings).code == 0


def test_a_sweep_that_does_not_measure_takes_any_number_of_images(command_line: CommandLine) -> None:
    sweep = ("sweep", "--dry-run", "seed=0,1", *MLP, "data.train_size=64")
    assert command_line(*sweep, "sweep.evaluate=false").code == 0


def test_a_run_on_fewer_images_than_a_draw_is_resumed(tmp_path: Path) -> None:
    config = compose_run([*MLP, "data.train_size=64"])
    run = RunDirectory.create(tmp_path / "run", config=to_yaml(config), overrides=[], status=new_status("a" * 64))
    assert settings_of(TrainRequest(resume=run.path)).data.train_size == 64


@pytest.mark.parametrize("verb", ["train", "sweep"])
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("data.batch_size=33",), "device=mirrored needs data.batch_size to be a multiple of the number of devices"),
        (("data.batch_size=66", "reg=sam", "reg.num_sub_batches=3"), "needs reg.num_sub_batches to be a multiple"),
    ],
)
def test_a_batch_that_devices_cannot_share_is_refused_before_training(
    command_line: CommandLine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    verb: str,
    settings: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.setattr("infomcr_cli.engine.preflight.visible_gpus", lambda: ())
    assert message in refused(command_line, tmp_path, verb, *MLP, "device=mirrored", *settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((*IMAGENET, "data.batch_size=128"), "data.batch_size must not exceed the number of training images"),
        ((*IMAGENET, "data.train_size=500"), "data.train_size must be at most"),
        ((*IMAGENET, "augment=cutout"), "data=imagenet supports only augment=none"),
        ((*IMAGENET, "augment=mixup"), "data=imagenet supports only augment=none"),
        (("data=image_folder", "data.root=few.tar.gz", "data.train_size=500"), "data.train_size must be at most"),
        (("data=image_folder", "data.root=damaged"), "images must be JPEG or PNG"),
        (("measure.gamma.memory=2",), "measure.gamma.memory must be large enough for the matrix of a draw"),
    ],
)
def test_a_sweep_refuses_before_its_first_job_what_each_of_them_would(
    command_line: CommandLine, tmp_path: Path, settings: tuple[str, ...], message: str
) -> None:
    draws = ("measure.gamma.draw_size=20",) if "imagenet" in settings[0] else ()
    assert message in refused(command_line, tmp_path, "sweep", "seed=0,1", *MLP, *draws, *settings)


@pytest.mark.parametrize("size", ["500", "100MB", "1KiB"])
def test_a_job_without_room_for_its_process_is_refused(size: str) -> None:
    with pytest.raises(
        InputError, match=r"engine.memory must be large enough for a job's process, at least 200MB; got"
    ):
        check_engine(compose_run([f"engine.memory={size}"]), None)
    check_engine(compose_run(["engine.memory=200MB"]), None)


BUILDERS = {
    "nowhere:net": "There is no module nowhere",
    "nets.nowhere:net": "There is no module nets.nowhere",
    "nets": "package.module:function",
    "broken:net": "must name a module that can be imported; got 'broken:net'. .*SyntaxError",
    "raising:net": "must name a module that can be imported; got 'raising:net'. .*the disk is gone",
    "exiting:net": "must name a module that can be imported; got 'exiting:net'. .*SystemExit",
    "dying:net": "must name a module that can be imported; got 'nets:net, dying:net'. .*ended the process: last words",
    "needing:net": "must name a module that can be imported; got 'needing:net'. .*no_such_package",
    "nets:nothing": "must name a function",
    "nets:narrow": "must take the keywords input_shape, num_classes, l2",
}


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules outside the working folder; each prints when it is imported."""
    folder = tmp_path / "modules"
    folder.mkdir()
    texts = {
        "nets": "def narrow(input_shape): pass\ndef net(**settings): pass",
        "broken": "def net(:",
        "raising": "raise OSError('the disk is gone')",
        "exiting": "import sys; sys.exit('never mind')",
        "dying": "import os; os.write(2, b'last words'); os._exit(3)",
        "needing": "import no_such_package",
    }
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(f"print('imported')\n{text}\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(str(folder))
    return folder


@pytest.mark.parametrize("builder", BUILDERS)
@pytest.mark.usefixtures("modules")
def test_a_network_that_cannot_be_imported_is_refused_before_the_first_job(
    command_line: CommandLine, tmp_path: Path, builder: str
) -> None:
    said = refused(command_line, tmp_path, "sweep", *MLP[3:], "model=builder", f"model.builder=nets:net,{builder}")
    assert re.search(BUILDERS[builder], said), said
    assert "imported" not in said.replace("can be imported", "")


@pytest.mark.usefixtures("modules")
def test_settings_that_a_function_does_not_take_are_refused_before_the_first_job(
    command_line: CommandLine, tmp_path: Path
) -> None:
    sweep = ("sweep", *MLP[3:], "model=builder", "model.builder=nets:narrow", "+model.settings.width=3,4")
    assert "keywords input_shape, num_classes, l2, width" in refused(command_line, tmp_path, *sweep)


@pytest.mark.usefixtures("modules")
def test_a_dry_run_looks_for_modules_and_imports_none(command_line: CommandLine, tmp_path: Path) -> None:
    sweep = ("sweep", "--dry-run", *MLP[3:], "model=builder")
    answer = command_line(*sweep, "model.builder=nets:net,broken:net,dying:net", "--json")
    assert answer.code == 0, answer.err
    assert len(json.loads(answer.out)["jobs"]) == 3
    assert "There is no module nowhere" in refused(command_line, tmp_path, *sweep, "model.builder=nowhere:net")


def test_a_module_of_the_working_folder_is_found_without_importing_its_package(
    command_line: CommandLine, tmp_path: Path
) -> None:
    package = tmp_path / "own_package" / "inner"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "nets.py").write_text("")
    sweep = ("sweep", "--dry-run", "model=builder", "seed=0,1", "model.builder=own_package.inner.nets:net")
    assert command_line(*sweep).code == 0
    assert command_line(*sweep[:-1], "model.builder=own_package.outer.nets:net").code == 2
