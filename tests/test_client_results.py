"""Results of `dap_client`: read from the answers of the service's own code, held against `dap_core` as the oracle."""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from xml.etree.ElementTree import fromstring

import numpy as np
import pytest
from dap_client import EmptyImage, Limits, Result, UnexpectedAnswerError, to_coco, to_voc, to_yolo
from dap_client.answers import read_answer, read_item, read_items, read_limits
from dap_client.heat_maps import read_cam
from dap_client.images import encode_image as encode_for_sending
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image
from pycocotools.coco import COCO

from dap_core.datasets.voc import VOC_FLAVORS, read_voc
from dap_core.exports.coco import box_xyxy_to_coco
from dap_core.exports.voc import box_to_voc
from dap_core.exports.yolo import box_xyxy_to_yolo
from dap_core.images import decode_image
from dap_core.merging import place_cams, sample_map
from dap_core.types import Cam, ClassList, LabeledImage, MinedBoxes, PseudoBoxes
from services.api.answers import describe_image
from tests.builders import encode_image, make_cam, make_exif, make_map, make_smooth_map, make_smooth_pixels
from tests.client_builders import make_item, make_response

CLASSES = ClassList.from_pairs([("x0", "tench"), ("x1", "crane"), ("x2", "crane"), ("x3", '<cat> & "dog" \'n\x01')])
HEAD = {"model": {"classifier": "toy"}, "recipe": {"name": "aligned"}}
SIZE = (120, 90)


def make_labeled(
    boxes: list[tuple[float, float, float, float]], labels: list[int], cams: tuple[Cam, ...] = ()
) -> LabeledImage:
    """An image as the labeler gives it, with these boxes, each of a label."""
    found = PseudoBoxes(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int32),
        np.linspace(0.9, 0.1, len(boxes)).astype(np.float32),
        np.full(len(boxes), 0.12, np.float32),
    )
    of_image = tuple(dict.fromkeys(labels)) or (0,)
    reasons = () if boxes else ((0, "flat-map"),)
    return LabeledImage(SIZE, 6, of_image, (0.5,) * len(of_image), 3, 0.5, MinedBoxes(found, reasons), cams)


def read_labeled(image: LabeledImage, **fields: object) -> Result:
    """The result of that image, by way of the JSON that the service sends."""
    item = {"index": 0, "name": "a/b.jpg", **describe_image(image, CLASSES, cams=bool(image.cams))}
    return read_item(json.loads(json.dumps(item)) | fields, HEAD)


def make_result(*boxes: tuple[float, float, float, float], label: int = 0) -> Result:
    """A result with these boxes of one label."""
    return read_labeled(make_labeled(list(boxes), [label] * len(boxes)))


def make_failed() -> Result:
    """The result of an image that could not be labelled."""
    problem = {"type": "/problems/empty-image", "status": 422, "detail": "the file is empty"}
    return read_item({"index": 1, "name": None, "problem": problem}, HEAD)


def sides(limit: int) -> st.SearchStrategy[tuple[float, float]]:
    """Where a box begins and ends along a side of that length."""
    return st.tuples(st.floats(0, limit, width=32), st.floats(0, limit, width=32)).map(lambda pair: tuple(sorted(pair)))


BOXES = st.builds(lambda x, y: (x[0], y[0], x[1], y[1]), sides(SIZE[0]), sides(SIZE[1]))


def test_a_result_says_what_the_labeler_found():
    result = read_labeled(make_labeled([(1.5, 2, 30, 40), (0, 0, 9, 9)], [3, 1]))
    assert result.xyxy == ((1.5, 2.0, 30.0, 40.0), (0.0, 0.0, 9.0, 9.0))
    assert (result.label_ids, result.labels) == ((3, 1), (CLASSES[3].name, "crane"))
    assert result.scores == pytest.approx((0.9, 0.1))
    assert result.thresholds == pytest.approx((0.12, 0.12))
    assert (result.width, result.height, result.exif_orientation, result.name) == (120, 90, 6, "a/b.jpg")
    assert result.top1 is not None
    assert (result.top1.wnid, result.top1.score, result.problem) == ("x3", 0.5, None)
    assert result.raise_for_problem() is result
    assert (result.model, result.recipe, result.cam) == (HEAD["model"], HEAD["recipe"], {})
    with pytest.raises(KeyError, match="label 7 is none of this image"):
        result.class_of(7)


def test_an_image_without_boxes_says_why():
    result = make_result()
    assert (result.xyxy, result.labels, result.no_box_reasons) == ((), (), ((0, "flat-map"),))


def test_results_are_frozen_and_equal_when_what_they_say_is():
    result = make_result((1, 2, 3, 4))
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.width = 3  # type: ignore[misc]
    assert result == make_result((1, 2, 3, 4))
    assert len({result, make_result((1, 2, 3, 4)), make_result()}) == 2


