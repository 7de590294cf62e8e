"""What a study is made on: images with labels, data sets with drawn boxes, and how long is trained."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.jobs.specs import DataFields, RecipeFields, SourceFields
from services.studies.study import Downstream, Probe, SelfTraining, Start, Training


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyData:
    """All that a named study takes its parts from; a study that needs a part which is None says so."""

    name: str
    """Such as laptop."""
    labelled: SourceFields
    """Images with image-level labels that pseudo boxes are mined from."""
    mining: RecipeFields = field(default_factory=RecipeFields)
    pretraining: Training
    downstream: tuple[Downstream, ...]
    seeds: tuple[int, ...] = (0, 1, 2)
    start: Start = field(default_factory=Start)
    fewer_labelled: SourceFields | None = None
    """A part of them, for `scale`."""
    drawn: DataFields | None = None
    """Images with drawn boxes of many classes, for `det-pretraining`."""
    probe: Probe | None = None
    """For `classifier`."""
    self_training: SelfTraining | None = None
    other_starts: tuple[Start, ...] = ()
    """For `backbones`."""
    curve_steps: tuple[int, ...] = ()
    """For `convergence`: after which a fine-tuning on all images is measured."""
    caveats: tuple[str, ...] = ()
    """What a reader has to know of the data, one sentence each."""
