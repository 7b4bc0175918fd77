"""The report on a single run: its values are those of its files, whatever state it is in and whoever made its files."""

from __future__ import annotations

import base64
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from chromium import answer_of, needs_chromium
from cli import CommandLine
from fake_runs import config_with, evaluation, write_run
from page_reader import check_page_is_closed, parsed, text_of
from tolerances import SINGLE

from infomcr_cli.report.evaluated_run import read_compared_run
from infomcr_cli.report.run_pictures import found_pictures
from infomcr_cli.report.tables import in_full, with_error
from infomcr_cli.report_run import ReportRequest, report_run
from infomcr_cli.runs import RunDirectory

HOSTILE = "</script><script>alert(1)</script>[red]\x1b[31m\"'&"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def evaluated_run(path: Path, **changes: Any) -> Path:
    """A run with three evaluated checkpoints of which one is in another convention, and its learning rate."""
    piecewise = {"schedule__name": "piecewise", "schedule__boundaries": [0.5], "reg": "on"}
    last = evaluation(0.05, {"gamma": -378.19, "margin": 2.5, "parameter_count": 77562.0})
    last["measures"]["gamma"] |= {"std_error": 8.07, "draws": [-370.0, None, -386.38], "interval": [-395.1, -361.2]}
    last["measures"]["margin"] |= {"value": None, "std_error": None, "reason": "no <margin>", "direction": "higher"}
    other = evaluation(0.1, {"gamma": -1.0}, convention={"draws": 3}, step=40, epoch=2)
    first = evaluation(0.1, {"gamma": -200.0}, step=20, epoch=1)
    checkpoints = {"last": last, "epoch-0001": first, "epoch-0002": other}
    run = write_run(
        path, config_with(**piecewise), checkpoints, steps=3, epoch=3, started=1e9, ended=1e9 + 125, **changes
    )
    (run / "environment.json").write_text(json.dumps({"python": "3.11.7", "packages": {"keras": "3.15.1"}}))
    return run


def test_values_of_the_page_are_those_of_measures_json(tmp_path: Path) -> None:
    run, page = evaluated_run(tmp_path / "run"), tmp_path / "page.html"
    document = report_run(ReportRequest(run, page, tracking=False)).to_dict()
    recorded = json.loads((run / "measures.json").read_text())["checkpoints"]["last"]
    found, text = document["evaluation"], text_of(page)
    assert found["checkpoint"] == "last"
    assert found["test"] == recorded["test"]
    for name, measure in found["measures"].items():
        assert measure["value"] == recorded["measures"].get(name, {"value": found["train"]["loss"]})["value"]
        assert name in text
        assert measure["value"] is None or in_full(measure["value"], measure["std_error"]) in text
    compared = read_compared_run(RunDirectory.open(run))
    error = compared.gap_std_error("error")  # type: ignore[attr-defined]
    assert with_error(100 * recorded["gap"]["error"], 100 * error) in text
    for part in (
        "-378 ± 8",
        "-395.1 to -361.2",
        "77,562",
        "none: no <margin>",
        "half the log-determinant",
        "2:05 minutes",
    ):
        assert part in text
    assert "1 draws are rank-deficient" in text
    assert document["gamma_along_training"] == [  # one convention only
        {"step": 20, "value": -200.0, "std_error": 0.5},
        {"step": 60, "value": -378.19, "std_error": 8.07},
    ]
    assert "-1.0 ± 0.5*" in text


def test_learning_curves_of_the_page_are_the_lines_of_metrics_jsonl(tmp_path: Path) -> None:
    run, page = evaluated_run(tmp_path / "run"), tmp_path / "page.html"
    report_run(ReportRequest(run, page, tracking=False))
    data = json.loads(page.read_text("utf-8").partition('id="page-data">')[2].partition("</script>")[0])
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    marks = {mark["label"]: mark for mark in data["pictures"]["training"]["marks"]}
    for name in ("train", "test"):
        assert marks[f"{name} loss"]["x"] == [line["epoch"] for line in lines]
        assert marks[f"{name} loss"]["y"] == pytest.approx([line[f"{name}/loss"] for line in lines], rel=SINGLE)
    gamma = data["pictures"]["gamma"]["marks"][0]
    assert gamma["y"] == [-200.0, -378.19]
    assert gamma["low"] == pytest.approx([-200.5, -386.26])
    assert gamma["high"] == pytest.approx([-199.5, -370.12])


