"""Which test images a network classifies correctly, packed into bits: two runs are compared image by image."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

MOST_IMAGES = 1_000_000


class Answers(BaseModel):
    """Answers to the test set.

    Attributes:
        digest:  SHA-256 of the test set in its order, hexadecimal.
        images:  number of images.
        correct: a bit for each image, 1 if the answer is correct; packed, big end first, and in base64.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    digest: Annotated[str, Field(max_length=64)]
    images: Annotated[int, Field(ge=1, le=MOST_IMAGES)]
    correct: Annotated[str, Field(max_length=MOST_IMAGES)]

    def correct_images(self) -> np.ndarray:
        """Return whether each image is classified correctly, bool [n]; empty if the record is damaged."""
        try:
            packed = np.frombuffer(base64.b64decode(self.correct, validate=True), np.uint8)
        except (binascii.Error, ValueError):
            return np.zeros(0, bool)
        bits = np.unpackbits(packed).astype(bool)
        return bits[: self.images] if len(packed) == -(-self.images // 8) else np.zeros(0, bool)


def pack_answers(digest: str, correct: np.ndarray) -> Answers | None:
    """Return the record of which images are classified correctly, bool [n]; None for none or too many images.

    Examples:
        >>> pack_answers("ab", np.array([True, False, True])).correct
        'oA=='
    """
    if not 0 < len(correct) <= MOST_IMAGES:
        return None
    packed = base64.b64encode(np.packbits(correct.astype(bool)).tobytes()).decode()
    return Answers(digest=digest, images=len(correct), correct=packed)
