"""Which images a page shows, and reading just those, one at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from dap_core.errors import InputError
from dap_core.label_sets import LabelSet, LabelSetRow
from dap_core.label_sets.schema import batch_to_rows
from dap_core.label_sets.shards import ShardEntry


def spread_positions(num_rows: int, num_images: int) -> list[int]:
    """At most `num_images` different positions among `num_rows`, evenly spread and ascending.

    >>> spread_positions(10, 3), spread_positions(2, 3)
    ([1, 5, 8], [0, 1])

    Raises ValueError when `num_images` is below 1.
    """
    if num_images < 1:
        raise ValueError(f"num_images must be at least 1, got {num_images}")
    count = min(num_rows, num_images)
    return [(2 * index + 1) * num_rows // (2 * count) for index in range(count)]


def describe_spread(label_set: LabelSet, positions: Collection[int]) -> str:
    """How many images of the set these are, in words."""
    num_ok = label_set.manifest.counts.num_ok
    return f"{len(positions)} of {num_ok} images, evenly spread" if len(positions) < num_ok else "All images"


def find_positions(label_set: LabelSet, keys: Sequence[str]) -> list[int]:
    """The stored positions of the images called `keys`, in that order; raises InputError for an unknown one."""
    wanted = set(keys)
    positions = {
        row.key: position for position, row in enumerate(label_set.rows(images=False, cams=False)) if row.key in wanted
    }
    unknown = [key for key in keys if key not in positions]
    if unknown:
        raise InputError(f"{label_set.store.uri} has no labelled image {unknown[0]!r}")
    return [positions[key] for key in keys]


def read_rows(label_set: LabelSet, positions: Collection[int]) -> Iterator[tuple[int, LabelSetRow]]:
    """The rows at `positions` with image and maps, each with its position, in stored order.

    Shards without a wanted row are not opened.
    """
    start = 0
    for entry in label_set.shards:
        inside = sorted(position - start for position in positions if 0 <= position - start < entry.footer.num_ok)
        for offset, row in _read_shard_rows(label_set, entry, inside):
            yield start + offset, row
        start += entry.footer.num_ok


def _read_shard_rows(
    label_set: LabelSet, entry: ShardEntry, offsets: Sequence[int]
) -> Iterator[tuple[int, LabelSetRow]]:
    start = 0
    for batch in label_set.read_batches(entry) if offsets else ():
        for offset in offsets:
            if start <= offset < start + batch.num_rows:
                yield offset, batch_to_rows(batch.slice(offset - start, 1))[0]
        start += batch.num_rows
