"""Image files of every kind that data folders hold, and the pixels that they should give."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

SIDE = 32
RNG = np.random.default_rng(7)
# Blocks of 8x8 pixels of one colour: JPEG keeps them, and no way to resize could hide a difference.
COLOURS = np.kron(RNG.integers(0, 200, (4, 4, 3)), np.ones((8, 8, 1))).astype(np.uint8)
GREY = COLOURS[..., :1].repeat(3, axis=2)


def saved(image: Image.Image, kind: str, **settings: object) -> bytes:
    if kind == "JPEG":
        settings = {"quality": 100, "subsampling": 0, **settings}
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def png_chunks(depth: int, colour: int, rows: bytes, interlaced: bool = False, palette: bytes = b"") -> bytes:
    """Write a PNG by its chunks, for kinds that Pillow does not write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", SIDE, SIDE, depth, colour, 0, 0, int(interlaced))
    plte = chunk(b"PLTE", palette) if palette else b""
    body = chunk(b"IHDR", head) + plte + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def rows_of(pixels: np.ndarray) -> bytes:
    """Return rows [h, bytes], each after the byte that says that it is not filtered."""
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(len(pixels), -1)
    return np.concatenate([np.zeros((len(rows), 1), np.uint8), rows], axis=1).tobytes()


def interlaced(pixels: np.ndarray) -> bytes:
    """Write an Adam7 PNG: seven passes over the image, each finer than the one before."""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    rows = b"".join(rows_of(pixels[top::down, left::right]) for top, left, down, right in passes)
    return png_chunks(8, 2, rows, interlaced=True)


def sixteen_bits(colour: int, channels: int) -> bytes:
    pixels = COLOURS[..., :1].repeat(channels, axis=2).astype(">u2") * 257
    return png_chunks(16, colour, rows_of(pixels))


def _with_orientation() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    return saved(Image.fromarray(COLOURS), "JPEG", exif=exif)


def _palette(**settings: object) -> bytes:
    return saved(Image.fromarray(COLOURS).quantize(64), "PNG", **settings)


def _alpha() -> np.ndarray:
    return np.tile(np.arange(SIDE, dtype=np.uint8), (SIDE, 1))[..., None]  # nearly transparent


def _cmyk() -> Image.Image:
    return Image.fromarray(COLOURS).convert("CMYK")


_profile = b"\0" * 128 + b"no profile that anybody knows"
# name: (bytes, the pixels that they should give, tolerance)
TAKEN: dict[str, tuple[bytes, np.ndarray, int]] = {
    "png": (saved(Image.fromarray(COLOURS), "PNG"), COLOURS, 0),
    "png with a colour profile": (saved(Image.fromarray(COLOURS), "PNG", icc_profile=_profile), COLOURS, 0),
    "png with gamma": (saved(Image.fromarray(COLOURS), "PNG", gamma=0.3), COLOURS, 0),
    "png, interlaced": (interlaced(COLOURS), COLOURS, 0),
    "png, palette": (_palette(), COLOURS, 0),
    "png, palette, one colour transparent": (_palette(transparency=0), COLOURS, 0),
    "png, palette, all half transparent": (_palette(transparency=bytes([128] * 64)), COLOURS, 0),
    "png, grey": (saved(Image.fromarray(GREY[..., 0]), "PNG"), GREY, 0),
    "png, grey, one level transparent": (saved(Image.fromarray(GREY[..., 0]), "PNG", transparency=5), GREY, 0),
    "png, one bit": (saved(Image.fromarray(GREY[..., 0] > 90), "PNG"), (GREY > 90) * np.uint8(255), 0),
    "png, four bits of grey": (
        png_chunks(4, 0, rows_of(np.full((SIDE, SIDE // 2), 0x77, np.uint8))),
        GREY * 0 + 0x77,
        0,
    ),
    "png, grey and alpha": (saved(Image.fromarray(np.concatenate([GREY[..., :1], _alpha()], 2)), "PNG"), GREY, 0),
    "png, colour and alpha": (saved(Image.fromarray(np.concatenate([COLOURS, _alpha()], 2)), "PNG"), COLOURS, 0),
    "png of two frames": (
        saved(Image.fromarray(COLOURS), "PNG", save_all=True, append_images=[Image.fromarray(255 - COLOURS)]),
        COLOURS,
        0,
    ),
    "jpeg": (saved(Image.fromarray(COLOURS), "JPEG"), COLOURS, 4),
    "jpeg, progressive": (saved(Image.fromarray(COLOURS), "JPEG", progressive=True), COLOURS, 4),
    "jpeg, grey": (saved(Image.fromarray(GREY[..., 0]), "JPEG"), GREY, 4),
    "jpeg, four inks": (saved(_cmyk(), "JPEG"), COLOURS, 4),
    "jpeg, orientation noted": (_with_orientation(), COLOURS, 4),
    "jpeg with a colour profile": (saved(Image.fromarray(COLOURS), "JPEG", icc_profile=_profile), COLOURS, 4),
    "jpeg after a long comment": (saved(Image.fromarray(COLOURS), "JPEG", comment=b"c" * 60_000), COLOURS, 4),
}

_jpeg, _png = TAKEN["jpeg"][0], TAKEN["png"][0]
# name: (bytes, what the message says)
REFUSED: dict[str, tuple[bytes, str]] = {
    "16 bits of grey": (sixteen_bits(0, 1), "8 bits per channel"),
    "16 bits of colour": (sixteen_bits(2, 3), "8 bits per channel"),
    "16 bits of grey and alpha": (sixteen_bits(4, 2), "8 bits per channel"),
    "16 bits of colour and alpha": (sixteen_bits(6, 4), "8 bits per channel"),
    "gif": (saved(Image.fromarray(COLOURS), "GIF"), "JPEG or PNG"),
    "gif that moves": (
        saved(Image.fromarray(COLOURS), "GIF", save_all=True, append_images=[Image.fromarray(255 - COLOURS)]),
        "JPEG or PNG",
    ),
    "webp": (saved(Image.fromarray(COLOURS), "WEBP"), "JPEG or PNG"),
    "webp that moves": (
        saved(Image.fromarray(COLOURS), "WEBP", save_all=True, append_images=[Image.fromarray(255 - COLOURS)]),
        "JPEG or PNG",
    ),
    "bmp": (saved(Image.fromarray(COLOURS), "BMP"), "JPEG or PNG"),
    "tiff": (saved(Image.fromarray(COLOURS), "TIFF"), "JPEG or PNG"),
    "ppm": (saved(Image.fromarray(COLOURS), "PPM"), "JPEG or PNG"),
    "jpeg cut short": (_jpeg[:-40], "can be decoded"),
    "jpeg of a head alone": (_jpeg[:300], "can be decoded"),
    "png cut short": (_png[:-60], "can be decoded"),
    "png with a broken byte": (_png[:60] + bytes([_png[60] ^ 255]) + _png[61:], "can be decoded"),
    "text": (b"not an image", "JPEG or PNG"),
    "nothing": (b"", "JPEG or PNG"),
}
