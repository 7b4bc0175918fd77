"""Errors that end a command: bad input (exit 2) and a run that failed (exit 1)."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable

# What other tools call a setting or a value of ours: a likeness of letters would not find it, or find the opposite.
OTHER_WORDS = {
    "lr": "learning_rate",
    "wd": "weight_decay",
    "decay": "weight_decay",
    "smoothing": "label_smoothing",
    "grad_clip": "global_clipnorm",
    "gradient_clip": "global_clipnorm",
    "clip_grad_norm": "global_clipnorm",
    "max_grad_norm": "global_clipnorm",
    "gradient_clip_val": "global_clipnorm",
    "ema": "use_ema",
    "ema_decay": "ema_momentum",
    "betas": "beta_1",
    "beta1": "beta_1",
    "beta2": "beta_2",
    "eps": "epsilon",
    "early_stopping": "patience",
    "early_stopping_patience": "patience",
    "val_size": "validation_size",
    "validation_split": "validation_size",
    "max_epochs": "epochs",
    "batch": "batch_size",
    "path": "root",
    "dir": "root",
    "lambda": "beta",
    "cuda": "gpu",
    "bf16": "mixed_bfloat16",
    "bfloat16": "mixed_bfloat16",
    "step": "piecewise",
    "multistep": "piecewise",
    "none": "off",
    "false": "off",
    "true": "on",
}


class InputError(ValueError):
    """What the user gave cannot be used; nothing was started.

    Args:
        rule:     what must hold, a sentence without a full stop.
        received: the value as it was given.
        accepted: the valid names or values, where they can be listed.
        advice:   the way out, a sentence; where absent the nearest accepted name is proposed.

    Example:
        InputError("model must be a known architecture", received="wnr", accepted=["mlp", "wrn"]) reads
        "model must be a known architecture; got 'wnr'. Accepted: mlp, wrn. Did you mean 'wrn'?"
    """

    def __init__(
        self, rule: str, *, received: object = None, accepted: Iterable[object] = (), advice: str | None = None
    ) -> None:
        self.rule, self.received, self.advice = rule, received, advice
        self.accepted = [str(name) for name in accepted]
        super().__init__(self._sentence())

    @property
    def nearest(self) -> str | None:
        """The accepted name that is closest to what was received, or None."""
        word = OTHER_WORDS.get(str(self.received).lower())
        return word if word in self.accepted else nearest_name(str(self.received), self.accepted)

    def _sentence(self) -> str:
        got = "" if self.received is None else f"; got {self.received!r}"
        known = f" Accepted: {', '.join(self.accepted)}." if self.accepted else ""
        way_out = self.advice or (f"Did you mean {self.nearest!r}?" if self.nearest else "")
        return f"{self.rule}{got}.{known} {way_out}".rstrip()


class AdvisedError(RuntimeError):
    """A failure of a run that the user can do something about."""

    advice: str


class RunFailedError(RuntimeError):
    """A run started and could not go on; its directory says why."""


_OF_A_PATH = frozenset({"EACCES", "EPERM", "ENOENT", "ENOTDIR", "EISDIR", "ENAMETOOLONG", "ELOOP", "EROFS"})
_OF_THE_MACHINE = frozenset({"ENOSPC", "EDQUOT", "EFBIG", "EIO", "EMFILE", "ENFILE", "ENOMEM", "ESTALE"})


def explained(error: OSError) -> InputError | RunFailedError | None:
    """Return what the operating system refused in our words; None where nothing is known about it.

    A path that cannot be used is bad input: what it names is the user's choice. A full disk is no one's.
    """
    name = errno.errorcode.get(error.errno or 0, "")
    if name in _OF_A_PATH and error.filename is not None:
        path = error.filename if isinstance(error.filename, int) else os.fsdecode(error.filename)
        return InputError(f"cannot use this path ({error.strerror})", received=path)
    if name == "ENOENT" and _has_no_working_folder():
        return InputError("the working directory does not exist", advice="It was removed; change to another one.")
    if name in _OF_THE_MACHINE:
        named = isinstance(error.filename, str | bytes)
        what = repr(os.fsdecode(error.filename)) if named else "standard output, or a file,"
        return RunFailedError(f"{what} cannot be read or written ({error.strerror})")
    return None


def _has_no_working_folder() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def nearest_name(name: str, accepted: Iterable[str]) -> str | None:
    """Return the accepted name that resembles `name` most, or None where none does."""
    matches = difflib.get_close_matches(name, list(accepted), n=1, cutoff=0.5)
    return matches[0] if matches else None
