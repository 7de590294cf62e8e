"""The parts of a labeler that the fields of a spec ask for. torch is imported only where one is made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dap_core.class_lists import DEFAULT_CLASSIFIER, imagenet_classes, read_classes
from dap_core.recipes import Recipe, customise_recipe, get_recipe
from dap_core.types import ClassList
from services.classifiers import load_classifier_at
from services.jobs.specs import ClassifierFields, LabelingFields, RecipeFields

if TYPE_CHECKING:
    from dap_core.classifiers import Classifier
    from dap_core.labeler import PseudoLabeler


def make_recipe(fields: RecipeFields) -> Recipe:
    """The named recipe with what the fields change. Raises InputError."""
    return customise_recipe(
        get_recipe(fields.recipe),
        short_sides=fields.short_sides,
        thresholds=fields.thresholds,
        nms_iou=fields.nms_iou,
    )


def read_own_classes(fields: ClassifierFields) -> ClassList | None:
    """The class list that was given, if any. Raises ClassifierError."""
    return read_classes(Path(fields.classes)) if fields.classes else None


def load_chosen_classifier(fields: ClassifierFields) -> Classifier:
    """The classifier with its weights. Raises ClassifierError, InputError, StoreError."""
    return load_classifier_at(fields.classifier, weights=fields.weights, classes=read_own_classes(fields))


def find_classes(fields: ClassifierFields) -> ClassList:
    """The classes that the classifier knows; of the bundled one without loading it.

    Raises ClassifierError, InputError, StoreError.
    """
    if (fields.classifier, fields.weights, fields.classes) == (DEFAULT_CLASSIFIER, None, None):
        return imagenet_classes()
    return load_chosen_classifier(fields).classes


def make_labeler(fields: LabelingFields, classifier: Classifier) -> PseudoLabeler:
    """A labeler that is ready. Raises InputError for an engine that is not to be had."""
    from dap_core.engines import make_engine
    from dap_core.labeler import PseudoLabeler

    engine = make_engine(classifier, engine=fields.engine, precision=fields.precision, device=fields.device)
    return PseudoLabeler(recipe=make_recipe(fields), engine=engine)
