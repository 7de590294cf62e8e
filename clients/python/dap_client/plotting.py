"""A result drawn on its image. Needs Pillow: `pip install 'dap-client[plot]'`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from dap_client.heat_maps import HeatMap
from dap_client.images import ImageLike, encode_image

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

    from dap_client.results import Box, Result

_COLOURS = ("#ffb000", "#38d9ff", "#ff5fa2", "#7be04b", "#c89bff", "#ff7a3c")  # of the labels of an image, in order
_HEAT = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))  # low to high
_HEAT_SHARE = 0.55  # of the colour in a pixel; the rest is the photograph in grey
_TEXT_SHARE = 0.03  # height of the writing over the shorter side


def plot_result(result: Result, image: ImageLike) -> Image.Image:
    """The upright image with the boxes of a result, each with name and score, over the heat maps if it has them.

    Of several labels the highest map counts in each place. Raises ImportError without Pillow, ValueError for an image
    of another size than the result's, the error of a result that has a problem, and OSError for a file that cannot be
    read.
    """
    try:
        from PIL import Image, ImageDraw, ImageOps
    except ImportError:
        raise ImportError("drawing needs Pillow: pip install 'dap-client[plot]'") from None
    result.raise_for_problem()
    with Image.open(io.BytesIO(encode_image(image).data)) as opened:
        canvas = ImageOps.exif_transpose(opened).convert("RGB")
    if canvas.size != (result.width, result.height):
        sizes = f"{canvas.width}x{canvas.height}, the result is of one of {result.width}x{result.height}"
        raise ValueError(f"the image is one of {sizes} pixels; give the image that was labelled")
    if result.cam:
        canvas = _blend_heat(canvas, list(result.cam.values()))
    draw = ImageDraw.Draw(canvas)
    order = {one.index: number for number, one in enumerate(result.image_labels)}
    for box in reversed(result.boxes):  # the best one on top
        _draw_box(draw, result, box, _COLOURS[order.get(box.label, 0) % len(_COLOURS)])
    return canvas


def _blend_heat(canvas: Image.Image, maps: list[HeatMap]) -> Image.Image:
    from PIL import Image

    stacked = zip(*(one.rows for one in maps), strict=True)  # row by row, all maps
    rows = [[max(values) for values in zip(*lines, strict=True)] for lines in stacked]
    levels = bytes(round(255 * value) for row in rows for value in row)
    small = Image.frombytes("L", (len(rows[0]), len(rows)), levels)
    heat = small.resize(canvas.size, Image.Resampling.BICUBIC)
    heat.putpalette(_make_palette())
    return Image.blend(canvas.convert("L").convert("RGB"), heat.convert("RGB"), _HEAT_SHARE)


def _make_palette() -> list[int]:
    """256 colours from low to high, red, green and blue in turn."""
    palette: list[int] = []
    for level in range(256):
        place, share = divmod(level * (len(_HEAT) - 1) / 255, 1)
        lower, upper = _HEAT[int(place)], _HEAT[min(int(place) + 1, len(_HEAT) - 1)]
        palette += [round(low + (high - low) * share) for low, high in zip(lower, upper, strict=True)]
    return palette


def _draw_box(draw: ImageDraw.ImageDraw, result: Result, box: Box, colour: str) -> None:
    from PIL import ImageFont

    short_side = min(result.width, result.height)
    width = max(1, short_side // 150)
    x1, y1, x2, y2 = (round(side) for side in box.xyxy)
    draw.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=width)
    font = ImageFont.load_default(max(10, round(short_side * _TEXT_SHARE)))
    text = f"{result.class_of(box.label).name} {box.score:.2f}"
    at = (x1 + 2 * width, y1 + 2 * width)
    draw.rectangle(draw.textbbox(at, text, font), fill="black")
    draw.text(at, text, fill=colour, font=font)
