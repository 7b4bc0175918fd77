"""Standard error as a console: who stops watching stops nothing."""

from __future__ import annotations

from rich.console import Console


class Screen(Console):
    """A console that falls silent where its pipe is closed, its disk full or its terminal gone; a run goes on.

    Rich would end the process at a closed pipe, and leave a run that says that it is running.
    """

    def _check_buffer(self) -> None:
        """Write as Rich does, lines and live bars alike, or nothing more from the first text on that cannot be written.

        Every text comes this way, also that of the thread that keeps a bar moving.
        """
        try:
            super()._check_buffer()
        except OSError:
            self.quiet = True
            self._buffer.clear()

    def on_broken_pipe(self) -> None:
        """Fall silent."""
        self.quiet = True

    def _write_buffer(self) -> None:
        """Write what Rich has rendered; its live displays come here by themselves, from threads of their own."""
        try:
            super()._write_buffer()
        except OSError:
            self.quiet = True
