"""Several years of Pascal VOC in their official layout, such as 07+12."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from dap_core.datasets.annotations import Annotations, Problem
from dap_core.datasets.fields import FieldError, read_text
from dap_core.datasets.voc import read_voc
from dap_core.errors import SourceError


def read_voc_years(
    devkit: Path, *, years: Sequence[str] = ("2007", "2012"), image_set: str = "trainval"
) -> Annotations:
    """The images that `ImageSets/Main` lists in the years of a `VOCdevkit` folder: the paper's 07+12 trainval.

    Keys are relative to `devkit`, so those of two years never meet. A listed image without annotations is a problem.
    Raises SourceError when a year or its list is missing.
    """
    parts = [_read_voc_year(devkit, f"VOC{year}", image_set) for year in years]
    return Annotations(
        images=tuple(image for part in parts for image in part.images),
        class_names=tuple(sorted({name for part in parts for name in part.all_class_names})),
        problems=tuple(problem for part in parts for problem in part.problems),
        image_root=devkit,
    )


def _read_voc_year(devkit: Path, name: str, image_set: str) -> Annotations:
    folder = devkit / name
    try:
        listed = dict.fromkeys(read_text(folder / "ImageSets" / "Main" / f"{image_set}.txt").split())
    except FieldError as error:
        raise SourceError(f"{folder}/ImageSets/Main/{image_set}.txt {error}; give the folder VOCdevkit") from error
    found = read_voc(folder)
    root = (found.image_root or folder / "JPEGImages").relative_to(devkit)
    images = {PurePosixPath(image.key).stem: image for image in found.images}
    missing = [stem for stem in listed if stem not in images]
    chosen = [images[stem] for stem in listed if stem in images]
    return replace(
        found,
        images=tuple(replace(image, key=(root / image.key).as_posix()) for image in chosen),
        problems=(
            *found.problems,
            *(Problem(f"{name}/{stem}", f"listed in {image_set}.txt, without annotations") for stem in missing),
        ),
    )
