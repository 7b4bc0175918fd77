"""A run that cannot be read never stops a comparison; a file that cannot be written is refused before the work."""

from __future__ import annotations

import errno
import json
import os
import shutil

import pytest
from fake_runs import config_with, evaluation, write_run

from infomcr_cli.compare import CompareOptions, compare
from infomcr_cli.errors import InputError
from infomcr_cli.report import output_files as written
from infomcr_cli.report.plots.all import all_plots

needs_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


@pytest.fixture
def runs(tmp_path):
    """Four evaluated runs."""
    for index in range(4):
        found = evaluation(0.1 + index / 10, {"gamma": float(index)})
        write_run(tmp_path / "runs" / f"r{index}", config_with(optimizer__l2=index / 10), {"last": found})
    return tmp_path / "runs"


def cut_short(path):
    path.write_bytes(path.read_bytes()[:20])


def dangling(path):
    path.unlink()
    path.symlink_to("nowhere")


DAMAGES = {
    "status cut short": lambda run: cut_short(run / "status.json"),
    "measures cut short": lambda run: cut_short(run / "measures.json"),
    "configuration of binary": lambda run: (run / "config.yaml").write_bytes(b"\x00\xff\xfe"),
    "empty configuration": lambda run: (run / "config.yaml").write_text(""),
    "empty status": lambda run: (run / "status.json").write_text(""),
    "status of another kind": lambda run: (run / "status.json").write_text('{"state": "DANCING"}'),
    "accuracy of 2": lambda run: (run / "measures.json").write_text(
        '{"checkpoints": {"last": {"train": {"accuracy": 2}}}}'
    ),
    "status gone": lambda run: (run / "status.json").unlink(),
    "configuration gone": lambda run: (run / "config.yaml").unlink(),
    "status is a link to nothing": lambda run: dangling(run / "status.json"),
    "measures is a link to nothing": lambda run: dangling(run / "measures.json"),
    "status is a folder": lambda run: ((run / "status.json").unlink(), (run / "status.json").mkdir()),
    "measures is a folder": lambda run: ((run / "measures.json").unlink(), (run / "measures.json").mkdir()),
    "measures is a pipe": lambda run: ((run / "measures.json").unlink(), os.mkfifo(run / "measures.json")),
    "the run is a link to nothing": lambda run: (shutil.rmtree(run), run.symlink_to("nowhere")),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("named", ["{}", "{}/*", "each"])
def test_one_unreadable_run_is_left_out_with_the_reason(command_line, runs, damage, named):
    DAMAGES[damage](runs / "r1")
    names = [str(runs / f"r{i}") for i in range(4)] if named == "each" else [named.format(runs)]
    answer = command_line("compare", *names, "--json", "--no-tracking")
    assert answer.code == 0, answer.err
    document = json.loads(answer.out)
    assert document["n"] == 3
    assert [run["run"] for run in document["runs"]] == ["r0", "r2", "r3"]
    (run, reason), *others = document["left_out"]["runs"].items()
    assert (run, others) == (str(runs / "r1"), [])
    assert f"Left out, because it cannot be read: {run}: {reason}" in document["notes"]
    assert document["measures"]["gamma"]["kendall_tau"]["value"] == 1.0


def test_unreadable_runs_are_told_in_tables_and_page(command_line, runs):
    (runs / "r1" / "status.json").write_text("")
    answer = command_line("compare", str(runs), "--no-tracking", "--html", "page.html")
    assert "cannot be read" in answer.out
    assert "status.json of r1" in " ".join(answer.out.split())
    assert "cannot be read" in (runs.parent / "page.html").read_text()


def test_where_no_run_can_be_read_the_command_is_refused_with_the_reasons(command_line, runs):
    for index in range(4):
        (runs / f"r{index}" / "status.json").write_text("")
    answer = command_line("compare", str(runs))
    assert (answer.code, answer.out) == (2, "")
    assert "at least one run that can be read" in answer.err
    assert "status.json of r0" in answer.err


def test_a_path_that_does_not_exist_is_refused_beside_runs_that_do(command_line, runs):
    answer = command_line("compare", str(runs / "*"), str(runs / "r9"))
    assert answer.code == 2
    assert "r9" in answer.err


def test_a_broken_run_of_a_sweep_is_left_out_and_one_that_never_was_is_not(runs):
    listed = [{"run": str(runs / name)} for name in ("r0", "r1", "r2", "never")]
    (runs / "sweep.json").write_text(json.dumps({"jobs": listed}))
    (runs / "r1" / "status.json").unlink()
    document = compare(CompareOptions((str(runs),))).to_dict()
    assert [run["run"] for run in document["runs"]] == ["r0", "r2"]
    assert document["left_out"]["runs"] == {str(runs / "r1"): "status.json is missing"}


def test_a_configuration_alone_is_no_broken_run(runs):
    (runs / "conf").mkdir()
    (runs / "conf" / "config.yaml").write_text("a: 1\n")
    assert compare(CompareOptions((str(runs),))).to_dict()["left_out"]["runs"] == {}


def test_a_run_that_permission_is_denied_to_is_left_out(runs, monkeypatch):
    whole = os.scandir

    def scandir(path="."):
        if str(path).endswith("r1"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return whole(path)

    monkeypatch.setattr(os, "scandir", scandir)
    document = compare(CompareOptions((str(runs / "r*"),))).to_dict()
    assert document["left_out"]["runs"] == {str(runs / "r1"): "Permission denied"}


@needs_user
@pytest.mark.parametrize("hidden", ["r1", "r1/status.json", "r1/config.yaml", "r1/measures.json"])
def test_a_run_that_the_user_may_not_read_is_left_out(runs, hidden):
    (runs / hidden).chmod(0)
    try:
        for name in (str(runs), str(runs / "*")):
            assert [*compare(CompareOptions((name,))).to_dict()["left_out"]["runs"]] == [str(runs / "r1")]
    finally:
        (runs / hidden).chmod(0o700)


def test_damaged_metrics_cost_the_training_curve_of_that_run_alone(runs):
    (runs / "r1" / "metrics.jsonl").write_text("{}\n" * 3)
    titles = {one.name: one.title for one in all_plots(compare(CompareOptions((str(runs),))))}
    assert titles["training"].endswith("Left out, because metrics.jsonl cannot be read: r1.")


def test_a_first_run_that_names_no_store_spoils_no_comparison(runs, caplog):
    config = (runs / "r0" / "config.yaml").read_text().replace("tracking:\n  name: 'off'\n", "")
    assert "tracking" not in config
    (runs / "r0" / "config.yaml").write_text(config)
    assert compare(CompareOptions((str(runs),), tracking=True)).verdict.n == 4
    assert "not recorded" in caplog.text


def refused_before_the_work(command_line, monkeypatch, runs, *options):
    """The message of a command that was refused before it read any run."""
    monkeypatch.setattr("infomcr_cli.report.gather.gather", lambda *_: pytest.fail("the work was begun"))
    before = sorted(runs.parent.rglob("*"))
    answer = command_line("compare", str(runs), "--no-tracking", *options)
    assert (answer.code, answer.out) == (2, "")
    assert sorted(runs.parent.rglob("*")) == before
    return answer.err


@pytest.mark.parametrize("option", ["--csv", "--html", "--plots"])
@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("file/inside", "Not a directory"),
        ("/proc/inside", ""),
        ("x" * 300, "name too long"),
        (f"{'x' * 300}/inside", "name too long"),
        ("link/inside", ""),
    ],
)
def test_a_place_that_cannot_be_written_is_refused_before_the_work(command_line, monkeypatch, runs, option, place, why):
    (runs.parent / "file").write_text("")
    (runs.parent / "link").symlink_to("/proc/nowhere/at/all")
    message = refused_before_the_work(command_line, monkeypatch, runs, option, place)
    assert f"{option} must name a f" in message
    assert why in message


