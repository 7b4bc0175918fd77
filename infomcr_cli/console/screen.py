"""A console on standard error that survives a closed pipe or a full disk."""

from __future__ import annotations

from typing import Any

from rich.console import Console


class Screen(Console):
    """A console that stops printing if its pipe is closed, its disk full or its terminal gone; the run continues.

    Rich would end the process at a closed pipe, and the run's record would say that it is still running.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as Rich does; after a line that cannot be written, print nothing more."""
        try:
            super().print(*objects, **options)
        except OSError:
            self.quiet = True

    def on_broken_pipe(self) -> None:
        """Print nothing more."""
        self.quiet = True

    def _write_buffer(self) -> None:
        """Write what Rich has rendered; its live displays come here by themselves, from threads of their own."""
        try:
            super()._write_buffer()
        except OSError:
            self.quiet = True


def say(console: Console, line: str) -> None:
    """Print a line as it is: nothing in it is markup, and the terminal wraps it."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)
