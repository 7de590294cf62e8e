"""Lists of classes: ImageNet's, and those in files. Needs no torch."""

from __future__ import annotations

import csv
import importlib.util
from functools import cache
from pathlib import Path

from dap_core.errors import ClassifierError
from dap_core.types import ClassList

DEFAULT_CLASSIFIER = "lite0"
"""The bundled classifier; it knows ImageNet's classes."""
_FOLDER = Path("data") / "_info"
_WNIDS, _NAMES = "imagenet_synsets.txt", "imagenet_synset_to_lemma.txt"


@cache
def imagenet_classes() -> ClassList:
    """The 1,000 ImageNet-1k classes in the order of the usual classifiers, which is the order of wnids.

    They are read from the files of timm, which is not imported. Raises ClassifierError when timm has none or others.
    """
    found = importlib.util.find_spec("timm")
    folders = list(found.submodule_search_locations or ()) if found else []
    try:
        folder = Path(folders[0]) / _FOLDER
        wnids = (folder / _WNIDS).read_text("utf-8").splitlines()
        with (folder / _NAMES).open(encoding="utf-8", newline="") as lines:
            names = dict(csv.reader(lines, delimiter="\t"))
        classes = ClassList.from_pairs((wnid, names[wnid].split(",")[0]) for wnid in wnids)
    except (IndexError, KeyError, OSError, ValueError) as error:
        raise ClassifierError(
            f"the installed timm has no list of ImageNet classes where it was looked for: {error}"
        ) from error
    if wnids != sorted(set(wnids)):
        raise ClassifierError("the installed timm lists ImageNet classes in an order other than that of wnids")
    return classes


def read_classes(path: Path) -> ClassList:
    """The class list of a CSV file with the columns `index,wnid,name`; the index decides the order.

    Raises ClassifierError unless the indices are 0 to K - 1, each once, the wnids are unique and no field is empty.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = sorted((int(row["index"]), row["wnid"], row["name"]) for row in csv.DictReader(lines, restval=""))
        classes = ClassList.from_pairs((wnid, name) for _, wnid, name in rows)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ClassifierError(f"class list {path} must be a CSV with columns index,wnid,name: {error}") from error
    if not rows or [row[0] for row in rows] != list(range(len(rows))):
        raise ClassifierError(f"class list {path} must have the indices 0 to K - 1, each once")
    if not all(wnid and name for _, wnid, name in rows):
        raise ClassifierError(f"class list {path} must give every class a wnid and a name")
    return classes
