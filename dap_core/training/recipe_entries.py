"""A training recipe as it is listed: its values, where each comes from, what it needs, how long it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from dap_core.training.recipe_changes import format_value, replace_values
from dap_core.training.train_recipe import DetectorRecipe

Step = Literal["pretrain", "finetune", "self-train"]
STEP_TITLES: dict[Step, str] = {
    "pretrain": "pre-training on pseudo boxes (step 3)",
    "finetune": "fine-tuning on drawn boxes (step 4)",
    "self-train": "self-training after fine-tuning",
}
Cited = tuple[Any, str]
"""A value, and where it comes from: the text of the paper, the authors' script, a convention, or us.

Where the text is silent it is the script's, then that of the trainers the text builds on, then ours.
"""
TEXT = "text, section 4.1"
CONVENTION = "convention: maskrcnn-benchmark, Detectron"
COMMON_VALUES: dict[str, Cited] = {
    "schedule": ("steps", f"{TEXT}: of fine-tuning"),
    "momentum": (0.9, CONVENTION),
    "weight_decay": (1e-4, f"{TEXT}: of IN-1M; in IN-14M experiments it is 1e-5, fine-tuning included"),
    "max_gradient_norm": (None, f"{CONVENTION}: no limit"),
    "accumulation": (1, "ours: more only where a batch does not fit into memory"),
    "precision": ("auto", "ours: the text names none"),
    "augment.mirror": (True, CONVENTION),
    "architecture": ("faster_rcnn", TEXT),
    "full_size": (True, f"{TEXT}: FPN; the sizes are torchvision's for COCO"),
    "trainable": ("all", "text, section 3.1"),
    "class_agnostic": (False, "text, section 3.1: a box has the label of its image"),
    "transferred": ("all", "text, section 3.1, step 4: all layers but the last"),
    "frozen_stages": (1, f"{TEXT}: the first block, of fine-tuning; read as stem and first stage, as in the script"),
    "frozen_batch_norm": (True, f"{TEXT}: of fine-tuning"),
}
"""What the paper's experiments share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipeEntry:
    """A recipe with its sources."""

    recipe: DetectorRecipe
    step: Step
    backbone: str
    """The classifier that the experiment starts from, by its name for `--classifier`; nothing is chosen by it."""
    needs: str
    """The images it is trained on, of VOC the trainval sets, of COCO train2017."""
    citations: Mapping[str, str]
    """Where each value comes from, by the names of `to_dict`."""
    published_hours: float | None = None
    """What the text says it takes on 16 GPUs."""

    def list_values(self) -> list[tuple[str, str, str]]:
        """Name, value as it is typed after `key=`, and source of all values, in the order of the record."""
        values = self.recipe.to_dict()
        return [
            (key, format_value(value), self.citations[key]) for key, value in values.items() if key in self.citations
        ]

    @property
    def name(self) -> str:
        """The name of the recipe."""
        return self.recipe.name

    def derive(
        self,
        name: str,
        values: Mapping[str, Cited],
        *,
        source: str,
        step: Step | None = None,
        backbone: str | None = None,
        needs: str | None = None,
        published_hours: float | None = None,
    ) -> RecipeEntry:
        """A recipe that has these values, each with its source, and is otherwise like this one."""
        changed = {key: value for key, (value, _) in values.items()}
        return RecipeEntry(
            recipe=replace_values(self.recipe, {**changed, "name": name, "source": source}),
            step=step or self.step,
            backbone=backbone or self.backbone,
            needs=needs or self.needs,
            citations={**self.citations, **{key: citation for key, (_, citation) in values.items()}},
            published_hours=published_hours,
        )


def make_entry(
    name: str,
    values: Mapping[str, Cited],
    *,
    source: str,
    step: Step,
    backbone: str,
    needs: str,
    published_hours: float | None = None,
) -> RecipeEntry:
    """A recipe of these values, each with its source. Raises KeyError when batch size, steps or rate are missing."""
    start = DetectorRecipe(
        name=name,
        source=source,
        batch_size=values["batch_size"][0],
        num_steps=values["num_steps"][0],
        lr=values["lr"][0],
    )
    bare = RecipeEntry(recipe=start, step=step, backbone=backbone, needs=needs, citations={})
    return bare.derive(name, values, source=source, published_hours=published_hours)
