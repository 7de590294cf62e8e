"""Requests that a service must refuse, and images that it must take, by name: the catalogue of bad input over HTTP."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from tests.builders import encode_image, make_exif, make_png_claiming, make_smooth_pixels
from tests.image_builders import claim_jpeg_size, find_frame_header, insert_chunks, make_chunk, make_jpeg_of_scans

Options = dict[str, Any]
PIXELS = make_smooth_pixels(96, 64)
PNG, JPEG = encode_image(PIXELS), encode_image(PIXELS, "JPEG")
BOUNDARY = "b0undary"


@dataclass(frozen=True)
class Refused:
    """What `httpx.Client.request` is to send, and the answer; `hint` is part of the detail or of a pointer."""

    status: int
    slug: str
    make: Callable[[], Options]
    hint: str = ""
    method: str = "POST"
    path: str = "/v1/boxes"
    headers: Mapping[str, str] = field(default_factory=dict)


def image(data: bytes = PNG, content_type: str | None = "image/png", **headers: str) -> Options:
    """One image as the body."""
    return {"content": data, "headers": {**({"Content-Type": content_type} if content_type else {}), **headers}}


def form(*images: bytes, params: str | bytes | None = None, name: str = "a.png") -> Options:
    """Images in a multipart form."""
    files: list[tuple[str, Any]] = [("images", (name, one)) for one in images]
    return {"files": files + ([] if params is None else [("params", (None, params))])}


def raw_form(body: bytes, boundary: str | None = BOUNDARY) -> Options:
    """A body that says it is a multipart form."""
    return image(body, "multipart/form-data" + (f"; boundary={boundary}" if boundary else ""))


def part(content: bytes = PNG, disposition: str = 'form-data; name="images"; filename="a"') -> bytes:
    """One part of a raw form."""
    return f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
DEEP = '{"labels": ' + "[" * 40 + "]" * 40 + "}"
TOO_DEEP = '{"labels": ' + "[" * 30_000 + "]" * 30_000 + "}"
GZIPPED = {"Content-Encoding": "gzip"}


def refuse_json(params: str | bytes, hint: str) -> Refused:
    return Refused(400, "malformed-json", lambda: form(PNG, params=params), hint)


def refuse_value(params: str, pointer: str) -> Refused:
    return Refused(422, "invalid-parameter", lambda: form(PNG, params=params), pointer)


def refuse_query(query: str, pointer: str) -> Refused:
    return Refused(422, "invalid-parameter", image, pointer, path=f"/v1/boxes?{query}")


def refuse_form(body: bytes, hint: str, boundary: str | None = BOUNDARY) -> Refused:
    return Refused(400, "malformed-multipart", lambda: raw_form(body, boundary), hint)


REQUESTS: dict[str, Refused] = {
    "wrong method": Refused(405, "method-not-allowed", dict, method="GET"),
    "no such path": Refused(404, "not-found", image, path="/v1/box"),
    "Accept: text/html": Refused(406, "not-acceptable", lambda: image(Accept="text/html"), "image/png"),
    "no Content-Type": Refused(415, "unsupported-media-type", lambda: image(content_type=None)),
    "Content-Type: text/plain": Refused(415, "unsupported-media-type", lambda: image(content_type="text/plain")),
    "Content-Type: nonsense": Refused(415, "unsupported-media-type", lambda: image(content_type=";;=x;charset=")),
    "JSON alone": Refused(415, "unsupported-media-type", lambda: image(b"{}", "application/json")),
    "gzip bomb": Refused(415, "content-encoding-unsupported", lambda: image(gzip.compress(bytes(2**25)), **GZIPPED)),
    "JSON cut": refuse_json('{"labels": ["a"', "at character"),
    "JSON with NaN": refuse_json('{"nms_iou": NaN}', "NaN is not JSON"),
    "JSON with Infinity": refuse_json('{"nms_iou": -Infinity}', "-Infinity is not JSON"),
    "JSON with a name twice": refuse_json('{"cams": true, "cams": false}', "'cams' occurs more than once"),
    "JSON 40 deep": refuse_json(DEEP, "nested more than 32 deep"),
    "JSON 30,000 deep": refuse_json(TOO_DEEP, "nested more than 32 deep"),
    "JSON list": refuse_json("[]", "an object is expected, got an array"),
    "JSON null": refuse_json("null", "an object is expected, got null"),
    "JSON in UTF-16": refuse_json('{"cams": true}'.encode("utf-16"), "not UTF-8"),
    "JSON in Latin-1": refuse_json('{"labels": ["é"]}'.encode("latin-1"), "not UTF-8 at byte 13"),
    "JSON with half a character": refuse_json('{"\\ud800": 1}', "lone surrogate"),
    "JSON number of 5,000 digits": refuse_json('{"scales": [' + "1" * 5000 + "]}", "5,000 digits"),
    "JSON comment": refuse_json('{} // {"cams": true}', "Extra data"),
    "JSON empty": refuse_json("", "Expecting value"),
    "form without boundary": refuse_form(part() + END, "no boundary", None),
    "form of another boundary": refuse_form(part() + END, "", "other"),
    "form with a long boundary": refuse_form(part() + END, "exceeds", "x" * 300),
    "form cut in an image": refuse_form(part()[:-20], "before its last boundary"),
    "form cut in a header": refuse_form(part()[:40], "before its last boundary"),
    "form cut before its end": refuse_form(part(), "before its last boundary"),
    "form empty": refuse_form(b"", "before its last boundary"),
    "form of noise": refuse_form(bytes(range(256)) * 40, ""),
    "form with a nameless part": refuse_form(part(disposition="form-data") + END, "with its name"),
    "form with an attachment": refuse_form(part(disposition='attachment; name="images"') + END, "form-data"),
    "form with a huge header": refuse_form(part(disposition="x" * 20_000) + END, "header size"),
    "form without image": Refused(422, "invalid-parameter", lambda: form(params="{}"), "#/images"),
    "form with another part": Refused(
        422, "unknown-parameter", lambda: raw_form(part(disposition='form-data; name="im/age~"') + END), "#/im~1age~0"
    ),
    "form with a query": Refused(422, "unknown-parameter", lambda: form(PNG), "#/query/cams", path="/v1/boxes?cams=1"),
    "33 images": Refused(413, "too-many-parts", lambda: form(*[PNG] * 33), "32 images"),
    "5,000 empty images": Refused(413, "too-many-parts", lambda: raw_form(part(b"") * 5000 + END)),
    "5,000 empty params": Refused(
        413, "too-many-parts", lambda: raw_form(part(b"{}", 'form-data; name="params"') * 5000 + END)
    ),
    "params of 2 MiB": Refused(413, "part-too-large", lambda: form(PNG, params=b" " * 2**21), "65,536 bytes"),
    "image of 20 MiB and a byte": Refused(413, "part-too-large", lambda: image(bytes(20 * 2**20 + 1)), "20,971,520"),
    "form with such an image": Refused(413, "part-too-large", lambda: form(bytes(20 * 2**20 + 1)), "20,971,520"),
    "headers of 17 KiB": Refused(431, "headers-too-large", lambda: image(X="x" * 17 * 2**10), "16,384"),
    "address of 17 KiB": Refused(431, "headers-too-large", image, path="/v1/boxes?labels=" + "x" * 17 * 2**10),
    "threshold -1": refuse_value('{"thresholds": [0.5, -1]}', "#/params/thresholds/1"),
    "threshold 2": refuse_value('{"thresholds": [2]}', "#/params/thresholds/0"),
    "threshold 1": refuse_value('{"thresholds": [1]}', "#/params/thresholds/0"),
    "threshold as text": refuse_value('{"thresholds": ["0.5"]}', "#/params/thresholds/0"),
    "threshold null": refuse_value('{"thresholds": [null]}', "#/params/thresholds/0"),
    "threshold true": refuse_value('{"thresholds": [true]}', "#/params/thresholds/0"),
    "threshold beyond floats": refuse_value('{"thresholds": [1e999]}', "#/params/thresholds/0"),
    "thresholds null": refuse_value('{"thresholds": null}', "#/params/thresholds"),
    "no thresholds": refuse_value('{"thresholds": []}', "#/params/thresholds"),
    "17 thresholds": refuse_value('{"thresholds": [' + ",".join(["0.1"] * 17) + "]}", "#/params/thresholds"),
    "a scale twice": refuse_value('{"scales": [288, 288]}', "#/params/scales"),
    "a scale of 4,096 px": refuse_value('{"scales": [4096]}', "#/params/scales/0"),
    "a scale and a half": refuse_value('{"scales": [288.5]}', "#/params/scales/0"),
    "another recipe": refuse_value('{"recipe": "best"}', "#/params/recipe"),
    "cams as text": refuse_value('{"cams": "yes"}', "#/params/cams"),
    "no labels": refuse_value('{"labels": []}', "#/params/labels"),
    "no labels of an image": refuse_value('{"labels": [[]]}', "#/params/labels"),
    "labels of two images for one": refuse_value('{"labels": [["auto"], ["auto"]]}', "#/params/labels"),
    "a label that is none": refuse_value('{"labels": [true]}', "#/params/labels"),
    "10,001 labels": refuse_value('{"labels": [' + ",".join(['"a"'] * 10_001) + "]}", "10001"),
    "query: threshold -1": refuse_query("thresholds=0.5&thresholds=-1", "#/query/thresholds/1"),
    "query: threshold NaN": refuse_query("thresholds=NaN", "#/query/thresholds/0"),
    "query: threshold empty": refuse_query("thresholds=", "#/query/thresholds/0"),
    "query: nms_iou twice": refuse_query("nms_iou=0.5&nms_iou=0.6", "#/query/nms_iou"),
    "query: cams maybe": refuse_query("cams=maybe", "#/query/cams"),
    "unknown parameter": Refused(
        422, "unknown-parameter", lambda: form(PNG, params='{"treshold": [0.5]}'), "did you mean thresholds?"
    ),
    "query: unknown parameter": Refused(
        422, "unknown-parameter", image, "did you mean thresholds?", path="/v1/boxes?treshold=0.5&treshold=0.6"
    ),
    "route: unknown parameter": Refused(
        422, "unknown-parameter", dict, "did you mean search?", method="GET", path="/v1/classes?serch=cat"
    ),
    "unknown label": Refused(422, "unknown-label", image, "Egyptian cat".lower(), path="/v1/boxes?labels=egyptain+cat"),
    "long and thin, at a large scale": Refused(
        422,
        "aspect-ratio-too-large",
        lambda: image(encode_image(np.zeros((16, 160, 3), np.uint8))),
        "6.3 times",
        path="/v1/boxes?scales=1024",
    ),
    "label beyond the last": Refused(422, "unknown-label", image, "0 to 999", path="/v1/boxes?labels=1000"),
}
"""Whole requests that are refused."""


def make_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.txt", "<script>secret</script>")
    return buffer.getvalue()


def _replace(data: bytes, place: int, content: bytes) -> bytes:
    return data[:place] + content + data[place + len(content) :]


FRAME = find_frame_header(JPEG)
BOMBS: dict[str, bytes] = {
    "PNG of 8000 x 8000": encode_image(Image.new("1", (8000, 8000))),
    "PNG claiming 65535 x 65535": make_png_claiming(65535, 65535),
    "PNG claiming 13000 x 13000": make_png_claiming(13000, 13000),
    "PNG claiming 2^31 - 1": make_png_claiming(2**31 - 1, 2**31 - 1),
    "JPEG claiming 65535 x 65535": claim_jpeg_size(JPEG, 65535, 65535),
}
"""Images over the limit of pixels."""
BAD_IMAGES: dict[str, tuple[int, str, bytes]] = {
    **{name: (413, "image-too-many-pixels", data) for name, data in BOMBS.items()},
    "empty": (422, "empty-image", b""),
    "zeros": (422, "not-an-image", bytes(1000)),
    "noise": (422, "not-an-image", np.random.default_rng(0).bytes(1000)),
    "HTML": (422, "not-an-image", b"<html><body>404 Not Found</body></html>"),
    "two bytes of a JPEG": (422, "truncated-image", JPEG[:2]),
    "half a JPEG": (422, "truncated-image", JPEG[: len(JPEG) // 2]),
    "half a PNG": (422, "truncated-image", PNG[: len(PNG) // 2]),
    "half a WebP": (422, "truncated-image", encode_image(PIXELS, "WEBP")[:100]),
    "PNG with a wrong checksum": (422, "undecodable-image", _replace(PNG, 29, bytes(4))),
    "PNG of 0 x 0": (422, "undecodable-image", make_png_claiming(0, 0)),
    "1 x 1": (422, "image-too-small", encode_image(np.zeros((1, 1, 3), np.uint8))),
    "16 x 400": (422, "aspect-ratio-too-large", encode_image(np.zeros((400, 16, 3), np.uint8))),
    "SVG": (415, "unsupported-image-format", b'<svg xmlns="http://www.w3.org/2000/svg"></svg>'),
    "PDF": (415, "unsupported-image-format", b"%PDF-1.7\n" + bytes(100)),
    "TIFF": (415, "unsupported-image-format", encode_image(PIXELS, "TIFF")),
    "BMP": (415, "unsupported-image-format", encode_image(PIXELS, "BMP")),
    "HEIC": (415, "unsupported-image-format", struct.pack(">I", 24) + b"ftypheic" + bytes(100)),
    "zip": (415, "unsupported-image-format", make_zip()),
    "JPEG of 12 bits": (415, "unsupported-jpeg-feature", _replace(JPEG, FRAME + 4, b"\x0c")),
    "arithmetic JPEG": (415, "unsupported-jpeg-feature", _replace(JPEG, FRAME + 1, b"\xc9")),
    "JPEG of 500 scans": (422, "too-many-scans", make_jpeg_of_scans(500)),
}
"""Status and slug of each."""
GOOD_IMAGES: dict[str, bytes] = {
    **{f"orientation {n}": encode_image(PIXELS, "JPEG", exif=make_exif(n)) for n in (0, 1, 3, 6, 8, 9, 255)},
    "GIF of two frames": encode_image(
        Image.fromarray(PIXELS), "GIF", save_all=True, append_images=[Image.fromarray(PIXELS[::-1])]
    ),
    "JPEG and a zip": JPEG + make_zip(),
    "JPEG with a script": encode_image(PIXELS, "JPEG", comment=b"<script>secret</script>"),
    "CMYK": encode_image(Image.fromarray(PIXELS).convert("CMYK"), "JPEG"),
    "16-bit grey": encode_image(Image.fromarray(PIXELS[..., 0].astype(np.uint16) * 257)),
    "PNG with 20 MB of text unpacked": insert_chunks(PNG, make_chunk(b"zTXt", b"a\0\0" + b"x" * 1000)),
}
"""Images that are read, of 96 x 64 or turned."""
FILE_NAMES = (
    *("../../etc/passwd", "C:\\boot.ini", "x" * 5000, "a\u202egnp.exe", "<script>.png", "naïve 猫.png"),
    *("", "\x7f\x9b2J", "a'b; c=d"),
)
"""What callers may call a file."""
