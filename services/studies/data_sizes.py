"""The data of a size."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from services.studies.laptop_data import make_laptop_data
from services.studies.study_data import StudyData
from services.studies.synthetic_data import make_synthetic_data

Size = Literal["laptop", "smallest"]


def make_data_of_size(size: Size, images: Path, folder: Path) -> StudyData:
    """The data of a size; `images` is where the real ones are, what is made of them goes below `folder`.

    Raises SourceError when images are missing.
    """
    return make_laptop_data(images, folder) if size == "laptop" else make_synthetic_data(folder)
