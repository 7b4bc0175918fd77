"""Kills this very process, with SIGKILL, at a named moment of its work; armed in children of the fork_server."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

MOMENTS = (
    "between two steps",
    "inside a step",
    "inside an evaluation",
    "a log line half written",
    "after a log line",
    "a checksum half written",
    "a checksum written, its checkpoint not",
    "a checkpoint half written",
    "a checkpoint written, not renamed",
    "a checkpoint renamed, not synced",
    "an old checkpoint removed, its checksum not",
    "a status half written",
)


def arm(moment: str, count: int) -> None:
    """Die when `moment` comes for the `count`-th time, counted from 1."""
    _HOOKS[moment](_Fuse(count))


class _Fuse:
    def __init__(self, count: int) -> None:
        self._left = count

    def burns_down(self) -> bool:
        self._left -= 1
        return self._left == 0

    def tick(self) -> None:
        if self.burns_down():
            die()


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _between_steps(fuse: _Fuse) -> None:
    _before("infomcr_cli.training.callbacks", "RunCallback", "on_step", lambda *_: fuse.tick())


def _inside_a_step(fuse: _Fuse) -> None:
    def light(*_: Any) -> None:
        if fuse.burns_down():
            threading.Timer(0.004, die).start()

    _before("infomcr_cli.training.callbacks", "RunCallback", "on_step", light)


def _inside_an_evaluation(fuse: _Fuse) -> None:
    from infomcr_cli.training import setup

    plain = setup.evaluation_batches

    def evaluation_batches(*args: Any, **kwargs: Any) -> Iterator[Any]:
        batches: Iterable[Any] = plain(*args, **kwargs)
        for place, batch in enumerate(batches):
            if place == 1:
                fuse.tick()
            yield batch

    setup.evaluation_batches = evaluation_batches


def _half_a_line(fuse: _Fuse) -> None:
    from infomcr_cli.runs import metrics

    plain = metrics._write_all

    def write_all(descriptor: int, content: bytes) -> None:
        if fuse.burns_down():
            os.write(descriptor, content[: len(content) // 2])
            die()
        plain(descriptor, content)

    metrics._write_all = write_all


def _after_a_line(fuse: _Fuse) -> None:
    from infomcr_cli.runs.metrics import MetricsLog

    plain = MetricsLog.append

    def append(self: MetricsLog, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        fuse.tick()

    MetricsLog.append = append  # type: ignore[method-assign]


def _half_a_file(fragment: str, share: float) -> Callable[[_Fuse], None]:
    def hook(fuse: _Fuse) -> None:
        from infomcr_cli.runs.io import safe_files

        def opened(path: Any, mode: str) -> Any:
            file = open(path, mode)  # noqa: SIM115 -- its user closes it
            chosen = fragment in os.fspath(path) and (".sha256." in os.fspath(path)) == (".sha256." in fragment)
            return _Torn(file, share) if chosen and fuse.burns_down() else file

        safe_files.open = opened  # type: ignore[attr-defined]

    return hook


class _Torn:
    """A file whose writer dies in the middle of it."""

    def __init__(self, file: Any, share: float) -> None:
        self._file, self._share = file, share

    def __enter__(self) -> _Torn:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, content: bytes) -> None:
        self._file.write(content[: int(len(content) * self._share)])
        self._file.flush()
        os.fsync(self._file.fileno())
        die()


def _after_rename(ending: str) -> Callable[[_Fuse], None]:
    def hook(fuse: _Fuse) -> None:
        plain = os.replace

        def replace(source: Any, target: Any, **kwargs: Any) -> None:
            plain(source, target, **kwargs)
            if os.fspath(target).endswith(ending):
                fuse.tick()

        os.replace = replace

    return hook


def _between_unlinks(fuse: _Fuse) -> None:
    from pathlib import Path

    plain = Path.unlink

    def unlink(self: Path, missing_ok: bool = False) -> None:
        plain(self, missing_ok=missing_ok)
        if self.name.endswith(".safetensors") and not self.name.startswith("."):
            fuse.tick()

    Path.unlink = unlink  # type: ignore[method-assign]


def _before(module: str, owner: str, name: str, hook: Callable[..., None]) -> None:
    import importlib

    holder = getattr(importlib.import_module(module), owner)
    plain = getattr(holder, name)

    def hooked(*args: Any, **kwargs: Any) -> Any:
        hook(*args)
        return plain(*args, **kwargs)

    setattr(holder, name, hooked)


_HOOKS: dict[str, Callable[[_Fuse], None]] = {
    "between two steps": _between_steps,
    "inside a step": _inside_a_step,
    "inside an evaluation": _inside_an_evaluation,
    "a log line half written": _half_a_line,
    "after a log line": _after_a_line,
    "a checksum half written": _half_a_file(".safetensors.sha256.", 0.5),
    "a checksum written, its checkpoint not": _after_rename(".safetensors.sha256"),
    "a checkpoint half written": _half_a_file(".safetensors.", 0.6),
    "a checkpoint written, not renamed": _half_a_file(".safetensors.", 1.0),
    "a checkpoint renamed, not synced": _after_rename(".safetensors"),
    "an old checkpoint removed, its checksum not": _between_unlinks,
    "a status half written": _half_a_file(".status.json.", 0.5),
}
