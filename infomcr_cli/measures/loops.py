"""Vectorised derivatives that hold a loop, without TensorFlow's remarks on it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf


@contextmanager
def unremarked_loops() -> Iterator[None]:
    """Keep TensorFlow from saying, in what is traced inside, that it loops over an operation that it cannot vectorise.

    The numbers are right, and the remarks ask its developers for a faster way, not its users.
    """
    logger = tf.get_logger()
    logger.addFilter(_is_no_such_remark)
    try:
        yield
    finally:
        logger.removeFilter(_is_no_such_remark)


def _is_no_such_remark(record: logging.LogRecord) -> bool:
    return "while_loop" not in record.getMessage()
