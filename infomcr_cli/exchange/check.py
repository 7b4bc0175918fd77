"""What can be known of a file before TensorFlow is there."""

from __future__ import annotations

from pathlib import Path

from infomcr_cli.exchange.architecture import read_architecture
from infomcr_cli.exchange.archive import config_bytes, opened_archive
from infomcr_cli.exchange.weights_file import check_weights_file
from infomcr_cli.runs.documents import printable


def check_file(path: Path) -> None:
    """Raise InputError where a file is known to be refused; nothing is built, and no weight is read."""
    if not path.name.endswith(".keras"):
        check_weights_file(path)
        return
    with opened_archive(path) as archive:
        read_architecture(config_bytes(archive, path), f"config.json of {printable(path.name)}")
