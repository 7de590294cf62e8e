"""The recipes of step 3: detectors pre-trained on pseudo boxes, and on the drawn boxes of IN-200 DET (table 8)."""

from __future__ import annotations

from dap_core.training.recipe_entries import COMMON_VALUES, TEXT, make_entry

_DET_IMAGES = 333_000
_FIGURES = "paper: tables 1 and 2, figures 3 to 5"
_REGIME = "ours: follows the images there are"

_IN1M = make_entry(
    "pretrain-in1m-r50",
    {
        **COMMON_VALUES,
        "batch_size": (32, TEXT),
        "num_steps": (40_038, f"{TEXT}: one epoch"),
        "lr": (0.004, "script: 0.008 at batch 64, halved with the batch"),
        "milestones": ((), "ours: text and script name no decay"),
        "warmup_steps": (4_000, "script: 2,000 steps at batch 64, so as many images"),
        "augment.short_sides": ((96, 160, 320, 640), TEXT),
    },
    source=_FIGURES,
    step="pretrain",
    backbone="resnet50",
    needs="IN-1M",
    published_hours=1.8,
)
_IN14M = _IN1M.derive(
    "pretrain-in14m-r50",
    {"num_steps": (443_658, f"{TEXT}: one epoch"), "weight_decay": (1e-5, f"{TEXT}: of IN-14M")},
    source=_FIGURES,
    needs="IN-14M",
    published_hours=17.6,
)
PRETRAIN_ENTRIES = (
    _IN1M,
    _IN14M,
    _IN1M.derive("pretrain-in1m-r101", {}, source="paper: tables 4 and 5", backbone="resnet101"),
    _IN14M.derive("pretrain-in14m-r101", {}, source="paper: tables 4 and 5", backbone="resnet101"),
    _IN1M.derive(
        "pretrain-in1m-retinanet-r50",
        {
            "architecture": ("retinanet", "text, section 4.3"),
            "num_steps": (80_072, "text, section 4.3: two epochs"),
            "lr": (0.005, "text, section 4.3"),
        },
        source="paper: tables 6 and 7",
    ),
    _IN1M.derive(
        "pretrain-in1m-r50-frozen",
        {"trainable": ("heads", "text, section 4.3: FPN, RPN and box head alone")},
        source="paper: table 3",
    ),
    _IN1M.derive(
        "pretrain-in200det-r50",
        {"num_steps": (round(5 * _DET_IMAGES / 32), "text, section 4.3: 5 epochs of 333,000 images")},
        source="paper: table 8",
        needs="IN-200 DET, drawn",
    ),
    _IN1M.derive(
        "pretrain-laptop",
        {
            "batch_size": (8, "ours: two cores"),
            "num_steps": (600, "ours: some minutes on two cores"),
            "lr": (0.01, "ours: that of fine-tuning on VOC, not tuned"),
            "milestones": ((480,), "ours: after four fifths"),
            "warmup_steps": (50, "ours: a twelfth"),
            "max_gradient_norm": (10.0, "ours: one bad step would spoil a short run"),
            "augment.short_sides": ((96, 128, 160, 192, 224), "ours: below 320, which triples the time of a step"),
            "full_size": (False, "ours: sizes for short sides around 160"),
            "trainable": ("auto", _REGIME),
            "class_agnostic": ("auto", f"{_REGIME}, for each class"),
        },
        source="ours: two cores, some thousand images",
        backbone="lite0",
        needs="1,000+ images",
    ),
)
