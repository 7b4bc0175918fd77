"""Who stops watching stops nothing."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.live import Live

from infomcr_cli.console.screen import Screen
from infomcr_cli.runs import RunDirectory, State, read_status
from infomcr_cli.train import TrainRequest, train

TINY = (
    *("model=mlp", "model.depth=1", "model.width=4", "schedule.epochs=2"),
    *("data.train_size=64", "data.test_size=32", "measure.gamma.draw_size=20"),
)


class Shut(io.StringIO):
    """A file that cannot be written to."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error, self.writes = error, 0

    def write(self, text: str) -> int:
        self.writes += 1
        raise self._error


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), OSError(28, "No space left on device")])
def test_it_falls_silent_at_the_first_line_that_cannot_be_written(error: OSError) -> None:
    file = Shut(error)
    screen = Screen(file=file)
    screen.print("one")
    screen.print("two")
    assert file.writes == 1


def test_a_live_display_on_a_terminal_that_is_gone_ends_nothing() -> None:
    screen = Screen(file=Shut(OSError(5, "Input/output error")), force_terminal=True)
    with Live("epoch 1/2", console=screen, refresh_per_second=20) as live:
        live.update("epoch 2/2", refresh=True)
    assert screen.quiet


def test_a_run_that_nobody_watches_is_trained_to_its_end(tmp_path: Path) -> None:
    request = TrainRequest((*TINY, "tracking=off"), run_dir=tmp_path / "run")
    result = train(request, Screen(file=Shut(BrokenPipeError(32, "Broken pipe"))))
    assert result.state is State.FINISHED
    run = RunDirectory.open(tmp_path / "run")
    assert read_status(run).epoch == 2
    assert len(list(run.checkpoints.glob("epoch-*.safetensors"))) == 2


def test_checkpoints_that_were_cleared_away_are_made_anew(tmp_path: Path) -> None:
    file = io.StringIO()
    run = train(TrainRequest((*TINY, "tracking=off"), run_dir=tmp_path / "run"), Screen(file=file)).run
    status = read_status(run).model_copy(update={"state": State.KILLED})
    run.status.write_bytes(status.model_dump_json().encode())
    for path in run.checkpoints.iterdir():
        path.unlink()
    run.checkpoints.rmdir()
    assert train(TrainRequest(resume=run.path), Screen(file=file)).state is State.FINISHED
    assert "no checkpoint: training starts from the beginning" in file.getvalue()
    assert len(run.metrics.read_text().splitlines()) == 2
    assert len(list(run.checkpoints.glob("epoch-*.safetensors"))) == 2


def test_a_mistake_found_late_leaves_the_users_folders(tmp_path: Path) -> None:
    from infomcr_cli.errors import InputError

    (tmp_path / "mine").mkdir()
    for place in ("mine/a", "new/a"):
        with pytest.raises(InputError, match="must take the keywords"):
            train(
                TrainRequest(("model=builder", "model.builder=os:getcwd"), run_dir=tmp_path / place), Screen(quiet=True)
            )
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
