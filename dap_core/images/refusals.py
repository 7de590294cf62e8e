"""The words for what is no image, or not a whole one: bytes to a typed `ImageError`."""

from __future__ import annotations

from dap_core.errors import ImageError

SUPPORTED_FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
_FIRST_BYTES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
_LAST_BYTES = (b"\xff\xd9", b"IEND\xae\x42\x60\x82", b"\x00;")
_OTHER_FORMATS = (
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"BM", "BMP"),
    (b"%PDF", "PDF"),
    (b"8BPS", "PSD"),
    (b"%!PS", "EPS"),
    (b"SIMPLE  =", "FITS"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<svg", "SVG"),
)
_ISO_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF", b"jxl ": "JPEG XL"}
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body")


def damaged(what: str) -> ImageError:
    """The error of a file that is whole but broken."""
    return ImageError("undecodable-image", f"{what}; save or fetch the image again")


def ends_early(data: bytes, part: str) -> ImageError:
    """The error of a file with a length that points beyond its end: cut, or damaged when its end is there."""
    if data.endswith(_LAST_BYTES):
        return damaged(f"the {part} is damaged: a length in it points beyond the end of the file")
    return ImageError("truncated-image", f"the file ends inside the {part}, after {len(data):,} bytes")


def unidentified(data: bytes) -> ImageError:
    """The error of a file that starts as none of the supported formats does."""
    if not data:
        return ImageError("empty-image", "the file is empty")
    head = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip()
    supported = ", ".join(SUPPORTED_FORMATS)
    if other := _other_format(data, head):
        return ImageError("unsupported-image-format", f"the file is {other}; supported are {supported}")
    if data.startswith(b"\xff\xd8") and data.endswith(_LAST_BYTES):
        return damaged("the JPEG header is damaged")
    is_webp = data.startswith(b"RIFF") and b"WEBP".startswith(data[8:12])
    if is_webp or any(magic.startswith(data) for magic in _FIRST_BYTES):
        return ends_early(data, "image header")
    html = "HTML: " if head.lower().startswith(_HTML) else ""
    return ImageError("not-an-image", f"the file starts with {html}{head[:12]!r}; supported are {supported}")


def _other_format(data: bytes, head: bytes) -> str | None:
    if data[4:8] == b"ftyp":
        return _ISO_BRANDS.get(data[8:12], "an ISO media file")
    if head.startswith((b"<?xml", b"<!--")) and b"<svg" in head:
        return "SVG"
    return next((name for magic, name in _OTHER_FORMATS if head.startswith(magic)), None)
