"""`dap plan --preview`: a random sample labelled for real, its page, and what the whole source would take."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from clients.cli.console import image_progress, stderr
from clients.cli.preview_report import Preview

if TYPE_CHECKING:
    from dap_core.datasets import Source
    from dap_core.label_sets import Failure, LabelSetRow, Manifest, PlanRow
    from dap_core.label_sets.settings import LabelingSettings
    from dap_core.label_sets.tally import Tally
    from dap_core.labeler import PseudoLabeler
    from dap_core.stores import Store

_SEED = 0
_LEAST_TIMED = 8
_MOST_SHOWN = 500
_TEMPORARY, _LABELS, _PAGE = "dap-preview-", "labels", "preview.html"


def check_preview_folder(folder: Path) -> None:
    """Raises DestinationError unless `folder` is new or empty, and outside any label set."""
    from dap_core.errors import DestinationError

    path = folder.resolve()
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise DestinationError(f"{folder} is there already; a preview goes to a new or empty folder")
    label_set = next((one for one in path.parents if (one / "manifest.json").exists()), None)
    if label_set:
        raise DestinationError(f"{folder} lies inside the label set {label_set}; give a folder outside")


def run_preview(
    labeler: PseudoLabeler,
    source: Source,
    *,
    num_images: int,
    out: Path | None,
    embed_images: bool = True,
    store_cams: bool = True,
) -> Preview:
    """Labels a sample of a source and writes its page; Ctrl-C ends it early with what was seen.

    The page goes to the folder `out`, the label set of the sample beside it; or alone to a new temporary folder.
    Raises SourceError when no image has a label, StoreError when the source fails.
    """
    from dap_core.label_sets.labeling import make_settings
    from dap_core.label_sets.tally import Tally

    labelled = find_labelled(source.rows)
    settings = make_settings(labeler, source.store, embed_images=embed_images, store_cams=store_cams)
    sample = [source.rows[position] for position in draw_sample(labelled, num_images)]
    stream, manifest, page = _Stream(Tally()), None, None
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY) as scratch, _ending_on_interrupt():
        place = Path(scratch) / _LABELS
        manifest = _label_sample(labeler, source.store, sample, settings, place, stream)
        page = _write_page(place, out)
        if out:
            shutil.move(place, out / _LABELS)
    rate, num_timed = measure_rate(stream.seconds, labeler.num_lanes * labeler.engine.window)
    return Preview(
        sample=len(sample),
        images=len(stream.seconds),
        ok=stream.tally.num_ok,
        boxes=stream.num_boxes,
        failures_by_type=dict(stream.tally.failures),
        failure_examples=stream.tally.examples,
        images_per_s=rate,
        timed_images=num_timed,
        images_to_label=len(labelled),
        label_set_bytes=_estimate_bytes(manifest, len(labelled)) if manifest else None,
        page=page,
        label_set=page.with_name(_LABELS) if page and out else None,
    )


def find_labelled(rows: Sequence[PlanRow]) -> list[int]:
    """Positions of the images that have a label; of one that is listed again the first counts. Raises SourceError."""
    from dap_core.errors import SourceError

    keys: set[str] = set()
    positions = []
    for position, row in enumerate(rows):
        if row.labels and row.key not in keys:
            positions.append(position)
        keys.add(row.key)
    if not positions:
        raise SourceError(f"a preview needs images that have a label, got {len(rows):,} without; see dap plan --help")
    return positions


def draw_sample(positions: Sequence[int], num_images: int) -> list[int]:
    """At most `num_images` of the positions at random, in order; equal positions give an equal sample."""
    import numpy as np

    count = min(num_images, len(positions))
    return sorted(np.random.default_rng(_SEED).choice(positions, count, replace=False).tolist())


def measure_rate(seconds: Sequence[float], num_first: int) -> tuple[float | None, int]:
    """Images per second, and of how many: those after the first ones, or all when fewer than 8 are left.

    `seconds` says of each image when it was done, ascending from the start. None for the rate without any image.

    >>> measure_rate([5.0, 5.0, *(5.5 + index / 2 for index in range(10))], num_first=2)
    (2.0, 10)
    >>> measure_rate([1.0, 2.0], num_first=2), measure_rate([], num_first=2)
    ((1.0, 2), (None, 0))
    """
    if not seconds:
        return None, 0
    num_timed, start = len(seconds), 0.0
    if len(seconds) - num_first >= _LEAST_TIMED and seconds[-1] > seconds[num_first - 1]:
        num_timed, start = len(seconds) - num_first, seconds[num_first - 1]
    return num_timed / (seconds[-1] - start), num_timed


@dataclass
class _Stream:
    """The images of a sample as they are done."""

    tally: Tally
    started: float = 0.0
    num_boxes: int = 0
    seconds: list[float] = field(default_factory=list)
    """When each image was done, since the start."""

    def add(self, item: LabelSetRow | Failure) -> None:
        self.seconds.append(time.perf_counter() - self.started)
        self.tally.add(item)
        self.num_boxes += len(getattr(item, "boxes", ()))


@contextmanager
def _ending_on_interrupt() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        stderr.print("interrupted")


def _label_sample(
    labeler: PseudoLabeler,
    source: Store,
    sample: Sequence[PlanRow],
    settings: LabelingSettings,
    place: Path,
    stream: _Stream,
) -> Manifest:
    from dap_core.label_sets import LabelSetRow
    from dap_core.label_sets.labeling import ShardLabeler
    from dap_core.label_sets.plan import assign_shards, freeze_plan
    from dap_core.label_sets.runner import run_plan, start_label_set
    from dap_core.stores import LocalStore

    store = LocalStore(place)
    planned = start_label_set(store, *freeze_plan(assign_shards(sample), settings))
    with image_progress("labelling a sample", len(sample)) as advance:

        def on_image(item: LabelSetRow | Failure) -> None:
            stream.add(item)
            advance(1, int(not isinstance(item, LabelSetRow)))

        stream.started = time.perf_counter()
        return run_plan(store, planned, ShardLabeler(labeler, source, store, settings, on_image))


def _write_page(place: Path, out: Path | None) -> Path:
    """The page of the label set at `place`, written to a folder."""
    from dap_core.gallery import render_gallery
    from dap_core.stores import LocalStore
    from services.places import open_label_set_at

    with stderr.status("drawing the page"):
        html = render_gallery(open_label_set_at(str(place)), num_images=_MOST_SHOWN)
    folder = out or Path(tempfile.mkdtemp(prefix=_TEMPORARY))
    LocalStore(folder).put(_PAGE, html.encode("utf-8", "xmlcharrefreplace"))
    return (folder / _PAGE).absolute()


def _estimate_bytes(manifest: Manifest, num_images: int) -> int:
    stored = sum(entry.size for segment in manifest.segments for entry in segment.shards)
    return round(stored / manifest.counts.num_planned * num_images)
