"""The local directory as a store."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dap_core.errors import ObjectChangedError, ObjectMissingError, StoreError
from dap_core.stores import LocalStore

UGLY_KEYS = ("a b/c%20d.jpg", "+;&=#.png", "ü/日本語.jpg", "line\nbreak.jpg", "quote\"'<i>.jpg", ".hidden")


def test_what_was_put_is_listed_in_order_and_read_back(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "new")
    for index, key in enumerate(UGLY_KEYS):
        store.put(key, bytes([index]))
    assert [info.key for info in store.list_objects()] == sorted(UGLY_KEYS)
    assert [store.get(key) for key in UGLY_KEYS] == [bytes([index]) for index in range(len(UGLY_KEYS))]


def test_listing_is_limited_to_a_prefix(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for key in ("data/1", "data/2", "data2/3", "other"):
        store.put(key, b"")
    assert [info.key for info in store.list_objects("data/")] == ["data/1", "data/2"]
    assert [info.key for info in store.list_objects("data")] == ["data/1", "data/2", "data2/3"]
    assert list(store.list_objects("nothing/")) == []


def test_ranges_end_where_the_object_ends(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("a", b"0123456789")
    assert store.get_range("a", 2, 5) == b"234"
    assert store.get_range("a", 8, 50) == b"89"


def test_a_put_replaces_the_whole_object_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("a", b"a long first version")
    store.put("a", b"short")
    assert store.get("a") == b"short"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_files_of_an_unfinished_put_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / ".tmp-123-abcd").write_bytes(b"half")
    assert list(LocalStore(tmp_path).list_objects()) == []


def test_a_failed_put_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(StoreError, match="taken"):
        LocalStore(tmp_path).put("taken", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_an_overwritten_object_is_told_from_the_listed_one(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.put("a", b"first")
    [info] = store.list_objects()
    assert store.get("a", etag=info.etag) == b"first"
    store.put("a", b"other")
    os.utime(tmp_path / "a", ns=(1, 1))
    with pytest.raises(ObjectChangedError, match="a changed since it was listed"):
        store.get("a", etag=info.etag)


def test_a_missing_object_has_an_error_of_its_own(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for read in (lambda: store.get("no"), lambda: store.get_range("no", 0, 1)):
        with pytest.raises(ObjectMissingError, match="no: No such file"):
            read()
    store.delete("no")


def test_what_is_no_regular_file_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(StoreError, match="not a regular file"):
        LocalStore(tmp_path).get("pipe.jpg")


@pytest.mark.parametrize("key", ["../outside", "a/../../b", "/etc/passwd", ""])
def test_keys_cannot_leave_the_root(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="relative path"):
        LocalStore(tmp_path).put(key, b"x")


def test_a_dangling_link_is_listed_and_fails_when_read(tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to(tmp_path / "nowhere")
    store = LocalStore(tmp_path)
    [info] = store.list_objects()
    with pytest.raises(ObjectMissingError):
        store.get(info.key, etag=info.etag)


def test_a_name_that_is_not_utf8_is_listed_with_escapes(tmp_path: Path) -> None:
    Path(os.fsdecode(bytes(tmp_path) + b"/\xff.jpg")).write_bytes(b"x")
    [info] = LocalStore(tmp_path).list_objects()
    assert info.key == "\\udcff.jpg"


@pytest.mark.parametrize("key", ["x" * 300, "nul\0.jpg", "half\ud800.jpg"], ids=["long", "nul", "surrogate"])
def test_a_name_that_no_file_can_have_fails_when_it_is_read(tmp_path: Path, key: str) -> None:
    info = LocalStore(tmp_path).describe(key)
    assert (info.size, info.etag) == (0, "")
    assert info.key.encode()
    with pytest.raises(StoreError):
        LocalStore(tmp_path).get(key)
