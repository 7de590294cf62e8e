"""Which truth belongs to which image: by the whole key, else by the end of the path."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath


def match_keys(keys: Sequence[str], truth_keys: Sequence[str]) -> tuple[dict[str, str], list[str], list[str]]:
    """Truth key -> key, by the whole key, else the file name, else its stem; and unmatched and ambiguous truth keys.

    A name counts only where the folders of one side are the last folders of the other, so that `koala/1.jpg` is never
    `wallaby/1.jpg`, and when one key alone has it. A truth key given twice is ambiguous, and so are several that lead
    to one key, but for the key itself.
    """
    by_key, by_name, by_stem = (_index_by(keys, part) for part in (str, _name, _stem))
    matches: dict[str, str] = {}
    unmatched: list[str] = []
    ambiguous: list[str] = []
    for truth_key, times in Counter(truth_keys).items():
        candidates = (
            by_key.get(truth_key)
            or _keep_related(by_name.get(_name(truth_key), ()), truth_key)
            or _keep_related(by_stem.get(_stem(truth_key), ()), truth_key)
        )
        if len(candidates) == times == 1:
            matches[truth_key] = candidates[0]
        else:
            (ambiguous if candidates else unmatched).append(truth_key)
    led = Counter(matches.values())
    shared = [truth_key for truth_key, key in matches.items() if led[key] > 1 and truth_key != key]
    for truth_key in shared:
        del matches[truth_key]
    return matches, unmatched, ambiguous + shared


def _index_by(keys: Sequence[str], part: Callable[[str], str]) -> dict[str, list[str]]:
    index: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        index[part(key)].append(key)
    return index


def _name(key: str) -> str:
    return PurePosixPath(key).name


def _stem(key: str) -> str:
    return PurePosixPath(key).stem


def _keep_related(keys: Sequence[str], truth_key: str) -> list[str]:
    return [key for key in keys if _end_alike(_list_folders(key), _list_folders(truth_key))]


def _list_folders(key: str) -> tuple[str, ...]:
    """The folders of a key, without a leading slash."""
    return PurePosixPath(key.lstrip("/")).parent.parts


def _end_alike(ours: tuple[str, ...], theirs: tuple[str, ...]) -> bool:
    """Whether one is the end of the other."""
    shorter = min(len(ours), len(theirs))
    return shorter == 0 or ours[-shorter:] == theirs[-shorter:]
