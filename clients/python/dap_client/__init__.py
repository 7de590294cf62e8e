"""Client of the DAP service: pseudo boxes of images, over HTTP.

>>> from dap_client import Client
>>> with Client("http://127.0.0.1:8000") as client:  # doctest: +SKIP
...     [cat] = client.label("cat.jpg", "Egyptian cat")
...     print(cat.xyxy, cat.scores)
"""

from dap_client import errors
from dap_client.answers import FoundClasses, Limits, Model
from dap_client.client import DEFAULT_URL, AsyncClient, Client
from dap_client.errors import *  # noqa: F403 - every class of the tree
from dap_client.event_streams import JobEvent
from dap_client.formats import to_coco, to_voc, to_yolo
from dap_client.heat_maps import Cam, HeatMap
from dap_client.jobs import Job, Jobs
from dap_client.problems import Fault, Problem
from dap_client.results import Box, ImageClass, Result, ScoredClass
from dap_client.version import __version__

__all__ = [
    "DEFAULT_URL",
    "AsyncClient",
    "Box",
    "Cam",
    "Client",
    "Fault",
    "FoundClasses",
    "HeatMap",
    "ImageClass",
    "Job",
    "JobEvent",
    "Jobs",
    "Limits",
    "Model",
    "Problem",
    "Result",
    "ScoredClass",
    "__version__",
    "to_coco",
    "to_voc",
    "to_yolo",
]
__all__ += errors.__all__
