"""What exports do with image files, destinations and memory, whatever the format."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dap_core.errors import DestinationError, StoreError
from dap_core.exports import EXPORTERS, ExportOptions, ExportReport, export_coco, export_label_set, export_yolo
from dap_core.exports.file_names import FileNames, keep_key
from dap_core.label_sets import Failure, LabelSet, LabelSetRow
from tests.builders import encode_image, make_exif, make_smooth_pixels
from tests.export_builders import encode_plain, make_boxes_row, make_sharded_set, make_ugly_set
from tests.label_set_builders import make_label_set


def write_source(folder: Path, *keys: str, exif: int | None = None) -> list[LabelSetRow]:
    """Image files and the rows that were made from them."""
    rows = []
    for key in keys:
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        data = encode_plain((60, 40))
        size_wh = (60, 40)
        if exif is not None:
            data = encode_image(Image.fromarray(make_smooth_pixels(40, 60)), "JPEG", exif=make_exif(exif))
        path.write_bytes(data)
        etag = f"{path.stat().st_size}-{path.stat().st_mtime_ns}"
        orientation = 1 if exif is None else exif
        rows.append(make_boxes_row(key, size_wh=size_wh, image=data, etag=etag, exif_orientation=orientation))
    return rows


def make_sourced_set(tmp_path: Path, rows: list[LabelSetRow], *, embed_images: bool = True) -> LabelSet:
    return make_label_set(tmp_path / "labels", rows, source=str(tmp_path / "source"), embed_images=embed_images)


def link(label_set: LabelSet, out: Path) -> ExportReport:
    return export_coco(label_set, out, ExportOptions(images="link"))


@pytest.mark.parametrize("embed_images", [True, False])
def test_links_lead_to_the_source(tmp_path: Path, embed_images: bool) -> None:
    rows = write_source(tmp_path / "source", "a/1.png", "b #2.png")
    report = link(make_sourced_set(tmp_path, rows, embed_images=embed_images), tmp_path / "out")
    assert report.num_copied_instead == 0
    for row in rows:
        path = tmp_path / "out" / "images" / row.key
        assert path.is_symlink()
        assert path.resolve() == (tmp_path / "source" / row.key).resolve()


def test_links_to_what_is_gone_changed_or_rotated_are_copies_and_counted(tmp_path: Path) -> None:
    rows = write_source(tmp_path / "source", "fine.png", "gone.png", "changed.png")
    rows += write_source(tmp_path / "source", "turned.jpg", exif=6)
    (tmp_path / "source" / "gone.png").unlink()
    (tmp_path / "source" / "changed.png").write_bytes(b"something else")
    report = link(make_sourced_set(tmp_path, rows), tmp_path / "out")
    assert (report.num_copied_instead, report.num_rotated) == (3, 1)
    images = tmp_path / "out" / "images"
    assert [(images / row.key).is_symlink() for row in rows] == [True, False, False, False]
    assert (images / "changed.png").read_bytes() == rows[2].image
    with Image.open(images / "turned.jpg") as image:
        assert image.size == (60, 40)


def test_a_referenced_image_that_is_gone_ends_the_export_and_leaves_nothing(tmp_path: Path) -> None:
    rows = write_source(tmp_path / "source", "a.png", "gone.png")
    label_set = make_sourced_set(tmp_path, rows, embed_images=False)
    (tmp_path / "source" / "gone.png").unlink()
    for images in ("copy", "link"):
        with pytest.raises(StoreError, match="gone"):
            export_coco(label_set, tmp_path / "out", ExportOptions(images=images))
        assert list((tmp_path / "out").iterdir()) == []
    assert export_coco(label_set, tmp_path / "out", ExportOptions(images="none")).num_images == 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_written_upright_for_every_orientation(tmp_path: Path, orientation: int) -> None:
    upright = make_smooth_pixels(60, 40)
    undo = {2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}.get(orientation)  # the orientation that turns it the other way
    stored = Image.fromarray(upright)
    if undo is not None:
        stored = stored.transpose(
            {
                2: Image.Transpose.FLIP_LEFT_RIGHT,
                3: Image.Transpose.ROTATE_180,
                4: Image.Transpose.FLIP_TOP_BOTTOM,
                5: Image.Transpose.TRANSPOSE,
                6: Image.Transpose.ROTATE_270,
                7: Image.Transpose.TRANSVERSE,
                8: Image.Transpose.ROTATE_90,
            }[undo]
        )
    data = encode_image(stored, "JPEG", exif=make_exif(orientation), quality=95)
    row = make_boxes_row("a.jpg", [(0, 0, 30, 20)], image=data, exif_orientation=orientation)
    for format_, place in (("coco", "images/a.jpg"), ("yolo", "images/a.jpg"), ("voc", "JPEGImages/a.jpg")):
        out = tmp_path / format_
        report = export_label_set(make_label_set(tmp_path / f"{format_}-labels", [row]), out, format_)
        assert report.num_rotated == (orientation != 1)
        with Image.open(out / place) as image:
            assert image.getexif().get(0x0112, 1) == 1
            assert np.abs(np.asarray(image).astype(int) - upright).mean() < 3


@pytest.mark.parametrize("format_", EXPORTERS)
def test_images_are_copied_byte_for_byte(tmp_path: Path, format_: str) -> None:
    label_set = make_label_set(tmp_path / "labels", [make_boxes_row("a.jpg", image=encode_plain((60, 40), "JPEG"))])
    export_label_set(label_set, tmp_path / "out", format_)
    copies = [file.read_bytes() for file in (tmp_path / "out").rglob("a.jpg")]
    assert copies == ([] if format_ == "huggingface" else [encode_plain((60, 40), "JPEG")])


@pytest.mark.parametrize("format_", EXPORTERS)
def test_a_folder_that_is_not_empty_is_refused_and_left_alone(tmp_path: Path, format_: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(DestinationError, match="not an empty folder"):
        export_label_set(make_ugly_set(tmp_path / "labels"), tmp_path / "out", format_)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("format_", EXPORTERS)
def test_boxes_below_the_lowest_score_are_left_out_and_their_image_stays(tmp_path: Path, format_: str) -> None:
    row = make_boxes_row("a.png", [(0, 0, 9, 9), (5, 5, 30, 30)], scores=[0.2, 0.3])
    label_set = make_label_set(tmp_path / "labels", [row, make_boxes_row("b.png", [(0, 0, 5, 5)], scores=[0.1])])
    report = export_label_set(label_set, tmp_path / "out", format_, ExportOptions(min_score=0.25))
    assert (report.num_images, report.num_boxes, report.num_boxes_left_out, report.num_negatives) == (2, 1, 2, 1)


@pytest.mark.parametrize("format_", EXPORTERS)
@pytest.mark.parametrize("min_score", [0.7, 1e300])
def test_a_score_at_the_limit_is_treated_the_same_by_boxes_and_classes(
    tmp_path: Path, format_: str, min_score: float
) -> None:
    """0.7 is stored as 0.69999999 in float32."""
    rows = [make_boxes_row("a.png", [(0, 0, 9, 9)], scores=[0.7]), make_boxes_row("b.png", [(0, 0, 9, 9)])]
    options = ExportOptions(min_score=min_score, classes="used")
    report = export_label_set(make_label_set(tmp_path / "labels", rows), tmp_path / "out", format_, options)
    assert (report.num_boxes, report.num_classes) == ((1, 1) if min_score < 1 else (0, 0))


@pytest.mark.parametrize("format_", EXPORTERS)
def test_a_folder_inside_the_label_set_is_refused(tmp_path: Path, format_: str) -> None:
    label_set = make_label_set(tmp_path / "labels", [make_boxes_row("a.png")])
    (tmp_path / "link").symlink_to(tmp_path / "labels")
    for out in (tmp_path / "labels" / "out", tmp_path / "link" / "out", tmp_path / "labels"):
        with pytest.raises(DestinationError, match="lies inside the label set"):
            export_label_set(label_set, out, format_)
    assert not (tmp_path / "labels" / "out").exists()


def test_what_a_killed_export_left_is_removed(tmp_path: Path) -> None:
    label_set = make_label_set(tmp_path / "labels", [make_boxes_row("a.png")])
    left = tmp_path / "out" / ".unfinished" / "images"
    left.mkdir(parents=True)
    (left / "b.png").write_bytes(b"half")
    export_coco(label_set, tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["annotations.json", "images"]
    assert [file.name for file in (tmp_path / "out" / "images").iterdir()] == ["a.png"]


@pytest.mark.parametrize("format_", EXPORTERS)
def test_memory_does_not_grow_with_the_label_set(tmp_path: Path, format_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dap_core.exports.huggingface.GROUP_BYTES", 500_000)
    peaks = []
    for num_shards in (3, 12):
        shards = [
            [make_boxes_row(f"{shard}-{index}.png", image=os.urandom(200_000)) for index in range(3)]
            for shard in range(num_shards)
        ]
        label_set = make_sharded_set(tmp_path / f"labels-{num_shards}", shards)
        del shards
        tracemalloc.start()
        export_label_set(label_set, tmp_path / f"out-{num_shards}", format_)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < min(1.3 * peaks[0], 5_000_000)  # the sets hold 1.8 and 7.2 MB of images


def test_a_key_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    names = FileNames(tmp_path, keep_key, by_stem=False)
    for key in ("../a.jpg", "/etc/a.jpg", "a/../../b.jpg"):
        with pytest.raises(DestinationError, match="leads out"):
            names.assign(key)


def test_names_that_differ_by_case_or_suffix_are_told_apart_and_listed(tmp_path: Path) -> None:
    names = FileNames(tmp_path, keep_key, by_stem=True)
    assert [names.assign(key) for key in ("x/a.jpg", "x/A.jpg", "x/a.png", "x/a~2.jpg")] == [
        "x/a.jpg",
        "x/A~2.jpg",
        "x/a~3.png",
        "x/a~2~2.jpg",
    ]
    assert (tmp_path / "names.csv").read_text().splitlines() == [
        "name,key",
        "x/A~2.jpg,x/A.jpg",
        "x/a~3.png,x/a.png",
        "x/a~2~2.jpg,x/a~2.jpg",
    ]


def test_an_export_of_nothing_is_valid(tmp_path: Path) -> None:
    failures = [Failure("broken.jpg", "empty-image", "the file is empty")]
    label_set = make_label_set(tmp_path / "labels", [], failures=failures)
    for format_ in EXPORTERS:
        assert export_label_set(label_set, tmp_path / format_, format_).num_images == 0
    assert (tmp_path / "yolo" / "data.yaml").is_file()


@pytest.mark.parametrize(
    "options",
    [{"images": "move"}, {"classes": "some"}, {"min_score": float("nan")}, {"voc_flavor": "devkitt"}],
    ids=lambda options: next(iter(options)),
)
def test_options_that_are_none_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        ExportOptions(**options)


def test_an_unknown_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="format must be one of coco, voc"):
        export_label_set(make_ugly_set(tmp_path / "labels"), tmp_path / "out", "tfrecord")


def test_a_destination_that_cannot_be_made_is_an_error_of_the_destination(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    label_set = make_ugly_set(tmp_path / "labels")
    with pytest.raises(DestinationError, match="cannot be written"):
        export_yolo(label_set, tmp_path / "file" / "out")
