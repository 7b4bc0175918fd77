"""`infomcr` whose jobs are those of fake_worker.py."""

import signal
import sys
from pathlib import Path

from infomcr_cli import cli
from infomcr_cli.engine import process, slurm_array

if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests may run under nohup
    process.COMMAND = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))  # type: ignore[assignment]
    slurm_array.COMMAND = (sys.executable, "-u", str(Path(__file__).with_name("fake_slurm_task.py")))
    cli.main()
