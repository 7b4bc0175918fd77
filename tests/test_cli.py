"""The command line as a user meets it: its help, its speed, its answers to mistakes."""

from __future__ import annotations

import io
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from cli import CommandLine

from infomcr_cli.config.compose import compose_run
from infomcr_cli.config.yaml_text import to_yaml
from infomcr_cli.runs import Checkpoint, RunDirectory, State, finished, new_status, save_checkpoint

INFOMCR = str(Path(sys.executable).with_name("infomcr"))
SLOW_IMPORTS = ("tensorflow", "keras", "mlflow", "pandas", "matplotlib", "sklearn", "scipy")


def _imported(*arguments: str) -> set[str]:
    """Return which slow packages a command imports."""
    code = (
        "import sys; from infomcr_cli.cli import main\n"
        f"sys.argv = ['infomcr', *{list(arguments)!r}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('IMPORTED', *[n for n in {SLOW_IMPORTS!r} if n in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    return set(out.rsplit("IMPORTED", 1)[1].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("train", "--help"),
        ("train", "model=wnr"),
        ("train", "data=digits", "model=builder", "model.builder=no_such_module:network"),
    ],
)
def test_nothing_slow_is_imported_before_it_is_needed(arguments: tuple[str, ...]) -> None:
    assert _imported(*arguments) == set()


def test_help_takes_at_most_twice_as_long_as_that_of_an_empty_program() -> None:
    def processor_seconds(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([*command, "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    empty = (sys.executable, "-c", "import typer; typer.run(lambda: None)")
    # Other tests run at the same time, and a shared processor has slow minutes: the best of as many tries as it takes.
    assert any(processor_seconds(INFOMCR) < 2 * processor_seconds(*empty) for _ in range(20))


def test_version(command_line: CommandLine) -> None:
    assert command_line("--version").out.startswith("infomcr 0.")


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "model=wnr"),
        ("train", "data.bach_size=64"),
        ("train", "data.batch_size=0"),
        ("train", "data.batch_size=5000"),
        ("train", "reg=on", "reg.num_sub_batches=7"),
        ("train", "schedule.match_compute=true", "schedule.stop_at_train_loss=0.1"),
        ("train", "data=image_folder", "data.root=empty"),
        ("train", "data=cifar10", "data.root=nowhere"),
        ("train", "tracking.uri=ftp://x"),
        ("train", "measure.names=gama"),
        ("train", "measure.names=[gamma,gama]"),
        ("sweep", "seed=0,1", "measure.names=[gama]"),
        ("sweep", "seed=0,1", "start=nowhere"),
        ("train", "measure.names=[]"),
        ("train", "--resume", "runs/none", "--run-dir", "runs/b"),
        ("train", "measure.gamma.samples=50"),
        ("train", "measure.gamma.batch_norm=batch", "measure.gamma.chunk_size=7"),
        ("train", "--resume", "runs/none"),
        ("train", "--config-dir", "nowhere"),
        ("eval", "runs/none"),
        ("eval", "measure=fast"),
        ("compare", "runs/none"),
        ("compare", "mlflow:"),
        ("judge", "none.csv", "--gap", "gap", "--axes", "a"),
        ("sync", "runs/none"),
        ("runs", "--runs-dir", "none"),
        ("train", "--no-such-option"),
        ("no-such-command",),
        ("sweep", "reg=on,off", "sweep.exclude=['reg=onn']"),
        ("sweep", "reg=on,off", "sweep.exclude=['rge=on']"),
        ("ui", "--json"),
        ("train", "hydra.run.dir=elsewhere"),
        ("train", "--config-dir", ""),
        ("train", "--run-dir="),
        ("landscape", "runs/none", "--out", ""),
    ],
)
def test_bad_input_exits_2_and_leaves_nothing_behind(
    command_line: CommandLine, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / "empty").mkdir()
    answer = command_line(*arguments)
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.strip()
    assert "Traceback" not in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_a_recorded_folder_of_runs_that_cannot_be_read_stops_no_resume(command_line: CommandLine) -> None:
    """A run may have been copied from a folder of somebody else."""
    config = compose_run(["data=digits", "tracking=off", f"runs_dir={'x' * 300}"])
    status = finished(new_status("0" * 64), State.FINISHED)
    RunDirectory.create("mine", config=to_yaml(config), overrides=[], status=status)
    answer = command_line("train", "--resume", "mine")
    assert (answer.code, "has already finished" in answer.err) == (0, True), answer


