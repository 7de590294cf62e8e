"""The predictor that the fields of a spec ask for."""

from __future__ import annotations

import torch

from dap_core.detectors import Checkpoint
from dap_core.detectors.labeling import DetectingLabeler, choose_short_side
from dap_core.detectors.predicting import PredictionConfig, Predictor
from dap_core.recipes import PredictionRecipe
from services.jobs.evaluation_specs import PredictionFields
from services.places import open_checkpoint_at


def make_config(fields: PredictionFields, checkpoint: Checkpoint) -> PredictionConfig:
    """How the detector is run."""
    return PredictionConfig(
        short_side=fields.short_side or choose_short_side(checkpoint),
        batch_size=fields.batch_size,
        mirror=fields.mirror,
        precision=fields.precision,
    )


def make_predictor(fields: PredictionFields, checkpoint: Checkpoint) -> Predictor:
    """A predictor that is ready. Raises CheckpointError, InputError for a device that is not to be had."""
    return Predictor(checkpoint.make_detector(), make_config(fields, checkpoint), device=fields.device)


def make_detecting_labeler(fields: PredictionFields, recipe: PredictionRecipe, num_threads: int) -> DetectingLabeler:
    """A labeler with its detector read anew, for another process."""
    torch.set_num_threads(num_threads)
    return DetectingLabeler(make_predictor(fields, open_checkpoint_at(fields.detector)), recipe)