def test_a_folder_for_a_file_and_a_file_for_a_folder_are_refused_before_the_work(command_line, monkeypatch, runs):
    (runs.parent / "file").write_text("")
    for option, place in (("--csv", "runs"), ("--html", "."), ("--plots", "file")):
        assert option in refused_before_the_work(command_line, monkeypatch, runs, option, place)
    message = refused_before_the_work(command_line, monkeypatch, runs, "--csv", "a", "--html", "a")
    assert "different files" in message


def test_a_full_disk_is_refused_before_the_work(command_line, monkeypatch, runs):
    def full(**_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(written.tempfile, "TemporaryFile", full)
    for option in ("--csv", "--html", "--plots"):
        assert "No space left" in refused_before_the_work(command_line, monkeypatch, runs, option, "out/a")


def test_a_bad_tracking_uri_is_refused_before_the_work(command_line, monkeypatch, runs):
    message = refused_before_the_work(command_line, monkeypatch, runs, "--tracking", "--tracking-uri", "ftp://x")
    assert "ftp" in message


def test_an_unknown_column_to_sort_by_is_refused_before_the_statistics(command_line, monkeypatch, runs):
    monkeypatch.setattr("infomcr_cli.report.comparison.judge_minima", lambda *_, **__: pytest.fail("too late"))
    answer = command_line("compare", str(runs), "--sort", "gama", "--no-tracking")
    assert answer.code == 2
    assert "Did you mean 'gamma'" in answer.err


def test_a_disk_that_fills_up_while_a_file_is_written_leaves_the_former_file(runs, tmp_path):
    (tmp_path / "t.csv").write_text("kept")
    options = CompareOptions((str(runs),), csv=tmp_path / "t.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infomcr_cli.runs.io.safe_files.os.fsync", _no_space)
        with pytest.raises(InputError, match="--csv must name a file that can be written"):
            compare(options)
    assert (tmp_path / "t.csv").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "t.csv"]


def _no_space(_):
    raise OSError(errno.ENOSPC, "No space left on device")


@needs_user
def test_a_folder_without_permission_is_refused_before_the_work(command_line, monkeypatch, runs):
    (runs.parent / "locked").mkdir(mode=0o500)
    for option in ("--csv", "--html", "--plots"):
        assert "denied" in refused_before_the_work(command_line, monkeypatch, runs, option, "locked/a/b")


def test_new_folders_are_made_for_the_files(command_line, runs):
    assert command_line("compare", str(runs), "--no-tracking", "--csv", "new/deep/t.csv").code == 0
    assert (runs.parent / "new" / "deep" / "t.csv").stat().st_size > 100


def test_a_device_is_written_to_and_not_replaced(runs):
    assert compare(CompareOptions((str(runs),), csv=type(runs)("/dev/null"))).files == ("/dev/null",)
    assert not type(runs)("/dev/null").is_file()
