"""Pascal VOC: one XML file per image. Readers disagree on how corners are counted, so the flavour is named."""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

from dap_core.datasets.voc import FLAVOR_MARK, VocFlavor
from dap_core.exports.destinations import open_destination
from dap_core.exports.export_run import ExportedBox, ExportedImage, ExportRun
from dap_core.exports.file_names import flatten_key
from dap_core.exports.options import ExportOptions, ExportReport
from dap_core.label_sets import LabelSet
from dap_core.types import FloatArray

_LISTS = ("train.txt", "trainval.txt")


def export_voc(label_set: LabelSet, destination: Path, options: ExportOptions | None = None) -> ExportReport:
    """Writes `Annotations/`, `JPEGImages/` and `ImageSets/Main/` in `options.voc_flavor`.

    An image is `JPEGImages/<id>.jpg` whatever it is encoded as, because readers look for that name; its id is its key
    in one word, and `names.csv` tells which is which. Raises as `export_coco` does.
    """
    options = options or ExportOptions()
    with open_destination(destination, label_set) as folder:
        run = ExportRun(label_set, folder, options, classes="used", name_rule=flatten_key, by_stem=True)
        annotations, lists = folder / "Annotations", folder / "ImageSets" / "Main"
        annotations.mkdir()
        lists.mkdir(parents=True)
        with (
            (lists / _LISTS[0]).open("w", encoding="utf-8") as first,
            (lists / _LISTS[1]).open("w", encoding="utf-8") as second,
        ):
            for image in run.images(folder / "JPEGImages"):
                stem = image.name.removesuffix(".jpg")
                text = _describe_image(image, destination.name, options.voc_flavor)
                (annotations / f"{stem}.xml").write_text(text, encoding="utf-8")
                first.write(f"{stem}\n")
                second.write(f"{stem}\n")
    is_rounded = options.voc_flavor != "zero-based-float"
    return run.report("scores and thresholds", "fractions of pixels" if is_rounded else "")


def box_to_voc(box: FloatArray, size_wh: tuple[int, int], flavor: VocFlavor) -> tuple[float, float, float, float]:
    """The corners xmin, ymin, xmax, ymax of a box xyxy in `flavor`.

    Whole numbers cover at least one pixel and stay within the image, so that a box thinner than a pixel grows.
    """
    if flavor == "zero-based-float":
        x1, y1, x2, y2 = (round(float(side), 2) for side in box)
        return x1, y1, x2, y2
    x1, x2 = _round_side(float(box[0]), float(box[2]), size_wh[0])
    y1, y2 = _round_side(float(box[1]), float(box[3]), size_wh[1])
    if flavor == "devkit":
        return x1 + 1, y1 + 1, x2, y2
    if flavor == "plus-one":
        return x1 + 1, y1 + 1, x2 + 1, y2 + 1
    return x1, y1, x2, y2


def _round_side(start: float, stop: float, limit: int) -> tuple[int, int]:
    first = min(round(start), limit - 1)
    return first, min(max(round(stop), first + 1), limit)


def _describe_image(image: ExportedImage, folder: str, flavor: VocFlavor) -> str:
    width, height = image.size_wh
    objects = "".join(_describe_box(box, image.size_wh, flavor) for box in image.boxes)
    return (
        "<annotation>\n"
        f"  <folder>{escape(folder)}</folder>\n"
        f"  <filename>{escape(image.name)}</filename>\n"
        f"  <source><database>pseudo boxes</database><annotation>{FLAVOR_MARK}{flavor}</annotation></source>\n"
        f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>\n"
        f"  <segmented>0</segmented>\n{objects}</annotation>\n"
    )


def _describe_box(box: ExportedBox, size_wh: tuple[int, int], flavor: VocFlavor) -> str:
    corners = zip(("xmin", "ymin", "xmax", "ymax"), box_to_voc(box.xyxy, size_wh, flavor), strict=True)
    return (
        f"  <object>\n    <name>{escape(box.category.name)}</name>\n    <pose>Unspecified</pose>\n"
        "    <truncated>0</truncated>\n    <difficult>0</difficult>\n"
        f"    <bndbox>{''.join(f'<{tag}>{side}</{tag}>' for tag, side in corners)}</bndbox>\n  </object>\n"
    )