def test_a_failed_image_has_a_problem_no_boxes_and_no_format():
    failed = make_failed()
    assert (failed.boxes, failed.width, failed.top1) == ((), 0, None)
    for use in (failed.raise_for_problem, failed.to_coco, failed.to_yolo, failed.to_voc, lambda: failed.plot(b"")):
        with pytest.raises(EmptyImage, match="the file is empty"):
            use()


def test_new_fields_of_later_services_are_passed_over():
    assert read_item(make_item(colour="blue"), HEAD).labels == ("Egyptian cat",)
    names = [one.name for one in dataclasses.fields(Limits)]
    assert read_limits(dict.fromkeys([*names, "max_moons"], 3)).max_in_flight == 3


@pytest.mark.parametrize(
    "change",
    [
        {"width": None},
        {"boxes": [{"xyxy": [1, 2, 3], "label": 1, "score": 1, "threshold": 1}]},
        {"boxes": 5},
        {"top1": "cat"},
        {"cams": [{"label": 1}]},
        {"labels": [[]]},
    ],
)
def test_what_is_not_as_documented_is_one_clear_error(change):
    answer = make_response(200, json.dumps({**HEAD, "items": [make_item(**change)]}).encode())
    with pytest.raises(UnexpectedAnswerError, match=r"POST http://127\.0\.0\.1:8000/v1/boxes.* is not what a DAP"):
        read_answer(answer, lambda values: read_items(values, ["x"], 0))


@given(
    values=arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=7), elements=st.floats(-50, 50, width=32))
)
def test_maps_arrive_as_they_were_stored(values):
    cam = make_cam(values, label=2, short_side=64, mirrored=True)
    [read] = read_labeled(make_labeled([(0, 0, 9, 9)], [2], (cam,))).cams
    np.testing.assert_allclose(np.array(read.rows), cam.to_map(), rtol=1e-5, atol=1e-4)
    assert (read.label, read.short_side, read.mirrored, read.valid_hw) == (2, 64, True, cam.valid_hw)
    assert (read.origin_xy, read.pitch_xy) == (cam.origin_xy, cam.pitch_xy)


def test_a_map_with_another_number_of_values_is_refused():
    cam = {"label": 0, "short_side": 64, "mirrored": False, "height": 2, "width": 2, "values": "AAAA"}
    with pytest.raises(ValueError, match="a map of 2 x 2 cells has 1 values"):
        read_cam({**cam, "values": "AAA=", "lowest": 0, "highest": 1, "origin_xy": [0, 0], "pitch_xy": [1, 1]})


def test_the_heat_map_is_the_mean_of_the_passes_where_they_lie():
    """The oracle is the library's own merging, read at the same places; passes differ in size, place and padding."""
    cams = (
        make_cam(make_smooth_map((9, 12), 1), label=2, size_wh=SIZE),
        make_cam(make_smooth_map((18, 24), 2), label=2, size_wh=SIZE, short_side=576),
        make_cam(make_smooth_map((18, 25), 3), label=2, size_wh=SIZE, valid_hw=(17, 23), mirrored=True),
    )
    heat = read_labeled(make_labeled([(0, 0, 9, 9)], [2], cams)).cam[2]
    merged = place_cams(cams, SIZE, 18)
    assert not isinstance(merged, str)
    np.testing.assert_allclose(np.array(heat.rows), merged.values, atol=1e-5)
    assert (heat.pitch_xy, heat.label) == ((5, 5), 2)
    assert sample_map(merged, SIZE, (24, 18)).shape == np.array(heat.rows).shape


def test_each_label_has_its_heat_map_and_nothing_makes_one_of_zeros():
    lit = make_cam(make_map((3, 4), (0, 0, 1, 1)), label=0, size_wh=SIZE)
    flat = make_cam(make_map((3, 4), (0, 0, 4, 3)), label=1, size_wh=SIZE)
    broken = make_cam(np.full((3, 4), np.nan, np.float32), label=2, size_wh=SIZE)
    cam = read_labeled(make_labeled([(0, 0, 9, 9)] * 3, [0, 1, 2], (lit, flat, broken))).cam
    assert list(cam) == [0, 1, 2]
    np.testing.assert_array_equal(np.array(cam[0].rows), make_map((3, 4), (0, 0, 1, 1)))
    assert not np.array(cam[1].rows).any()
    assert not np.array(cam[2].rows).any()


@given(box=BOXES)
def test_boxes_are_written_as_the_exports_write_them(box):
    result = make_result(box, label=2)
    array = np.array(result.xyxy[0])
    assert result.to_coco()["annotations"][0]["bbox"] == box_xyxy_to_coco(array)
    expected = " ".join(f"{value:.6f}" for value in box_xyxy_to_yolo(array, SIZE))
    assert result.to_yolo() == f"2 {expected}\n"
    for flavor in VOC_FLAVORS:
        corners = [float(side.text) for side in fromstring(result.to_voc(flavor)).find("object/bndbox")]
        assert corners == list(box_to_voc(array, SIZE, flavor))


