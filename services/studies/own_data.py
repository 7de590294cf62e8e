"""Images of one's own as the data of a study, with the budgets of two cores."""

from __future__ import annotations

from services.jobs.specs import DataFields, SourceFields
from services.studies.study import Downstream, SelfTraining, Start, Training
from services.studies.study_data import StudyData

_NAME = "own data"


def make_own_data(
    *, labelled: str, drawn: str, validation: str, test: str, classifier: str = "lite0", smallest: bool = False
) -> StudyData:
    """The data of a study from four places: images with image-level labels, and three parts with drawn boxes.

    The parts are annotations in any format that is read. `smallest` trains for two steps, to see that all fits.
    """
    steps = (1, 2) if smallest else (50, 100, 150)
    changes = {"num_steps": str(steps[-1]), "milestones": str(max(1, steps[-1] * 4 // 5)), "warmup_steps": "0"}
    pretraining = Training(recipe="pretrain-laptop", changes=changes if smallest else {})
    return StudyData(
        name=_NAME,
        labelled=SourceFields(source=(labelled,)),
        pretraining=pretraining,
        start=Start(classifier=classifier),
        downstream=(
            Downstream(
                name=_NAME,
                train=DataFields(data=drawn, shots=None),
                validation=DataFields(data=validation, shots=None),
                test=DataFields(data=test, shots=None),
                shots=(5, 10),
                steps=steps,
                finetuning=Training(recipe="finetune-laptop", changes=changes if smallest else {}),
            ),
        ),
        seeds=(0, 1, 2, 3, 4),
        drawn=DataFields(data=drawn, shots=None),
        self_training=SelfTraining(training=Training(recipe="self-train-laptop"), steps=(25, 50)),
        curve_steps=(1, 2) if smallest else (10, 25, 50, 100, 200),
    )
