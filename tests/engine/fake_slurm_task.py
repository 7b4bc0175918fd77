"""A task of a Slurm array whose job is that of fake_worker.py."""

import sys
from pathlib import Path

from infomcr_cli.engine import process, slurm_task

if __name__ == "__main__":
    process.COMMAND = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))  # type: ignore[assignment]
    sys.exit(slurm_task.main(sys.argv[1:]))
