"""Labels of a source that a classifier does not know, found before anything is mined."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from dap_core.label_sets.plan_rows import PlanRow, PlanRows
from dap_core.types import AUTO, ClassList

MAX_UNKNOWN_SHARE = 0.05
_NUM_NAMED = 5
_NUM_NEAREST = 3
WAYS_OUT = (
    "Name the labels as the classifier does (--map renames classes of annotations), train its last layer on them "
    "(dap train-classifier --head-only), or take its own choice (--label auto)"
)


@dataclass(frozen=True, slots=True)
class UnknownLabel:
    """A label, how many images have it, and what classes it may mean."""

    label: str
    num_images: int
    nearest: tuple[str, ...]

    def __str__(self) -> str:
        plural = "" if self.num_images == 1 else "s"
        return f"{self.label!r} ({self.num_images:,} image{plural}; {self.describe_nearest()})"

    def describe_nearest(self) -> str:
        """The nearest classes in words."""
        return f"nearest: {', '.join(self.nearest)}" if self.nearest else "no class is near"


@dataclass(frozen=True, slots=True)
class UnknownLabels:
    """The labels of a source that its classifier does not know; `first` are those of most images.

    An image counts once, however many unknown labels it has.
    """

    num_labels: int
    num_images: int
    num_labelled: int
    first: tuple[UnknownLabel, ...]

    @property
    def are_too_many(self) -> bool:
        """Whether so many of the labelled images have one that mining is refused."""
        return self.num_images > MAX_UNKNOWN_SHARE * self.num_labelled

    def describe_count(self) -> str:
        """How many images have such a label."""
        return (
            f"{self.num_images:,} of {self.num_labelled:,} labelled images ({self.num_images / self.num_labelled:.1%}) "
            "have a label that the classifier does not know"
        )

    def describe_consequence(self) -> str:
        """What that means for the run, and the way out."""
        if self.are_too_many:
            return f"more than {MAX_UNKNOWN_SHARE:.0%} are refused. {WAYS_OUT}"
        return f"they will fail as unknown-label. {WAYS_OUT}"

    def describe(self) -> str:
        """Count, labels and consequence in one line."""
        others = self.num_labels - len(self.first)
        named = ", ".join(map(str, self.first)) + (f" and {others:,} more" if others else "")
        return f"{self.describe_count()}: {named}; {self.describe_consequence()}"


def find_unknown_labels(rows: Iterable[PlanRow], classes: ClassList) -> UnknownLabels:
    """The labels of `rows` that are no wnid, name or index of `classes`, nor `auto` alone."""
    images_by_labels = {labels: number for labels, number in _count_labels(rows).items() if labels}
    distinct = {label for labels in images_by_labels for label in labels}
    unknown = {label for label in distinct if not classes.knows(label)}
    num_unknown_images = 0
    counts: Counter[str] = Counter()
    for labels, num_images in images_by_labels.items():
        found = dict.fromkeys((label for label in labels if label in unknown), num_images)
        if found and labels != (AUTO,):
            num_unknown_images += num_images
            counts.update(found)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_NUM_NAMED]
    first = tuple(UnknownLabel(label, number, _find_nearest(label, classes)) for label, number in ranked)
    return UnknownLabels(len(counts), num_unknown_images, sum(images_by_labels.values()), first)


def _count_labels(rows: Iterable[PlanRow]) -> Mapping[tuple[str, ...], int]:
    return rows.count_labels() if isinstance(rows, PlanRows) else Counter(row.labels for row in rows)


def _find_nearest(label: str, classes: ClassList) -> tuple[str, ...]:
    """The classes with the name of the label when there are several, else those nearest by name or wnid.

    A number is an index beyond the classes, which nothing is near to.
    """
    if label.isdecimal():
        return ()
    wanted = label.casefold()
    by_name = defaultdict(list)
    for item in classes.classes:
        by_name[item.name.casefold()].append(item)
    full = {item.wnid.casefold(): [f"{item.name} ({item.wnid})"] for item in classes.classes}
    shown = full | {
        name: [one.name if len(items) == 1 else f"{one.name} ({one.wnid})" for one in items]
        for name, items in by_name.items()
    }
    if wanted in by_name:
        return tuple(shown[wanted])
    matches = get_close_matches(wanted, shown, n=_NUM_NEAREST)
    return tuple(dict.fromkeys(name for match in matches for name in shown[match]))[:_NUM_NEAREST]
