"""The images of an export: copied, turned upright where EXIF says so, or linked."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from dap_core.exports.options import ImageHandling
from dap_core.images import decode_image, encode_jpeg
from dap_core.label_sets import LabelSet, LabelSetRow
from dap_core.label_sets.schema import batch_to_rows
from dap_core.stores import LocalStore


class ImageFiles:
    """Where the images of a label set come from in one export; counts those that are not what they were."""

    def __init__(self, label_set: LabelSet, handling: ImageHandling) -> None:
        self._label_set = label_set
        self._handling = handling
        source = label_set.source
        self._source = source if isinstance(source, LocalStore) else None
        self.num_rotated = 0
        self.num_copied_instead = 0

    def rows(self) -> Iterator[LabelSetRow]:
        """All rows of the label set, with the stored images only where they will be needed."""
        if self._handling != "link" or not self._label_set.manifest.settings.embed_images:
            yield from self._label_set.rows(images=self._handling == "copy", cams=False)
            return
        for entry in self._label_set.shards:
            light = [
                row
                for batch in self._label_set.read_batches(entry, images=False, cams=False)
                for row in batch_to_rows(batch)
            ]
            if all(self._can_link(row) for row in light):
                yield from light
                continue
            for batch in self._label_set.read_batches(entry, cams=False):
                yield from batch_to_rows(batch)

    def fetch(self, row: LabelSetRow) -> bytes | Path | None:
        """The bytes of the upright image, the source file to link to, or None when no images are wanted.

        Raises StoreError when an image is needed but gone or changed since it was labelled.
        """
        rotated = row.exif_orientation != 1
        self.num_rotated += rotated
        if self._handling == "none":
            return None
        if self._handling == "link":
            if self._source is not None and self._can_link(row):
                return self._source.root / row.key
            self.num_copied_instead += 1
        data = self._label_set.read_image(row)
        return encode_upright(data) if rotated else data

    def write(self, row: LabelSetRow, path: Path) -> None:
        """Writes the image of a row, or a symbolic link to it, to `path`."""
        found = self.fetch(row)
        if found is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(found, Path):
            path.symlink_to(found)
        else:
            path.write_bytes(found)

    def _can_link(self, row: LabelSetRow) -> bool:
        """Whether the source file is upright and still the one that was labelled."""
        if self._source is None or row.exif_orientation != 1 or not row.etag:
            return False
        return self._source.describe(row.key).etag == row.etag


def encode_upright(data: bytes) -> bytes:
    """The image turned upright, as JPEG for a JPEG and else as PNG whatever its name; no metadata."""
    pixels = decode_image(data).pixels
    if data.startswith(b"\xff\xd8"):
        return encode_jpeg(pixels, quality=95)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()
