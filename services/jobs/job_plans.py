"""What a job would do, without doing it: what its source holds, and whether it would be refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dap_core.errors import InputError
from dap_core.label_sets.key_index import count_keys
from dap_core.label_sets.plan import assign_shards
from dap_core.label_sets.plan_shards import MAX_SHARD_ROWS
from services.jobs.specs import JobSpec, MineSpec
from services.jobs.training_specs import FinetuneSpec, PretrainSpec, SelfTrainSpec
from services.sources import LabelledSource, open_labelled_source

if TYPE_CHECKING:
    from dap_core.datasets.unknown_labels import UnknownLabels

_TOP_LABELS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What a source holds and what would become of it."""

    source: str
    images: int
    bytes: int
    shards: int
    without_label: int
    labels: int
    top_labels: tuple[tuple[str, int], ...]
    """The labels of most images, with their number of images."""
    duplicates: int
    skipped_files: int


def make_overview(opened: LabelledSource, shard_images: int = MAX_SHARD_ROWS) -> Overview:
    """What a source holds, in shards of at most `shard_images`; no image is read."""
    rows = opened.source.rows
    counts = Counter(label for row in rows for label in dict.fromkeys(row.labels))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Overview(
        source=opened.source.store.uri,
        images=len(rows),
        bytes=sum(row.size for row in rows),
        shards=len(assign_shards(rows, max_rows=shard_images)),
        without_label=sum(not row.labels for row in rows),
        labels=len(counts),
        top_labels=tuple(ranked[:_TOP_LABELS]),
        duplicates=len(rows) - count_keys(rows),
        skipped_files=opened.source.num_skipped,
    )


def list_warnings(opened: LabelledSource, overview: Overview, unknown: UnknownLabels) -> list[str]:
    """What is odd about a source, one sentence each."""
    warnings = list(opened.warnings)
    images = f"{overview.images:,} image{'' if overview.images == 1 else 's'}"
    if overview.without_label:
        key = next(row.key for row in opened.source.rows if not row.labels)
        warnings.append(
            f"no label for {overview.without_label:,} of {images}, such as {key!r}; they will fail as no-label"
        )
    if overview.duplicates:
        warnings.append(f"{overview.duplicates:,} of {images} listed again; they will fail as duplicate-key")
    if unknown.num_images and not unknown.are_too_many:
        warnings.append(describe_unknown(unknown))
    return warnings


def describe_unknown(unknown: UnknownLabels) -> str:
    """How many labels the classifier does not know, and what follows."""
    return f"{unknown.describe_count()}; {unknown.describe_consequence()}"


def describe_plan(overview: Overview, unknown: UnknownLabels) -> dict[str, Any]:
    """What a mine job would label, as JSON values."""
    first = [{"label": one.label, "images": one.num_images, "nearest": one.nearest} for one in unknown.first]
    return {
        **asdict(overview),
        "top_labels": [{"label": name, "images": number} for name, number in overview.top_labels],
        "unknown_labels": {"labels": unknown.num_labels, "images": unknown.num_images, "first": first},
    }


def plan_job(spec: JobSpec) -> dict[str, Any]:
    """The spec, what it would do (mine) or how long it takes (training), warnings, and why it would be refused.

    All of it as JSON values; only the source of kind mine is looked at.

    Raises StoreError only when the store of the source does not answer.
    """
    plan: dict[str, Any] = {"kind": spec.kind, "spec": spec.model_dump(mode="json")}
    try:
        found = _plan(spec)
    except InputError as error:
        found = {"refusal": str(error)}
    return {**plan, "estimate": None, "warnings": [], "refusal": None, **found}


def _plan(spec: JobSpec) -> dict[str, Any]:
    if isinstance(spec, MineSpec):
        return _plan_mining(spec)
    return _plan_training(spec) if isinstance(spec, PretrainSpec | FinetuneSpec | SelfTrainSpec) else {}


def _plan_training(spec: PretrainSpec | FinetuneSpec | SelfTrainSpec) -> dict[str, Any]:
    from dap_core.training.estimates import scale_time  # here: they need torch
    from dap_core.training.recipe_changes import change_recipe
    from dap_core.training.recipes import get_train_recipe

    recipe = change_recipe(get_train_recipe(spec.recipe), spec.changes)
    time = scale_time(recipe)
    shown = {"steps": recipe.num_steps, "images_shown": recipe.num_steps * recipe.batch_size}
    rough = {"seconds": round(time.seconds), "on": time.machine, "source": time.source}
    return {"estimate": {"recipe": spec.recipe, **shown, **rough}}


def _plan_mining(spec: MineSpec) -> dict[str, Any]:
    from dap_core.datasets.unknown_labels import find_unknown_labels
    from services.jobs.labelers import find_classes, make_recipe  # here: they need torch

    make_recipe(spec)
    opened = open_labelled_source(spec, spec.out)
    unknown = find_unknown_labels(opened.source.rows, find_classes(spec))
    overview = make_overview(opened, spec.shard_images)
    return {
        "estimate": describe_plan(overview, unknown),
        "warnings": list_warnings(opened, overview, unknown),
        "refusal": describe_unknown(unknown) if unknown.are_too_many else None,
    }
