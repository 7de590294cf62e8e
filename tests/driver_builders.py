"""Mining from bucket to bucket in an operating-system process of its own, which a test can kill."""

from __future__ import annotations

import os
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

from dap_core import PseudoLabeler
from dap_core.datasets import read_image_objects
from dap_core.engines import make_engine
from services.storage import S3Store
from tests.builders import make_toy_classifier
from tests.mining_builders import SMALL_RECIPE, mine_source
from tests.s3_servers import S3_ENVIRONMENT


def make_driver(source: S3Store, destination: S3Store, *, max_rows: int) -> BaseProcess:
    """A process that will mine `source`, or resume what is there; its imports are done before it starts."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context.Process(target=_mine, args=(source, destination, max_rows), daemon=True)


def _mine(source: S3Store, destination: S3Store, max_rows: int) -> None:
    os.environ.update(S3_ENVIRONMENT)
    engine = make_engine(make_toy_classifier(), engine="torch", precision="float32")  # the one that starts fastest
    labeler = PseudoLabeler(recipe=SMALL_RECIPE, engine=engine)
    mine_source(labeler, read_image_objects(source), destination, max_rows=max_rows)
