"""A labeler in a child process, one image at a time: for shards on which a process has died before."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from dap_core.errors import DapError, ImageError, StoreError, WorkerCrashError
from dap_core.label_sets.labeling import LabelsStreams
from dap_core.types import FailedImage, LabeledImage

MakeLabeler = Callable[[], LabelsStreams]
Answer = LabeledImage | FailedImage
_END_S = 5.0


@dataclass
class _Child:
    process: BaseProcess
    pipe: Connection

    def close(self) -> None:
        self.pipe.close()
        self.process.join(_END_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


class IsolatedLabeler:
    """Labels like a `PseudoLabeler`; an image on which the child dies or errs is a failure `worker-crash`.

    `make` is called in the child and has to be picklable. A child serves until it dies or this process ends.
    """

    def __init__(self, make: MakeLabeler) -> None:
        self._make = make
        self._child: _Child | None = None

    def label_stream(self, items: Iterable[tuple[Callable[[], bytes], tuple[str, ...]]]) -> Iterator[Answer]:
        """The images of a stream of functions that read them and labels, in order."""
        for read, labels in items:
            try:
                data = read()
            except (ImageError, StoreError) as error:
                yield FailedImage(error)
            else:
                yield self._label(data, labels)

    def _label(self, data: bytes, labels: tuple[str, ...]) -> Answer:
        child = self._child = self._child or self._start()
        try:
            child.pipe.send((data, labels))
            answer: Answer = child.pipe.recv()
        except (EOFError, OSError):
            child.close()
            self._child = None
            how = _describe_end(child.process)
            return FailedImage(
                WorkerCrashError(f"the process that labelled it died ({how}); look at the image by itself")
            )
        return answer

    def _start(self) -> _Child:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_run, args=(self._make, theirs), daemon=True)
        process.start()
        theirs.close()
        child = _Child(process, ours)
        try:
            refusal: DapError | None = ours.recv()
        except (EOFError, OSError):
            child.close()
            raise RuntimeError(f"no labeler starts in a child process ({_describe_end(process)})") from None
        if refusal is not None:
            child.close()
            raise refusal
        return child


def _run(make: MakeLabeler, pipe: Connection) -> None:
    """The child: says None when it is ready, or why it cannot be; then answers until the pipe is closed."""
    try:
        labeler = make()
    except DapError as error:
        pipe.send(error)
        return
    pipe.send(None)
    while True:
        try:
            data, labels = pipe.recv()
        except EOFError:
            return
        pipe.send(_label_one(labeler, data, labels))


def _label_one(labeler: LabelsStreams, data: bytes, labels: tuple[str, ...]) -> Answer:
    try:
        [answer] = labeler.label_stream([(partial(bytes, data), labels)])
    except Exception as error:  # noqa: BLE001 - whatever it is, this image met it
        return FailedImage(WorkerCrashError(f"labelling it failed unexpectedly: {type(error).__name__}: {error}"))
    return answer


def _describe_end(process: BaseProcess) -> str:
    code = process.exitcode or 0
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
