"""The picture of one image with heat map and boxes."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from dap_core.gallery import draw_overlay
from dap_core.gallery.overlay import COLOURS, MAX_OVERLAY_SIDE
from tests.builders import make_scene
from tests.mining_builders import make_labeler


def draw(size_wh: tuple[int, int], block: tuple[int, int, int, int]):
    labeler = make_labeler()
    pixels = make_scene(size_wh, block)
    [image] = labeler([pixels], ["red"])
    picture = np.asarray(Image.open(io.BytesIO(draw_overlay(pixels, image, labeler.recipe))))
    return image, picture


def test_boxes_are_drawn_where_they_are_in_the_colour_of_their_label():
    image, picture = draw((200, 150), (40, 30, 110, 90))
    assert picture.shape == (150, 200, 3)
    for box in image.boxes:
        x1, y1, x2, _ = (round(float(side)) for side in box.xyxy)
        assert tuple(picture[y1, (x1 + x2) // 2]) == COLOURS[0]


def test_the_map_is_bright_on_the_object_and_dark_off_it():
    _, picture = draw((200, 150), (40, 30, 110, 90))
    assert picture[60, 75].astype(int).sum() > picture[140, 190].astype(int).sum() + 100


def test_a_large_image_is_scaled_down_with_its_boxes():
    image, picture = draw((4096, 1024), (1000, 200, 2400, 800))
    assert picture.shape == (512, MAX_OVERLAY_SIDE, 3)
    x1, y1, x2, _ = (float(side) / 2 for side in image.boxes.boxes[0])
    assert tuple(picture[round(y1), round((x1 + x2) / 2)]) == COLOURS[0]