def test_eval_refuses_another_store_for_a_run_that_is_not_mirrored(command_line: CommandLine) -> None:
    config = compose_run(["data=digits", "tracking=off"])
    run = RunDirectory.create("mine", config=to_yaml(config), overrides=[], status=new_status("0" * 64))
    save_checkpoint(run, "epoch-0001", Checkpoint(1, 1, {"a": np.zeros(1)}))
    answer = command_line("eval", "mine", "tracking.uri=http://127.0.0.1:9")
    assert answer.code == 2
    assert "not one in another store" in answer.err


def _untrained(name: str) -> None:
    """A directory that counts as a run, with settings and no checkpoint."""
    run = RunDirectory.create(name, config=to_yaml(compose_run([])), overrides=[], status=new_status("0" * 64))
    assert run.path.is_dir()


@pytest.mark.parametrize("arguments", [("eval", "mine"), ("train", "--resume", "mine"), ("compare", "run/mine")])
def test_a_run_named_without_its_folder_is_found_in_runs(command_line: CommandLine, arguments: tuple[str, ...]) -> None:
    _untrained("runs/mine")
    answer = command_line(*arguments)
    assert answer.code == 2
    assert "Did you mean 'runs/mine'?" in answer.err


@pytest.mark.parametrize(
    ("override", "nearest"),
    [("measure.gama.draws=3", "measure.gamma.draws"), ("measure.gamma.drows=3", "measure.gamma.draws")],
)
def test_a_mistaken_setting_of_a_run_gets_the_nearest_name(
    command_line: CommandLine, override: str, nearest: str
) -> None:
    _untrained("runs/mine")
    answer = command_line("eval", "runs/mine", override)
    assert answer.code == 2
    assert f"Did you mean '{nearest}'?" in answer.err


@pytest.mark.parametrize("start", ["runs/mien", "runs/mine", "runs/mine@epoch-0007"])
def test_a_start_that_is_not_there_is_refused_before_anything_is_made(command_line: CommandLine, start: str) -> None:
    _untrained("runs/mine")
    answer = command_line("train", f"start={start}")
    assert answer.code == 2
    assert answer.err.startswith("infomcr: ")  # and no line on a run that began
    assert [path.name for path in Path("runs").iterdir()] == ["mine"]


@pytest.mark.parametrize("option", ["-m", "--multirun"])
def test_the_word_of_hydra_for_a_sweep_names_ours(command_line: CommandLine, option: str) -> None:
    answer = command_line("train", option, "seed=0,1")
    assert (answer.code, answer.out) == (2, "")
    assert "infomcr sweep" in answer.err


def test_a_run_without_a_checkpoint_is_not_measured(command_line: CommandLine) -> None:
    _untrained("runs/mine")
    answer = command_line("eval", "runs/mine")
    assert answer.code == 2
    assert "has no checkpoint" in answer.err


@pytest.mark.parametrize("words", ["runs --columns", "judge x --gap g --axes", "judge x --gap g --axes a --measures"])
def test_a_list_of_names_on_several_lines_is_bad_input(command_line: CommandLine, words: str) -> None:
    answer = command_line(*words.split(), "a\nb")
    assert (answer.code, "names must be separated by commas" in answer.err) == (2, True), answer.err


def test_print_config_is_yaml_that_can_be_read_back(command_line: CommandLine) -> None:
    answer = command_line("train", "reg=on", "--print-config")
    assert answer.code == 0
    assert yaml.safe_load(answer.out)["reg"] == {
        **yaml.safe_load(answer.out)["reg"],
        "name": "on",
        "num_sub_batches": 8,
        "phases": "011",
    }


def test_print_config_says_what_each_setting_means_under_its_choice_and_reads_back_unchanged(
    command_line: CommandLine,
) -> None:
    for choice in ("reg=on", "reg=gradient_norm", "model=densenet", "optimizer=muon"):
        arguments = ("train", choice, "engine.memory=2GB", "schedule=constant", "--print-config")
        text = command_line(*arguments).out
        assert yaml.safe_load(text) == json.loads(command_line(*arguments, "--json").out)
        assert text.count("  # ") > 60
    assert "# β, weight of the penalty" in command_line("train", "reg=on", "--print-config").out


@pytest.mark.parametrize("text", ["word " * 40 + "end", "two\nlines", "two\u2028lines", "ends\n"])
def test_print_config_reads_back_a_text_of_any_length(command_line: CommandLine, text: str) -> None:
    printed = command_line("train", "--print-config", f'runs_dir="/{text}"').out
    assert yaml.safe_load(printed)["runs_dir"] == f"/{text}"


