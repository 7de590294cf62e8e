"""Pascal VOC: one XML file per image, in one of four box conventions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from xml.etree.ElementTree import Element

from dap_core.datasets.annotation_builder import AnnotationsBuilder, Corners, DrawnBox
from dap_core.datasets.annotations import Annotations
from dap_core.datasets.fields import FieldError, get_text, parse_flag, parse_number, parse_size, read_xml
from dap_core.datasets.image_roots import find_image_root, is_file
from dap_core.datasets.source import is_image_name
from dap_core.errors import SourceError

VocFlavor = Literal["devkit", "plus-one", "zero-based-int", "zero-based-float"]
VOC_FLAVORS: tuple[VocFlavor, ...] = get_args(VocFlavor)
FLAVOR_MARK = "dap "
"""`<source><annotation>` of our own exports is this and the flavour."""

_SHIFTS: dict[VocFlavor, Corners] = {
    "devkit": (1, 1, 0, 0),
    "plus-one": (1, 1, 1, 1),
    "zero-based-int": (0, 0, 0, 0),
    "zero-based-float": (0, 0, 0, 0),
}
_SUFFIXES = (".jpg", ".JPEG", ".jpeg", ".JPG", ".png", ".PNG", ".webp")


def read_voc(path: Path, *, flavor: VocFlavor | None = None, image_root: Path | None = None) -> Annotations:
    """The annotations of a folder of VOC XML files (`Annotations/` of it, when there is one), or of one file.

    `flavor` says how corners are counted: `devkit` from 1 with both ends in the box, `plus-one` half-open from 1,
    `zero-based-*` half-open from 0. Left out, our own exports say it themselves and the rest is `devkit`.
    `difficult` boxes are to be ignored. Raises SourceError when there is no XML file or none can be read.
    """
    if flavor is not None and flavor not in VOC_FLAVORS:
        raise ValueError(f"flavor must be one of {', '.join(VOC_FLAVORS)}, got {flavor!r}")
    folder = _find_xml_folder(path)
    files = sorted(folder.rglob("*.xml")) if path.is_dir() else [path]
    if not files:
        raise SourceError(f"{path} holds no XML file; expected Annotations/<image>.xml")
    builder = AnnotationsBuilder(path)
    documents = list(_read_documents(files, folder, builder))
    root = image_root or _guess_image_root(folder, documents)
    for document in documents:
        _add_image(document, root, flavor, builder)
    return builder.build(image_root=root)


def shift_corners(xyxy: Corners, flavor: VocFlavor) -> Corners:
    """Half-open corners from 0 of corners in `flavor`."""
    x1, y1, x2, y2 = (side - shift for side, shift in zip(xyxy, _SHIFTS[flavor], strict=True))
    return x1, y1, x2, y2


@dataclass(frozen=True, slots=True)
class _Document:
    where: str
    folder: str  # of the XML file, relative to all of them
    stem: str
    root: Element

    def guess_keys(self) -> list[str]:
        """Names the image may have, likeliest first; some writers leave out the suffix or all of it."""
        written = (self.root.findtext("filename") or "").strip().replace("\\", "/")
        names = [written] if is_image_name(written) else []
        stems = dict.fromkeys([written or self.stem, self.stem])
        names += [stem + suffix for stem in stems for suffix in _SUFFIXES]
        below = [f"{self.folder}/{name}" for name in names] if self.folder else []
        return [*below, *names]


def _find_xml_folder(path: Path) -> Path:
    if not path.is_dir():
        return path.parent
    return path / "Annotations" if (path / "Annotations").is_dir() else path


def _read_documents(files: list[Path], folder: Path, builder: AnnotationsBuilder) -> Iterator[_Document]:
    for file in files:
        where = file.relative_to(folder)
        with builder.reporting(str(where)):
            root = read_xml(file)
            if root.tag != "annotation":
                raise FieldError(f"expected the element <annotation>, got <{root.tag}>")
            parent = where.parent.as_posix()
            yield _Document(str(where), "" if parent == "." else parent, file.stem, root)


def _guess_image_root(folder: Path, documents: list[_Document]) -> Path | None:
    names = ("JPEGImages", "images", "Images", "img", ".")
    candidates = [base / name for base in (folder, folder.parent) for name in names]
    return find_image_root(candidates, (key for item in documents[:5] for key in item.guess_keys()), num_tried=200)


def _add_image(document: _Document, root: Path | None, flavor: VocFlavor | None, builder: AnnotationsBuilder) -> None:
    keys = document.guess_keys()
    key = next((key for key in keys if root and is_file(root / key)), None)
    if key is None:
        key = next((name for name in keys if is_image_name(name)), keys[0])
    size_wh = None
    size = document.root.find("size")
    if size is not None:
        with builder.reporting(document.where):
            size_wh = parse_size(get_text(size, "width"), get_text(size, "height"))
    used = flavor or _read_flavor(document.root)
    boxes = []
    for number, item in enumerate(document.root.iterfind("object"), 1):
        where = f"{document.where} object {number}"
        with builder.reporting(where):
            boxes.append(_read_object(item, used, where, builder))
    builder.add_image(key, size_wh, boxes, document.where)


def _read_flavor(root: Element) -> VocFlavor:
    written = (root.findtext("source/annotation") or "").strip()
    return next((flavor for flavor in VOC_FLAVORS if written == FLAVOR_MARK + flavor), "devkit")


def _read_object(item: Element, flavor: VocFlavor, where: str, builder: AnnotationsBuilder) -> DrawnBox:
    box = item.find("bndbox")
    if box is None:
        raise FieldError("<bndbox> is missing")
    x1, y1, x2, y2 = (parse_number(get_text(box, tag), f"<{tag}>") for tag in ("xmin", "ymin", "xmax", "ymax"))
    ignored = False
    with builder.reporting(where):
        ignored = parse_flag(item.findtext("difficult"), "<difficult>")
    return DrawnBox(where, shift_corners((x1, y1, x2, y2), flavor), get_text(item, "name"), ignored=ignored)