def test_page_of_a_run_makes_no_request_and_escapes_what_the_run_says(tmp_path: Path) -> None:
    config = config_with(model__name=HOSTILE, imported={"file": HOSTILE})
    found = evaluation(0.1, {HOSTILE: 1.0, "gamma": 2.0})
    found["measures"]["gamma"]["convention"] = {HOSTILE: HOSTILE}
    run = write_run(tmp_path / "<script>alert(1)<", config, {"last": found, HOSTILE: found}, label=HOSTILE)
    (run / "environment.json").write_text(json.dumps({HOSTILE: HOSTILE, "packages": [HOSTILE]}))
    (run / "annotations.json").write_text(json.dumps({"format": 1, "tags": {HOSTILE: HOSTILE}, "note": HOSTILE}))
    report_run(ReportRequest(run, tmp_path / "page.html", tracking=False))
    check_page_is_closed(tmp_path / "page.html")
    assert "\x1b" not in (tmp_path / "page.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        ({"state": "FINISHED", "reached_target": False}, "It did not reach its target training loss."),
        ({"state": "FAILED", "reason": "the loss is NaN at step 7"}, "It failed: the loss is NaN at step 7."),
        ({"state": "KILLED", "reason": "SIGTERM"}, "It was stopped: SIGTERM."),
        ({"state": "RUNNING", "pid": 1, "host": "elsewhere"}, "Its process is gone"),
    ],
)
def test_a_run_without_an_evaluation_says_how_it_ended_and_what_is_missing(
    tmp_path: Path, status: dict[str, Any], sentence: str
) -> None:
    run = write_run(tmp_path / "run", config_with(), None, **status)
    (run / "metrics.jsonl").unlink()
    report = report_run(ReportRequest(run, tmp_path / "page.html", tracking=False))
    text = text_of(tmp_path / "page.html")
    assert sentence in text
    assert "The run was not evaluated, so there are no measures." in text
    assert "there are no learning curves" in text
    assert report.to_dict()["evaluation"] is None
    check_page_is_closed(tmp_path / "page.html")


def test_an_imported_run_says_that_its_training_is_not_recorded(tmp_path: Path) -> None:
    config = config_with(imported={"file": "mine.keras", "settings": {"lr": 0.1}})
    run = write_run(tmp_path / "run", config, {"last": evaluation(0.1, {"gamma": -3.0})})
    document = report_run(ReportRequest(run, tmp_path / "page.html", tracking=False)).to_dict()
    text = text_of(tmp_path / "page.html")
    assert document["imported"]
    assert "imported from mine.keras" in text
    assert "its training is not recorded" in text
    assert "learning_rate" not in text.partition("Settings that determine the weights")[0]


def test_an_outdated_evaluation_is_not_shown_as_that_of_the_run(tmp_path: Path) -> None:
    found = {"last": evaluation(0.1, {"gamma": -3.0}, step=20)}
    run = write_run(tmp_path / "run", config_with(), found)
    report = report_run(ReportRequest(run, tmp_path / "page.html", tracking=False))
    assert report.evaluated is None
    assert "Its evaluation is of an earlier step." in text_of(tmp_path / "page.html")
    found["best"] = evaluation(0.1, {"gamma": -4.0}, step=40)
    (run / "measures.json").write_text(json.dumps({"format": 1, "checkpoints": found}))
    document = report_run(ReportRequest(run, tmp_path / "page.html", tracking=False)).to_dict()
    assert document["evaluation"]["checkpoint"] == "best"
    assert "The latest evaluation is of step 40, but the run is at step 60." in document["missing"]


@pytest.mark.parametrize(
    "name", ["measures.json", "metrics.jsonl", "environment.json", "overrides.yaml", "annotations.json"]
)
def test_a_damaged_file_is_named_and_the_rest_is_shown(tmp_path: Path, name: str) -> None:
    run = evaluated_run(tmp_path / "run")
    (run / name).write_text("{: not what it was\n")
    document = report_run(ReportRequest(run, tmp_path / "page.html", tracking=False)).to_dict()
    assert any(sentence.startswith(f"{name} cannot be read") for sentence in document["missing"])
    assert not any(words in " ".join(document["missing"]) for words in ("was not evaluated", "Fewer", "is missing"))
    assert "momentum" in text_of(tmp_path / "page.html")


def test_pictures_of_a_directory_are_images_and_never_part_of_the_page(tmp_path: Path) -> None:
    run = evaluated_run(tmp_path / "run")
    folder = run / "landscapes" / "surface-1"
    folder.mkdir(parents=True)
    pictures = {"surface": {"title": f"Loss {HOSTILE}", "alt": f"A bowl {HOSTILE}"}}
    document = {
        "pictures": pictures,
        "kind": "random",
        "dimensions": 2,
        "barriers": {"linear": {"train_loss": {"value": 0.25}}},
    }
    (folder / "landscape.json").write_text(json.dumps(document))
    (folder / "surface.svg").write_bytes(SVG)
    (folder / "surface.png").write_bytes(PNG)
    (folder / "bomb.svg").write_bytes(b'<!DOCTYPE svg [<!ENTITY a "a">]><svg>&a;</svg>')
    (folder / "fake.png").write_bytes(b"<html>")
    (run / "plots" / "spectrum-last.png").write_bytes(PNG)
    (run / "checkpoints" / "hidden.png").write_bytes(PNG)
    document = report_run(ReportRequest(run, tmp_path / "page.html", tracking=False)).to_dict()
    check_page_is_closed(tmp_path / "page.html")
    content = (tmp_path / "page.html").read_text("utf-8")
    assert base64.b64encode(SVG).decode() in content
    assert "onload" not in content
    assert [one["file"] for one in document["pictures"]] == [
        "landscapes/surface-1/surface.svg",
        "plots/spectrum-last.png",
    ]
    facts = document["pictures"][0]["facts"]
    assert facts == {"kind": "random", "dimensions": "2", "barrier of train loss (linear)": "0.25"}
    left_out = [one for one in document["missing"] if "is not shown" in one]
    assert [one.split()[0] for one in left_out] == ["landscapes/surface-1/bomb.svg", "landscapes/surface-1/fake.png"]
    alt = next(one["alt"] for tag, one in parsed(tmp_path / "page.html").found if tag == "img")
    assert (alt or "").startswith("A bowl </script>")


