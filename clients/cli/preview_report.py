"""What labelling a sample has shown, as a value, as JSON and on the terminal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clients.cli.console import print_facts, stderr, stdout
from clients.cli.quantities import format_bytes, format_count, format_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What labelling a sample has shown; of an interrupted one, what was seen until then."""

    sample: int
    """Images that were chosen."""
    images: int
    """Images of the sample that were done, failed or not."""
    ok: int
    boxes: int
    failures_by_type: dict[str, int]
    failure_examples: dict[str, str]
    images_per_s: float | None
    """Rate of the images that were done; None without any."""
    timed_images: int
    """Images the rate is taken from; all when too few remain without the first ones."""
    images_to_label: int
    """Different images of the source that have a label."""
    label_set_bytes: int | None
    """Estimated size of a label set of all images; None when interrupted."""
    page: Path | None
    """The gallery; None when interrupted."""
    label_set: Path | None
    """The label set of the sample, when it was kept."""

    @property
    def is_interrupted(self) -> bool:
        """Whether the sample was left before its page was there."""
        return self.page is None

    @property
    def boxes_per_image(self) -> float | None:
        """Boxes per labelled image; None without any."""
        return self.boxes / self.ok if self.ok else None

    @property
    def eta_s(self) -> float | None:
        """Estimated seconds for all images with one labeler on this machine."""
        return self.images_to_label / self.images_per_s if self.images_per_s else None

    def to_json(self) -> dict[str, Any]:
        """The preview as `--json` shows it."""
        return {
            **asdict(self),
            "boxes_per_image": _round(self.boxes_per_image),
            "images_per_s": _round(self.images_per_s),
            "eta_s": _round(self.eta_s),
            "page": self.page and str(self.page),
            "label_set": self.label_set and str(self.label_set),
            "interrupted": self.is_interrupted,
        }


def print_preview(preview: Preview) -> None:
    """Prints a preview as a table, and an example of each type of failure."""
    print_facts("preview", _list_lines(preview))
    for kind, number in preview.failures_by_type.items():
        stderr.print(f"[red]{number} x {kind}[/], such as ", end="")
        stderr.print(preview.failure_examples[kind], markup=False, soft_wrap=True)
    if preview.page:
        stdout.print(f"look at it:  {preview.page}", soft_wrap=True, markup=False, highlight=False)


def _list_lines(preview: Preview) -> list[tuple[str, str]]:
    done = f"{preview.ok:,} labelled, {preview.images - preview.ok:,} failed"
    left = preview.sample - preview.images
    lines = [("sample", f"{done}, {left:,} not done" if left else done)]
    if preview.boxes_per_image is not None:
        lines.append(("boxes", f"{preview.boxes_per_image:.2f} per image"))
    count = format_count(preview.images_to_label, "image")
    if preview.images_per_s and preview.eta_s:
        start = "once started" if preview.timed_images < preview.images else "start included"
        timed = f"{start}, over {format_count(preview.timed_images, 'image')}"
        lines.append(("speed", f"{preview.images_per_s:.2f} images/s {timed}"))
        lines.append(("ETA", f"{format_duration(preview.eta_s)} for {count} on this machine, one labeler"))
    if preview.label_set_bytes is not None:
        lines.append(("label set", f"about {format_bytes(preview.label_set_bytes)} for {count}"))
    return lines


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
