"""What a label set was made with: everything that decides its boxes besides the images themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from dap_core.errors import InputError
from dap_core.recipes import PredictionRecipe, Recipe, recipe_from_dict
from dap_core.types import ClassList


@dataclass(frozen=True, kw_only=True)
class LabelingSettings:
    """Recipe, classifier, engine and storage choices of one label set."""

    recipe: Recipe | PredictionRecipe
    classes: ClassList
    classifier: str
    """The network: a classifier, or a detector and its backbone."""
    weights_sha256: str
    engine: str
    precision: str
    source: str
    """URI of the root that keys are relative to."""
    embed_images: bool = True
    """Whether shards hold the original bytes of the images."""
    store_cams: bool = True
    """Whether shards hold the maps, so that boxes can be cut again."""
    parent: str | None = None
    """sha256 of the manifest this set was cut again from."""

    @property
    def mining_recipe(self) -> Recipe:
        """The recipe that boxes were cut from maps with. Raises InputError for a set that a detector made."""
        if isinstance(self.recipe, PredictionRecipe):
            raise InputError("the label set holds what a detector found, and no maps to cut boxes from")
        return self.recipe

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        classes = [{"wnid": item.wnid, "name": item.name} for item in self.classes.classes]
        return {**values, "recipe": self.recipe.to_dict(), "classes": classes}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LabelingSettings:
        """The settings that `to_dict` wrote."""
        classes = ClassList.from_pairs((item["wnid"], item["name"]) for item in values["classes"])
        return cls(**{**values, "recipe": recipe_from_dict(values["recipe"]), "classes": classes})

    def replace_recipe(self, recipe: Recipe, parent: str, keep_images: bool) -> LabelingSettings:
        """The settings of a set cut again with another recipe from the set with manifest `parent`."""
        return replace(self, recipe=recipe, parent=parent, embed_images=self.embed_images and keep_images)

    def describe_differences(self, other: LabelingSettings) -> list[str]:
        """The fields in which two settings differ, with both values, `self` first."""
        ours, theirs = _flatten(self.to_dict()), _flatten(other.to_dict())
        names = [name for name in ours | theirs if ours.get(name) != theirs.get(name)]
        return [f"{name} is {ours.get(name)}, was {theirs.get(name)}" for name in names]


def _flatten(values: dict[str, Any]) -> dict[str, object]:
    """Fields by dotted name; the class list is told apart by its length and its first names only."""
    flat: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": item for inner, item in _flatten(value).items()}
        elif name == "classes":
            flat["classes"] = _Summary(value)
        else:
            flat[name] = tuple(value) if isinstance(value, list | tuple) else value
    return flat


class _Summary(list[dict[str, str]]):
    def __repr__(self) -> str:
        return f"{len(self)} classes from {self[0]['wnid'] if self else 'nothing'}"
