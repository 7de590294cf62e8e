"""Where labels of images come from, and which of them a classifier does not know."""

from __future__ import annotations

import io
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dap_core.class_lists import imagenet_classes
from dap_core.datasets import FolderLabels, PatternLabels, SameLabels, TableLabels, open_source, read_image_folder
from dap_core.datasets.unknown_labels import find_unknown_labels
from dap_core.errors import SourceError
from dap_core.label_sets import PlanRow


def read_csv(text: str) -> dict[str, tuple[str, ...]]:
    return dict(TableLabels.from_bytes(text.encode(), "t.csv").labels_by_key)


def encode_parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def read_parquet(**columns: Any) -> dict[str, tuple[str, ...]]:
    return dict(TableLabels.from_bytes(encode_parquet(**columns), "t.parquet").labels_by_key)


def make_rows(**images_by_label: int) -> list[PlanRow]:
    counts = Counter(images_by_label)
    return [PlanRow(f"{index}.jpg", "", 1, (label,)) for index, label in enumerate(counts.elements())]


def test_folders_and_fixed_labels():
    folders = FolderLabels()
    assert [folders.find_labels(key) for key in ("cat/a/b.jpg", "a.jpg", "/a.jpg")] == [("cat",), (), ()]
    assert SameLabels(("cat", "dog")).find_labels("x") == ("cat", "dog")


@pytest.mark.parametrize(
    ("pattern", "key", "labels"),
    [
        (r"(?P<label>n\d{8})_", "train/n02124075_1.jpg", ("n02124075",)),
        (r"/(?P<label>[^/]+)/[^/]+$", "a/Egyptian cat/1.jpg", ("Egyptian cat",)),
        (r"(?P<label>n\d{8})_", "train/1.jpg", ()),
        (r"^(?P<label>\w+)?-", "-1.jpg", ()),
        (r"^(?P<label>\w*)-", "-1.jpg", ()),
        (r"(?P<label>日本)", "日本/1.jpg", ("日本",)),
    ],
)
def test_a_pattern_finds_the_label_in_the_key(pattern: str, key: str, labels: tuple[str, ...]):
    assert PatternLabels.from_text(pattern).find_labels(key) == labels


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(", "is no regular expression: missing"),
        ("(?<label>x)", r"is no regular expression: .*named group is \(\?P<label>"),
        ("a{99999999999999999999}", "is no regular expression"),
        ("n[0-9]+", "has no group named label"),
        ("(?P<Label>x)", "has no group named label"),
        ("", "has no group named label"),
    ],
)
def test_a_pattern_that_is_none_is_refused(pattern: str, message: str):
    with pytest.raises(SourceError, match=message):
        PatternLabels.from_text(pattern)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("key,label\na.jpg,cat\nb.jpg,\n", {"a.jpg": ("cat",), "b.jpg": ()}),
        ("\ufeffPath , Label\r\n\r\n a.jpg , cat \r\n", {"a.jpg": ("cat",)}),
        ("path,label\na.jpg,cat,dog,\nb.jpg,cat\n", {"a.jpg": ("cat", "dog"), "b.jpg": ("cat",)}),
        ("key,label,label2,label_3\na.jpg,cat,,dog\n", {"a.jpg": ("cat", "dog")}),
        ("id,labels,width,key\n7,cat,640,a.jpg\n", {"a.jpg": ("cat",)}),
        ('key,label\n"a,b.jpg","x ""y"""\n', {"a,b.jpg": ('x "y"',)}),
        ("key,label\na.jpg,cat\na.jpg,cat\n", {"a.jpg": ("cat",)}),
        ("key,label\na.jpg\n", {"a.jpg": ()}),
    ],
    ids=["plain", "spaces", "further cells", "further columns", "other columns", "quotes", "said twice", "short line"],
)
def test_a_csv_table_gives_labels_by_key(text: str, expected: dict[str, tuple[str, ...]]):
    assert read_csv(text) == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "must name its columns .* got nothing"),
        (b"a.jpg,cat\n", "must name its columns .* got 'a.jpg', 'cat'"),
        (b"key;label\n", "got 'key;label'"),
        (b"key,class\na,b\n", "got 'key', 'class'"),
        (b"key,label\n", "has no rows"),
        (b"key,label\na.jpg,cat\n,dog\n", "no key in line 3"),
        (b"key,label\na.jpg,cat\n\na.jpg,dog\n", r"gives 'a.jpg' the labels \['cat'\] and, in line 4, \['dog'\]"),
        (b"\xff\xfe\x00", "neither Parquet nor UTF-8 CSV"),
        (b"PAR1 and nothing more", "no Parquet file that can be read"),
        (encode_parquet(path=["a"]), "must name its columns .* got 'path'"),
        (encode_parquet(path=["a", None], label=["x", "y"]), "no key in row 2"),
        (encode_parquet(key=["a"], label=[1.5]), "must be strings, indices, or lists of them, got double"),
        (encode_parquet(key=["a"], label=[{"x": 1}]), "must be strings"),
        (encode_parquet(key=["a"], label=["x"])[:-20], "no Parquet file that can be read"),
        (encode_parquet(key=pa.array([], pa.string()), label=pa.array([], pa.string())), "has no rows"),
    ],
)
def test_a_table_that_is_none_is_refused_with_the_reason(data: bytes, message: str):
    with pytest.raises(SourceError, match=message) as caught:
        TableLabels.from_bytes(data, "s3://bucket/t")
    assert "s3://bucket/t" in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["cat", None], [("cat",), ()]),
        ([["cat", "dog"], None], [("cat", "dog"), ()]),
        ([[], ["", None, " cat "]], [(), ("cat",)]),
        ([281, 282], [("281",), ("282",)]),
        (pa.array(["cat", "dog"], pa.large_string()), [("cat",), ("dog",)]),
        (pa.array(["cat", "dog"]).dictionary_encode(), [("cat",), ("dog",)]),
        (pa.array([["cat"], []], pa.large_list(pa.string())), [("cat",), ()]),
        ([None, None], [(), ()]),
    ],
    ids=["strings", "lists", "blanks", "indices", "large strings", "dictionary", "large lists", "nothing"],
)
def test_a_parquet_table_gives_labels_by_key(labels: Any, expected: list[tuple[str, ...]]):
    for key, label in (("key", "label"), ("Path", "labels")):
        columns = {key: ["a.jpg", "b/c.jpg"], "width": [1, 2], label: labels}
        assert read_parquet(**columns) == dict(zip(("a.jpg", "b/c.jpg"), expected, strict=True))


