"""Jobs of a service whose label sets are written row by row, and what is asked of them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from dap_core.label_sets import LabelSet, LabelSetRow
from dap_core.stores import LocalStore
from tests.job_api_builders import JobPlace
from tests.page_builders import make_row, make_set


@dataclass(frozen=True)
class MadeByJob:
    """A job of kind mine that need not run, and where its label set goes."""

    client: httpx.Client
    id: str
    folder: Path

    @property
    def images(self) -> LocalStore:
        """What the label set refers to."""
        return LocalStore(self.folder / "images")

    def fill(self, rows: Sequence[LabelSetRow], **options: Any) -> LabelSet:
        """The label set, made of these rows."""
        return make_set(self.folder / "labels", rows, **options)

    def refer(self, key: str, data: bytes) -> LabelSetRow:
        """A row that refers to a file among the images."""
        self.images.put(key, data)
        return replace(make_row(), key=key, image=None, etag=self.images.describe(key).etag)

    def ask(self, path: str = "label-set", headers: dict[str, str] | None = None, **query: Any) -> httpx.Response:
        return self.client.get(f"/v1/jobs/{self.id}/{path}", params=query, headers=headers)

    def get(self, path: str = "label-set", **query: Any) -> Any:
        answer = self.ask(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def draw(self, path: str = "label-set/images/0/file", **query: Any) -> Image.Image:
        """The answer, which is a JPEG."""
        answer = self.ask(path, **query)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg"), answer.text
        return Image.open(io.BytesIO(answer.content))

    def assert_missing(self, path: str, words: str, **query: Any) -> None:
        """A problem that may name places, which are paths here."""
        answer = self.ask(path, **query)
        assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found"), answer.text
        assert words in answer.json()["detail"]


def submit_mine(
    client: httpx.Client, place: JobPlace, name: str, *, headers: dict[str, str] | None = None, **fields: Any
) -> MadeByJob:
    """A job whose label set goes to the folder `name`, beside images."""
    folder = place.data / name
    spec = place.make_mine(f"{name}/labels", **fields) | {"source": [str(folder / "images")]}
    answer = client.post("/v1/jobs", json=spec, headers=headers)
    assert answer.status_code == 201, answer.text
    return MadeByJob(client, answer.json()["id"], folder)
