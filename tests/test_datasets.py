"""Sources of images and labels: folders, CSV files, image files."""

from __future__ import annotations

from pathlib import Path

import pytest

from dap_core.datasets import open_source
from dap_core.errors import DestinationError, SourceError


def touch(root: Path, *keys: str) -> Path:
    """Empty files below a root."""
    for key in keys:
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_bytes(b"x")
    return root


def labels_by_key(paths: list[Path], labels: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """What a source lists."""
    return {row.key: row.labels for row in open_source(paths, labels).rows}


def test_a_folder_labels_images_by_their_first_folder(tmp_path: Path) -> None:
    root = touch(tmp_path / "data", "n01/a.JPEG", "n02/deep/er/b.png", "c.webp")
    assert labels_by_key([root]) == {"n01/a.JPEG": ("n01",), "n02/deep/er/b.png": ("n02",), "c.webp": ()}


def test_a_folder_can_be_given_labels(tmp_path: Path) -> None:
    root = touch(tmp_path / "data", "a.jpg", "sub/b.jpg")
    assert labels_by_key([root], ("cat", "dog")) == {"a.jpg": ("cat", "dog"), "sub/b.jpg": ("cat", "dog")}


def test_other_files_of_a_folder_are_skipped_and_counted(tmp_path: Path) -> None:
    root = touch(tmp_path / "data", "n01/a.jpg", "n01/notes.txt", ".DS_Store", "n01/Thumbs.db", "LICENSE")
    source = open_source([root])
    assert ([row.key for row in source.rows], source.num_skipped) == (["n01/a.jpg"], 4)


def test_ugly_names_are_kept_as_they_are(tmp_path: Path) -> None:
    names = ["a b", "100%", "+;&", "日本", "con", "é"]
    root = touch(tmp_path / "data", *(f"{name}/{name}.jpg" for name in names))
    assert sorted(labels_by_key([root]).values()) == sorted((name,) for name in names)


def test_a_csv_file_lists_paths_with_one_or_several_labels(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "in/b.jpg")
    table = tmp_path / "list.csv"
    table.write_bytes("\ufeffpath,label\r\na.jpg,cat\r\n\r\nin/b.jpg, cat ,dog,\r\nin/c.jpg\r\n".encode())
    assert labels_by_key([table]) == {"a.jpg": ("cat",), "in/b.jpg": ("cat", "dog"), "in/c.jpg": ()}


def test_keys_of_absolute_paths_are_relative_to_their_deepest_common_folder(tmp_path: Path) -> None:
    touch(tmp_path, "data/x/a.jpg", "data/y/b.jpg")
    table = tmp_path / "lists" / "list.csv"
    table.parent.mkdir()
    table.write_text(f"{tmp_path}/data/x/a.jpg,cat\n{tmp_path}/data/y/b.jpg,dog\n")
    source = open_source([table])
    assert (source.store.uri, [row.key for row in source.rows]) == (f"{tmp_path}/data", ["x/a.jpg", "y/b.jpg"])


def test_a_csv_may_point_outside_its_own_folder(tmp_path: Path) -> None:
    touch(tmp_path, "images/a.jpg")
    table = tmp_path / "lists" / "list.csv"
    table.parent.mkdir()
    table.write_text("../images/a.jpg,cat\n")
    assert labels_by_key([table]) == {"a.jpg": ("cat",)}


def test_one_file_listed_under_two_spellings_has_one_key(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    table = tmp_path / "list.csv"
    table.write_text("a.jpg,cat\n./a.jpg,dog\n")
    assert [(row.key, row.labels) for row in open_source([table]).rows] == [("a.jpg", ("cat",)), ("a.jpg", ("dog",))]


def test_image_files_share_the_given_labels(tmp_path: Path) -> None:
    touch(tmp_path, "one/a.jpg", "two/a.jpg")
    assert labels_by_key([tmp_path / "one/a.jpg", tmp_path / "two/a.jpg"], ("cat",)) == {
        "one/a.jpg": ("cat",),
        "two/a.jpg": ("cat",),
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "names no image"),
        (b"path,label\n", "names no image"),
        (b"a.jpg,cat\n,dog\n", "line 2: expected path,label"),
        (b"\xff\xfe\x00", "cannot be read as a UTF-8 CSV"),
    ],
    ids=["empty", "header only", "no path", "not UTF-8"],
)
def test_a_broken_csv_is_refused_with_the_reason(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "list.csv").write_bytes(content)
    with pytest.raises(SourceError, match=message):
        open_source([tmp_path / "list.csv"])


def test_sources_that_are_none_are_refused_with_the_reason(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "notes.txt", "list.csv")
    (tmp_path / "empty").mkdir()
    for paths, labels, message in (
        ([tmp_path / "missing"], (), "there is no"),
        ([tmp_path / "empty"], (), "holds no image"),
        ([tmp_path / "a.jpg"], (), "need labels"),
        ([tmp_path / "notes.txt"], ("cat",), "no image file"),
        ([tmp_path / "a.jpg", tmp_path / "empty"], ("cat",), "no image file"),
        ([tmp_path / "list.csv"], ("cat",), "gives its own labels"),
    ):
        with pytest.raises(SourceError, match=message):
            open_source(paths, labels)


def test_a_destination_inside_a_source_folder_is_refused(tmp_path: Path) -> None:
    root = touch(tmp_path / "data", "n01/a.jpg")
    for inside in (root, root / "labels"):
        with pytest.raises(DestinationError, match="lies inside the source"):
            open_source([root], destination=inside)
    open_source([root], destination=tmp_path / "data-labels")
