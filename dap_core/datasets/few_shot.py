"""k-shot subsets: few images per class, the same ones for every arm of a study (the paper, sections 4.2 and 4.3).

The subset of a smaller k begins that of a larger one, and neither depends on the order in which images are listed.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from dap_core.datasets.annotations import AnnotatedImage, Annotations
from dap_core.errors import SourceError
from dap_core.stores import Store

PAPER_SHOTS = (5, 10, 20, 50, 100)
"""Images per class of the paper's figures 3 and 4."""
Counting = Literal["shared", "own"]
"""Whether an image counts for each of its classes (`shared`), or only for the one it was drawn for (`own`).

The paper's totals, 100 images for 5 shots of VOC's 20 classes and 400 for COCO's 80, are those of `own`.
"""
_COUNTINGS: tuple[Counting, ...] = get_args(Counting)
_NUM_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Shots:
    """A k-shot subset: the `keys` of its images in the order they were drawn, and what they were drawn from.

    `candidates_sha256` is that of the sorted keys of all images, one a line, and `num_candidates` their number.
    """

    k: int
    seed: int
    counting: Counting
    class_names: tuple[str, ...]
    num_candidates: int
    candidates_sha256: str
    keys: tuple[str, ...]


def sample_shots(
    annotations: Annotations,
    k: int,
    *,
    seed: int,
    counting: Counting = "shared",
    class_names: Sequence[str] | None = None,
) -> Shots:
    """Draws images until every class has at least `k`; a class counts where a box of it is not to be ignored.

    Left out, `class_names` are all of the annotations. Classes take turns, the rarest first, and one that has enough
    images for this turn takes none, so there are at most `k` images for each class.

    Raises SourceError when there are too few images of a class, or none; ValueError for `k` below 1, a negative seed or
    an unknown way of counting.
    """
    if k < 1 or seed < 0:
        raise ValueError(f"k must be at least 1 and seed not negative, got {k} and {seed}")
    if counting not in _COUNTINGS:
        raise ValueError(f"counting must be one of {', '.join(_COUNTINGS)}, got {counting!r}")
    names = tuple(sorted(set(annotations.all_class_names if class_names is None else class_names)))
    classes = {image.key: _list_classes(image, names) for image in annotations.images}
    _check_enough(classes, names, k)
    drawn = _Draw(classes, names, seed, counting).take(k)
    return Shots(
        k=k,
        seed=seed,
        counting=counting,
        class_names=names,
        num_candidates=len(classes),
        candidates_sha256=hash_candidates(classes),
        keys=tuple(drawn),
    )


def select_shots(annotations: Annotations, shots: Shots) -> Annotations:
    """The annotations of the drawn images alone, in the order of `shots`, with all their boxes.

    Raises SourceError unless the images of `annotations` are those that the subset was drawn from.
    """
    images = {image.key: image for image in annotations.images}
    if hash_candidates(images) != shots.candidates_sha256:
        raise SourceError(
            f"the {shots.k}-shot subset was drawn from {shots.num_candidates} other images, got {len(images)}; "
            "give the images it was drawn from, or draw anew"
        )
    return replace(annotations, images=tuple(images[key] for key in shots.keys))


def hash_candidates(keys: Iterable[str]) -> str:
    """The sha256 of keys, sorted, one a line."""
    return _hash("".join(f"{key}\n" for key in sorted(keys)))


def write_shots(store: Store, key: str, shots: Shots) -> None:
    """Puts a subset into a store as JSON; raises StoreError when that fails."""
    store.put(key, (json.dumps(asdict(shots), indent=1) + "\n").encode())


def read_shots(store: Store, key: str) -> Shots:
    """The subset that `write_shots` put there.

    Raises SourceError when the object is something else, StoreError when it cannot be read.
    """
    data = store.get(key)
    try:
        return _parse_shots(json.loads(data))
    except (KeyError, TypeError, ValueError) as error:
        raise SourceError(
            f"{store.uri}/{key} is no list of k-shot images as write_shots makes it: {error!r}"
        ) from error


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _parse_shots(fields: dict[str, Any]) -> Shots:
    for name in ("keys", "class_names"):
        if not isinstance(fields[name], list) or not all(isinstance(item, str) for item in fields[name]):
            raise ValueError(f"{name} must be a list of texts")
        fields[name] = tuple(fields[name])
    if fields["counting"] not in _COUNTINGS:
        raise ValueError(f"counting must be one of {', '.join(_COUNTINGS)}, got {fields['counting']!r}")
    return Shots(**fields)


def _list_classes(image: AnnotatedImage, names: Sequence[str]) -> frozenset[str]:
    """The classes of an image with a box that is not to be ignored."""
    pairs = zip(image.class_names, image.ignored.tolist(), strict=True)
    return frozenset(name for name, ignored in pairs if not ignored) & frozenset(names)


def _check_enough(classes: dict[str, frozenset[str]], names: Sequence[str], k: int) -> None:
    if not names:
        raise SourceError("the annotations have no class to draw images of; give images with boxes")
    counts = Counter(name for found in classes.values() for name in found)
    scarce = [f"{name} ({counts[name]})" for name in names if counts[name] < k]
    if scarce:
        more = f" and {len(scarce) - _NUM_NAMED} more" if len(scarce) > _NUM_NAMED else ""
        raise SourceError(
            f"expected at least {k} images of every class, found fewer of {', '.join(scarce[:_NUM_NAMED])}{more}; "
            "lower k, or name the classes to draw"
        )


class _Draw:
    """Takes images one after the other; what was taken for k stays for k + 1."""

    def __init__(self, classes: dict[str, frozenset[str]], names: Sequence[str], seed: int, counting: Counting) -> None:
        self._classes = classes
        self._counting = counting
        shuffled = sorted(classes, key=lambda key: _hash(f"{seed}\n{key}"))
        candidates = {name: [key for key in shuffled if name in classes[key]] for name in names}
        self._turns = sorted(names, key=lambda name: (len(candidates[name]), name))
        self._candidates = {name: iter(keys) for name, keys in candidates.items()}
        self._taken: dict[str, None] = {}
        self._counts: Counter[str] = Counter()

    def take(self, k: int) -> Iterator[str]:
        """The keys of the images, in the order they are taken."""
        for least in range(1, k + 1):
            for name in self._turns:
                if self._counts[name] < least:
                    self._take_one(name)
        return iter(self._taken)

    def _take_one(self, name: str) -> None:
        key = next((key for key in self._candidates[name] if key not in self._taken), None)
        if key is None:
            raise SourceError(
                f"other classes took so many images of {name} that only {self._counts[name]} are left for it; "
                "lower k, or count images as shared"
            )
        self._taken[key] = None
        self._counts.update(self._classes[key] if self._counting == "shared" else (name,))
