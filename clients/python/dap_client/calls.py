"""What each method of the clients asks, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dap_client.answers import (
    FoundClasses,
    Limits,
    Model,
    make_failed,
    read_answer,
    read_classes,
    read_items,
    read_limits,
    read_models,
)
from dap_client.errors import NoAnswerError, ProblemAnswer, ServiceUnavailable, UnexpectedAnswerError
from dap_client.exchanges import Exchange, Request, exchange
from dap_client.images import EncodedImage, ImageLike, Images, batch_images, encode_image, list_images
from dap_client.parameters import BoxOptions, LabelChoice, Labels, write_params, write_query
from dap_client.results import Result
from dap_client.retrying import RETRIED_STATUSES, RetryPolicy

_BOXES = "/v1/boxes"
_JSON, _PNG, _BYTES = "application/json", "image/png", "application/octet-stream"
_TOO_LARGE, _TOO_LATE = 413, 504
_UNKNOWN_LABEL = "unknown-label"


@dataclass(frozen=True, slots=True)
class _LabelCall:
    """What the requests of one call have in common."""

    choice: LabelChoice
    options: BoxOptions
    policy: RetryPolicy

    def send(self, batch: Sequence[EncodedImage], start: int) -> Exchange[list[Result]]:
        """The results of a batch whose first image is number `start`.

        What is too much at once is sent in halves, so that one image can never spoil the others; too large an image
        alone is its own problem.
        """
        try:
            return (yield from self._send_at_once(batch, start))
        except ProblemAnswer as error:
            is_alone = len(batch) == 1
            if error.status not in (_TOO_LARGE, _TOO_LATE) or (is_alone and error.status == _TOO_LATE):
                raise
            if is_alone:
                return [make_failed(start, batch[0].name, error.problem)]
        half = len(batch) // 2
        first = yield from self.send(batch[:half], start)
        second = yield from self.send(batch[half:], start + half)
        return first + second

    def _send_at_once(self, batch: Sequence[EncodedImage], start: int) -> Exchange[list[Result]]:
        labels = self.choice.of_images(start, start + len(batch))
        retried = RETRIED_STATUSES if len(batch) == 1 else RETRIED_STATUSES - {_TOO_LATE}
        answer = yield from exchange(_make_request(batch, write_params(labels, self.options)), self.policy, retried)
        names = [image.name for image in batch]
        results = read_answer(answer, lambda values: read_items(values, names, start))
        for result in results:
            if self.choice.is_shared and result.problem is not None and result.problem.slug == _UNKNOWN_LABEL:
                result.raise_for_problem()  # it is the call that is wrong, not one of its images
        return results


def label_images(images: Images, labels: Labels, options: BoxOptions, policy: RetryPolicy) -> Exchange[list[Result]]:
    """The results of all images, in order."""
    listed = list_images(images)
    call = _LabelCall(LabelChoice(labels, len(listed)), options, policy)
    results: list[Result] = []
    for batch in batch_images(listed):
        results += yield from call.send(batch, len(results))
    return results


def draw_overlay(image: ImageLike, labels: Labels, options: BoxOptions, policy: RetryPolicy) -> Exchange[bytes]:
    """The PNG that the service draws of an image."""
    request = Request(
        "POST",
        _BOXES,
        headers={"Accept": _PNG, "Content-Type": _BYTES},
        params=write_query(LabelChoice(labels, 1).of_image(0), options),
        content=encode_image(image).data,
    )
    answer = yield from exchange(request, policy)
    kind = answer.headers.get("Content-Type", "nothing")
    if kind != _PNG:
        raise UnexpectedAnswerError(f"a picture ({_PNG}) was asked for, the service at {answer.url.host} sent {kind}")
    return answer.content


def find_classes(search: str, limit: int, policy: RetryPolicy) -> Exchange[FoundClasses]:
    """The classes whose name or wnid holds `search`."""
    answer = yield from exchange(_get("/v1/classes", search=search, limit=str(limit)), policy)
    return read_answer(answer, read_classes)


def list_models(policy: RetryPolicy) -> Exchange[list[Model]]:
    """The models of the service."""
    answer = yield from exchange(_get("/v1/models"), policy)
    return read_answer(answer, read_models)


def get_limits(policy: RetryPolicy) -> Exchange[Limits]:
    """What the service takes."""
    answer = yield from exchange(_get("/v1/limits"), policy)
    return read_answer(answer, read_limits)


def ask_ready() -> Exchange[bool]:
    """Whether the service can label now."""
    try:
        answer = yield from exchange(_get("/readyz"), RetryPolicy(max_retries=0))
    except (ServiceUnavailable, NoAnswerError):
        return False
    return read_answer(answer, lambda values: values["ready"] is True)


def _make_request(batch: Sequence[EncodedImage], params: str) -> Request:
    """The images in a multipart form, by numbers: not every name can be sent, and results are named here."""
    images = [("images", (f"image-{index}", image.data, _BYTES)) for index, image in enumerate(batch)]
    files: list[tuple[str, tuple[Any, ...]]] = [*images, ("params", (None, params.encode(), _JSON))]
    return Request("POST", _BOXES, headers={"Accept": _JSON}, files=files)


def _get(url: str, **params: str) -> Request:
    return Request("GET", url, headers={"Accept": _JSON}, params=tuple(params.items()))
