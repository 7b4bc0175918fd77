"""Silence TensorFlow's warning that it takes a vectorised derivative in a loop."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf


@contextmanager
def without_loop_warnings() -> Iterator[None]:
    """Silence the warning inside the block: the numbers are right, and a user can do nothing about it."""
    logger = tf.get_logger()
    logger.addFilter(_is_other_warning)
    try:
        yield
    finally:
        logger.removeFilter(_is_other_warning)


def _is_other_warning(record: logging.LogRecord) -> bool:
    return "while_loop" not in record.getMessage()