@pytest.mark.parametrize("data", [("data=digits",), ("data=builder", "data.builder=mine:load")])
def test_data_without_a_root_takes_none(command_line: CommandLine, data: tuple[str, ...]) -> None:
    for command in ("train", "sweep"):
        answer = command_line(command, *data, "data.root=/nope/mine.npz")
        assert (answer.code, f"{data[0]} takes no data.root; got '/nope/mine.npz'" in answer.err) == (2, True)


def test_print_config_shows_the_epochs_of_equal_compute(command_line: CommandLine) -> None:
    answer = command_line("train", "reg=off", "schedule.epochs=20", "schedule.match_compute=true", "--print-config")
    schedule = yaml.safe_load(answer.out)["schedule"]
    assert (schedule["epochs"], schedule["match_compute"]) == (48, True)


def test_print_config_as_json(command_line: CommandLine) -> None:
    answer = command_line("train", "--print-config", "--json")
    assert json.loads(answer.out)["model"]["name"] == "wrn"


def test_completion_offers_groups_and_choices() -> None:
    from infomcr_cli.command_line.complete import complete_override

    assert "reg=on" in complete_override("reg=")
    assert all(offer.startswith("da") for offer in complete_override("da"))


@pytest.mark.parametrize(
    ("words", "incomplete", "offered"),
    [(("reg", "="), "", {"off", "on", "sam"}), (("reg", "=", "o"), "o", {"off", "on"}), (("reg",), "reg", {"reg=on"})],
)
def test_bash_breaks_words_at_the_equals_sign(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], incomplete: str, offered: set[str]
) -> None:
    from infomcr_cli.command_line.complete import complete_override

    monkeypatch.setenv("COMP_WORDS", "\n".join(("infomcr", "train", *words)))
    monkeypatch.setenv("COMP_CWORD", str(1 + len(words)))
    offers = complete_override(incomplete)
    assert offered <= set(offers)
    assert all(("=" in offer) == (words == ("reg",)) for offer in offers)


@pytest.mark.parametrize("command", ["eval", "audit"])
def test_a_command_that_gets_no_run_is_named(command_line: CommandLine, command: str) -> None:
    answer = command_line(command, "seed=1")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith(f"infomcr: {command} needs a run to measure")


def test_a_password_is_not_echoed(command_line: CommandLine) -> None:
    answer = command_line("train", "tracking.uri='ftp://me:hunter2@host/'")
    assert answer.code == 2
    assert "hunter2" not in answer.err + answer.out


@pytest.mark.parametrize(
    ("incomplete", "offers"),
    [
        ("reg.be", ["reg.beta="]),
        ("optimizer.use_ema=", ["optimizer.use_ema=true", "optimizer.use_ema=false"]),
        ("precision=f", ["precision=float32", "precision=float64"]),
        ("schedule.pat", ["schedule.patience="]),
        ("optimizer=a", ["optimizer=adam", "optimizer=adamw"]),
        ("nonsense=", []),
    ],
)
def test_completion_offers_settings_and_their_values(incomplete: str, offers: list[str]) -> None:
    from infomcr_cli.command_line.complete import complete_override

    assert complete_override(incomplete) == offers


def test_completion_knows_every_setting_that_can_be_overridden(command_line: CommandLine) -> None:
    from infomcr_cli.config.compose import composed, dotted
    from infomcr_cli.config.overrides import parse
    from infomcr_cli.config.reference import settings
    from infomcr_cli.config.search_path import group_choices

    known, found = {setting.name for setting in settings()}, set()
    own = {"builder": "builder=a:b", "image_folder": "root=a", "npz": "root=a", "imagenet": "root=a"}
    for group, names in group_choices(None).items():
        for name in names if group != "experiment" else ():
            needed = [f"{group}.{own[name]}"] if name in own else []
            needed += ["model.name=VGG16"] if name == "application" else []
            arguments = [f"{group}={name}", *needed]
            found |= set(dotted(composed(arguments, parse(arguments), None)))
    leaves = {name for name in found if not any(other.startswith(f"{name}.") for other in found)}
    assert {name for name in leaves if not name.startswith("choices") and name.rpartition(".")[2] != "name"} <= known