def test_rows_of_a_table_without_an_image_are_found():
    table = TableLabels.from_bytes(b"key,label\nz.jpg,cat\na.jpg,cat\nb.jpg,cat\n", "t.csv")
    assert table.find_missing({"a.jpg"}) == ["z.jpg", "b.jpg"]
    assert table.find_labels("c.jpg") == ()


def test_no_image_of_a_folder_is_lost_by_a_rule(tmp_path: Path):
    (tmp_path / "in").mkdir()
    for name in ("in/n01_1.jpg", "odd.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    source = read_image_folder(tmp_path, PatternLabels.from_text(r"(?P<label>n\d+)_"))
    assert [(row.key, row.labels) for row in source.rows] == [("in/n01_1.jpg", ("n01",)), ("odd.jpg", ())]
    assert source.num_skipped == 1


def test_a_rule_is_for_one_folder_and_nothing_beside_it(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    rule = FolderLabels()
    with pytest.raises(SourceError, match="for one folder or bucket of images"):
        open_source([tmp_path / "a.jpg"], rule=rule)
    for labels, chosen in (((), rule), (("cat",), None)):
        with pytest.raises(SourceError, match="leave out --map"):
            open_source([tmp_path], labels, rule=chosen, label_map={"a": "b"})
    with pytest.raises(ValueError, match="exclude each other"):
        open_source([tmp_path], ["cat"], rule=rule)


def test_every_way_to_name_a_class_is_known():
    named = {"n02123045": 1, "tabby": 2, "TABBY": 1, "281": 3, "crane (n02012849)": 1, "auto": 9}
    unknown = find_unknown_labels([*make_rows(**named), PlanRow("none.jpg", "", 1, ())], imagenet_classes())
    assert (unknown.num_labels, unknown.num_images, unknown.num_labelled) == (0, 0, 17)
    assert not unknown.are_too_many


def test_unknown_labels_are_named_with_their_images_and_the_nearest_classes():
    counts = {"tabby": 10, "Egyptian_cat": 4, "crane": 3, "1000": 2, "n02123046": 2, "zzzzzz": 1, "qqqqqq": 1, "": 1}
    unknown = find_unknown_labels(make_rows(**counts), imagenet_classes())
    assert (unknown.num_labels, unknown.num_images, unknown.num_labelled) == (7, 14, 24)
    assert [(one.label, one.num_images) for one in unknown.first] == [
        ("Egyptian_cat", 4),
        ("crane", 3),
        ("1000", 2),
        ("n02123046", 2),
        ("", 1),
    ]
    nearest = {one.label: one.nearest for one in unknown.first}
    assert nearest["Egyptian_cat"][0] == "Egyptian cat"
    assert nearest["crane"] == ("crane (n02012849)", "crane (n03126707)")
    assert "tabby (n02123045)" in nearest["n02123046"]
    assert nearest["1000"] == nearest[""] == ()
    text = unknown.describe()
    assert "14 of 24 labelled images (58.3%)" in text
    assert "'Egyptian_cat' (4 images; nearest: Egyptian cat" in text
    assert "'' (1 image; no class is near) and 2 more" in text
    assert "dap train-classifier --head-only" in text
    assert "--label auto" in text


def test_an_image_counts_once_and_auto_only_stands_alone():
    rows = [PlanRow("a", "", 1, ("x", "y", "x")), PlanRow("b", "", 1, ("auto", "tabby")), PlanRow("c", "", 1, ("x",))]
    unknown = find_unknown_labels(rows, imagenet_classes())
    assert (unknown.num_images, unknown.num_labels) == (3, 3)
    assert {one.label: one.num_images for one in unknown.first} == {"x": 2, "y": 1, "auto": 1}


def test_as_many_unknown_labels_as_images_are_counted_in_seconds():
    rows = [PlanRow(f"{index}", "", 1, (f"photo {index}",)) for index in range(50_000)]
    started = time.monotonic()
    assert find_unknown_labels(rows, imagenet_classes()).num_labels == 50_000
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(("num_known", "too_many"), [(19, False), (18, True)], ids=["5%", "more than 5%"])
def test_more_than_five_percent_are_too_many(num_known: int, too_many: bool):
    rows = [*make_rows(tabby=num_known, unicorn=1), *(PlanRow(f"n{index}", "", 1, ()) for index in range(50))]
    unknown = find_unknown_labels(rows, imagenet_classes())
    assert unknown.are_too_many is too_many
    assert ("are refused" in unknown.describe(), "will fail as unknown-label" in unknown.describe()) == (
        too_many,
        not too_many,
    )
