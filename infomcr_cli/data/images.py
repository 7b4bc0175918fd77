"""Select and decode image files: the same rules and the same decoder (Pillow) for every reader.

A file is accepted by its content, not by its extension: JPEG or PNG with 8 bits per channel. More bits are refused,
because many cameras and scanners use 12 of 16 bits, so that the upper 8 are nearly black. Transparency is dropped, and
of several frames the first is used. As in Keras, the recorded orientation and colour profiles are ignored.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from infomcr_cli.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

ENDINGS = (".jpg", ".jpeg", ".png")
OTHER_ENDINGS = (
    *(".bmp", ".dib", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif"),
    *(".jp2", ".j2k", ".jpx", ".jxl", ".jfif", ".jpe", ".apng", ".tga", ".ico", ".dcm", ".exr", ".svg"),
)
GREY, COLOUR = {"1", "L"}, {"P", "RGB", "RGBA", "LA", "CMYK", "YCbCr"}


def is_image_name(name: str) -> bool:
    """Return whether a file has the extension of a JPEG or a PNG.

    Raises:
        InputError: it has that of another kind of image, which would be left out without a message.
    """
    lower = name.lower()
    if lower.endswith(OTHER_ENDINGS):
        raise InputError(
            "class folders may contain only JPEG or PNG files",
            received=name,
            advice="Convert it, or move it to another place.",
        )
    return lower.endswith(ENDINGS)


@contextmanager
def opened(file: IO[bytes], name: str, *, most: int) -> Iterator[Image.Image]:
    """Yield an image whose header was read and checked; its pixels are not decoded yet.

    Args:
        name: of the file, for messages.
        most: pixels that it may have.

    Raises:
        InputError: it is not an accepted image, or the block finds that it is damaged.
    """
    from PIL import Image

    try:
        with Image.open(file, formats=("JPEG", "PNG")) as image:
            _check(image, name, most)
            yield image
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_many_pixels(name, str(error), most) from error
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        raise InputError("images must be JPEG or PNG files that can be decoded", received=name) from error


def converted(image: Image.Image, *, keep_grey: bool = False) -> Image.Image:
    """Return the decoded image with three channels; with one if it is grey and `keep_grey` is set."""
    image.info.pop("transparency", None)  # Pillow would warn that it is dropped
    return image.convert("L" if keep_grey and image.mode in GREY else "RGB")


def _check(image: Image.Image, name: str, most: int) -> None:
    if image.width * image.height > most:
        raise _too_many_pixels(name, f"{image.width}x{image.height}", most)
    # RGB;16B has the mode RGB too, and Pillow would read the upper half of its bits.
    stored = [str(tile[3]) for tile in getattr(image, "tile", ())]
    if image.mode not in GREY | COLOUR or any(layout.endswith("16B") for layout in stored):
        raise InputError(
            "images must have 8 bits per channel", received=f"mode {image.mode} in {name}", advice="Convert the image."
        )


def _too_many_pixels(name: str, size: str, most: int) -> InputError:
    return InputError(f"images must have at most {most} pixels", received=f"{size} in {name}")