def test_coco_is_read_by_its_own_tools(tmp_path):
    results = [make_result((1, 2, 11, 22), (0, 0, 120, 90), label=1), make_result(), make_result((5, 5, 6, 6), label=2)]
    (tmp_path / "coco.json").write_text(json.dumps(to_coco(results)))
    coco = COCO(tmp_path / "coco.json")
    assert [len(coco.getAnnIds(imgIds=number)) for number in (1, 2, 3)] == [2, 0, 1]
    assert coco.anns[1]["bbox"] == [1, 2, 10, 20]
    assert (coco.anns[1]["area"], coco.anns[1]["category_id"], coco.anns[3]["image_id"]) == (200, 2, 3)
    assert {number: one["name"] for number, one in coco.cats.items()} == {1: "tench", 2: "crane (x1)", 3: "crane (x2)"}
    assert coco.imgs[1] == {"id": 1, "file_name": "a/b.jpg", "width": 120, "height": 90}
    assert to_coco([])["annotations"] == []


def test_yolo_numbers_classes_as_they_are_or_by_a_list():
    result = make_result((0, 0, 60, 90), label=3)
    assert result.to_yolo() == "3 0.250000 0.500000 0.500000 1.000000\n"
    assert result.to_yolo([1, 3]) == "1 0.250000 0.500000 0.500000 1.000000\n"
    assert to_yolo(make_result()) == ""
    with pytest.raises(ValueError, match=r"label_ids must hold every label with a box; missing are \[3\]"):
        result.to_yolo([1, 2])


def test_voc_is_read_back_whatever_the_names_hold(tmp_path):
    name = 'd&r/<ugly> \x02\ud800 "ü".jpg'
    result = dataclasses.replace(make_result((1.25, 2, 30.75, 40), label=3), name=name)
    (tmp_path / "one.xml").write_text(result.to_voc("zero-based-float"), encoding="utf-8")
    read = read_voc(tmp_path / "one.xml")
    assert read.class_names == ('<cat> & "dog" \'n',)
    assert read.images[0].boxes.tolist() == [[1.25, 2, 30.75, 40]]
    assert fromstring((tmp_path / "one.xml").read_text(encoding="utf-8")).findtext("filename") == '<ugly>    "ü".jpg'
    with pytest.raises(ValueError, match="flavor must be one of devkit, plus-one, zero-based-int"):
        to_voc(result, "pascal")  # type: ignore[arg-type]


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_arrays_are_sent_without_loss(pixels):
    for one in (pixels, pixels[::-1], np.asfortranarray(pixels)):
        np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(encode_for_sending(one).data))), one)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16", "CMYK", "YCbCr", "F", "PA"])
def test_pillow_images_look_to_the_service_as_they_do_here(mode):
    from dap_core.images import image_from_pillow

    pixels = make_smooth_pixels(40, 24)
    rgba = Image.fromarray(np.dstack([pixels, pixels[..., 0]]), "RGBA")
    image = rgba if mode in ("RGBA", "LA", "PA") else rgba.convert("RGB")
    image = image.convert("L").convert(mode) if mode in ("I", "I;16", "F") else image.convert(mode)
    sent = decode_image(encode_for_sending(image).data)
    np.testing.assert_array_equal(sent.pixels, image_from_pillow(image).pixels)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8, 99, None])
def test_the_exif_orientation_of_a_pillow_image_is_sent(orientation):
    data = encode_image(Image.fromarray(make_smooth_pixels(40, 24)), "JPEG", exif=make_exif(orientation or 1))
    with Image.open(io.BytesIO(data)) as image:
        if orientation == 99:
            image.getexif()[0x0112] = 99
        sent = decode_image(encode_for_sending(image).data)
    assert sent.exif_orientation == (orientation if orientation in (3, 6, 8) else 1)
    assert sent.size_wh == ((24, 40) if orientation in (6, 8) else (40, 24))


def test_a_plot_is_the_upright_image_with_the_boxes_over_the_heat():
    stored = Image.fromarray(np.full((120, 90, 3), 200, np.uint8))  # turned upright it is 120 x 90
    data = encode_image(stored, "PNG", exif=make_exif(6))
    lit = make_cam(make_map((3, 4), (0, 0, 1, 1)), label=0, size_wh=SIZE)
    plain = make_result((20, 30, 100, 80)).plot(data)
    assert plain.size == SIZE
    assert plain.getpixel((99, 79)) == plain.getpixel((20, 60)) == (255, 176, 0)
    assert plain.getpixel((100, 80)) == plain.getpixel((60, 60)) == (200, 200, 200)
    heated = np.array(read_labeled(make_labeled([(20, 30, 100, 80)], [0], (lit,))).plot(data)).astype(int)
    assert heated[5, 5].sum() > heated[85, 115].sum() + 300
    with pytest.raises(ValueError, match="the image is one of 90x120, the result is of one of 120x90"):
        make_result((20, 30, 100, 80)).plot(np.zeros((120, 90, 3), np.uint8))


def test_without_pillow_plotting_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r"drawing needs Pillow: pip install 'dap-client\[plot\]'"):
        make_result((20, 30, 100, 80)).plot(b"")