def test_completion_offers_run_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from infomcr_cli.command_line.complete import complete_run, complete_run_or_override

    monkeypatch.chdir(tmp_path)
    for name in ("runs/a", "runs/b", "runs/group/c"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "status.json").write_text("{}")
    (tmp_path / "runs" / ".hidden").mkdir()
    assert complete_run("") == ["runs/a", "runs/b", "runs/group/"]
    assert complete_run("ru") == ["runs/"]
    assert complete_run("runs/a") == ["runs/a"]
    assert complete_run("runs/group/") == ["runs/group/c"]
    assert complete_run(f"{tmp_path}/runs/b") == [f"{tmp_path}/runs/b"]
    assert complete_run("elsewhere/") == []
    assert "measure=fast" in complete_run_or_override("mea")


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("train", "train [OPTIONS] [OVERRIDE]..."),
        ("eval", "eval [OPTIONS] RUN... [OVERRIDE]..."),
        ("compare", "compare [OPTIONS] RUN..."),
        ("import", "import [OPTIONS] [FILE]... [OVERRIDE]..."),
        ("sync", "sync [OPTIONS] [RUN]..."),
    ],
)
def test_usage_has_no_brackets_in_brackets(command_line: CommandLine, command: str, usage: str) -> None:
    answer = command_line(command, "--help")
    assert f"infomcr {usage} " in answer.out
    assert "<bool>" not in answer.out


def test_help_of_train_shows_examples_and_the_groups_with_their_choices(command_line: CommandLine) -> None:
    from infomcr_cli.config.search_path import group_choices

    out = command_line("train", "--help").out
    assert "infomcr train --resume runs/on" in out
    for group, names in group_choices(None).items():
        assert group in out
        assert all(name in out for name in names)


def test_a_question_for_help_in_place_of_a_choice_is_not_taken_for_a_name(command_line: CommandLine) -> None:
    answer = command_line("train", "model=help")
    assert answer.code == 2
    assert "Did you mean" not in answer.err
    assert "Accepted: application" in answer.err


def test_a_setting_that_does_not_exist_is_said_not_to(command_line: CommandLine) -> None:
    assert "a run has no such setting; got 'mode'" in command_line("train", "mode=wrn").err


def test_a_missing_gpu_names_the_extra(command_line: CommandLine) -> None:
    answer = command_line("train", "device=gpu", "tracking=off")
    assert answer.code == 2
    assert "infomcr[gpu]" in answer.err


def test_prune_without_a_terminal_needs_yes_before_anything_is_done(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    answer = command_line("sync", "runs/none", "--prune")
    assert answer.code == 2
    assert "Give --yes" in answer.err


def test_an_exception_that_nothing_catches_is_printed_without_passwords() -> None:
    code = (
        "import infomcr_cli.cli as cli\n"
        "def fail(): raise RuntimeError('no answer of http://ann:hunter2-s3cret@127.0.0.1:9')\n"
        "cli.app.command('fail')(fail)\n"
        "import sys; sys.argv = ['infomcr', 'fail']; cli.main()"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 1
    assert "RuntimeError: no answer of http://***@127.0.0.1:9" in found.stderr
    assert "hunter2" not in found.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "start=", "--print-config"], "start"),
        (["train", "data.root=", "--print-config"], "data.root"),
        (["sweep", "seed=range(0,3,0)", "--dry-run"], "the step of a range"),
        (["sweep", "seed=0,1", 'sweep.exclude="seed=range(0,3,0)"', "--dry-run"], "the step of a range"),
        (["sweep", "seed=0,1", 'sweep.exclude="data.batchsize=3"', "--dry-run"], "data.batch_size"),
        (["train", 'tracking.uri="http://[::1:5000"'], "tracking URI"),
        (["train", "tracking.uri=http://host:abc"], "tracking URI"),
        (["sync", "runs/a", "--tracking-uri", "http://[::1"], "tracking URI"),
        (["report", "runs/a", "--tracking-uri", "foo"], "tracking"),
        (["compare", "mlflow:nope", "--no-tracking"], "no MLflow store"),
    ],
)
def test_odd_input_exits_2_and_leaves_nothing(
    words: list[str], message: str, command_line: CommandLine, tmp_path: Path
) -> None:
    RunDirectory.create(
        tmp_path / "runs" / "a", config=to_yaml(compose_run([])), overrides=[], status=new_status("0" * 64)
    )
    before = {path for path in tmp_path.rglob("*") if "home" not in path.parts}
    answer = command_line(*words)
    assert (answer.code, message in " ".join(answer.err.split())) == (2, True), answer.err
    assert {path for path in tmp_path.rglob("*") if "home" not in path.parts} == before