def test_a_document_that_names_no_pictures_as_it_should_does_no_harm(tmp_path: Path) -> None:
    run = evaluated_run(tmp_path / "run")
    (run / "plots" / "mine.png").write_bytes(PNG)
    (run / "plots" / "notes.json").write_text('{"pictures": 3}')
    (run / "plots" / "words.json").write_text('{"pictures": ["mine"]}')
    found, left_out = found_pictures(RunDirectory.open(run))
    assert [(one.file, one.title) for one in found if one.file == "plots/mine.png"] == [("plots/mine.png", "mine")]
    assert not left_out


def test_pictures_are_bounded_in_number_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run", config_with(), None)
    for index in range(4):
        (run / "plots" / f"p{index}.png").write_bytes(PNG)
    (run / "plots" / "a.png").write_bytes(PNG + bytes(1000))
    monkeypatch.setattr("infomcr_cli.report.run_pictures.LARGEST", 100)
    monkeypatch.setattr("infomcr_cli.report.run_pictures.MOST", 2)
    pictures, left_out = found_pictures(RunDirectory.open(run))
    assert [one.file for one in pictures] == ["plots/p0.png", "plots/p1.png"]
    assert left_out[0].startswith("plots/a.png is not shown")
    assert left_out[1] == "More than 2 pictures are not shown."


def test_command_writes_into_the_run_or_where_it_is_sent(command_line: CommandLine, tmp_path: Path) -> None:
    run = evaluated_run(tmp_path / "my runs" / "run")
    first = command_line("report", str(run))
    assert first.code == 0
    assert (run / "report.html").is_file()
    second = command_line("report", str(run), "--html", "out/page.html", "--json")
    assert json.loads(second.out)["files"] == ["out/page.html"]
    links = [one["href"] for tag, one in parsed(tmp_path / "out" / "page.html").found if tag == "a"]
    assert "../my%20runs/run/config.yaml" in links
    assert command_line("report", str(run), "--html", str(tmp_path)).code == 2
    wrong = command_line("report", str(tmp_path / "my runs" / "rum"))
    assert wrong.code == 2
    assert "Did you mean" in wrong.err


def test_report_is_an_artifact_of_the_run_in_mlflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run, sent = evaluated_run(tmp_path / "run"), []

    class Client:
        def log_text(self, *arguments: str) -> None:
            sent.append(arguments)

    monkeypatch.setattr("infomcr_cli.tracking.log_report.mirror", lambda run, store: "abc")
    monkeypatch.setattr("infomcr_cli.tracking.log_report.connect", lambda store: Client())
    (run / "report.html").write_text("<script>alert(1)</script>")  # of someone else: it is replaced, never sent
    report = report_run(ReportRequest(run, tracking_uri="http://127.0.0.1:1"))
    (run_id, page, name) = sent[0]
    assert (run_id, name, report.mlflow_run_id) == ("abc", "report.html", "abc")
    assert page.startswith("<!doctype html>")
    assert "alert(1)" not in page
    assert f'href="{(run.resolve() / "config.yaml").as_uri()}"' in page  # it is read elsewhere
    assert 'href="./' not in page
    assert report_run(ReportRequest(run)).mlflow_run_id is None  # tracking=off
    monkeypatch.setattr(Client, "log_text", lambda *_: 1 / 0)
    with caplog.at_level(logging.WARNING):
        assert report_run(ReportRequest(run, tracking_uri="http://127.0.0.1:1")).mlflow_run_id is None
    assert "Could not upload the report to MLflow" in caplog.text


@needs_chromium
def test_curves_of_a_run_give_their_values_in_a_browser(tmp_path: Path) -> None:
    run = evaluated_run(tmp_path / "run")
    report_run(ReportRequest(run, tmp_path / "page.html", tracking=False))
    found = answer_of(
        tmp_path / "page.html",
        """
        const svg = document.querySelector("svg[data-picture=training]");
        svg.focus();
        svg.dispatchEvent(new KeyboardEvent("keydown", { key: "Home", bubbles: true }));
        const root = document.documentElement;
        return {
          tip: Array.from(document.querySelectorAll(".tip div"), (one) => one.textContent),
          dimmed: document.querySelectorAll(".picking").length,
          widths: [root.scrollWidth, root.clientWidth],
        };
        """,
        width=400,
    )
    assert found["tip"] == ["train loss", "loss, nats: 1", "epoch: 1"]
    assert found["dimmed"] == 0
    assert found["widths"][0] <= found["widths"][1]
