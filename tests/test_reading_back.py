"""The blocks of docs/reading-label-sets.md, run as they are on a label set with an orphan beside its shards."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import duckdb
import pyarrow.parquet as pq
import pytest

from dap_core.label_sets import LabelSet, open_label_set
from dap_core.stores import LocalStore
from tests.mining_builders import make_labeler, make_mined_set, mine_folder, write_colour_folder
from tests.s3_servers import S3Server

PAGE = Path(__file__).parents[1] / "docs" / "reading-label-sets.md"


def read_blocks(language: str) -> list[str]:
    """The code of the page in a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run_blocks(blocks: list[str]) -> dict[str, Any]:
    """What the blocks leave behind, run one after the other as one program."""
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    return names


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a complete label set in `labels`, one of whose objects nothing names."""
    root = tmp_path_factory.mktemp("reading")
    entry = make_mined_set(root).shards[0]
    orphan = re.sub(r"-[0-9a-f]+\.", f"-{'0' * 64}.", entry.data)
    (root / "labels" / orphan).write_bytes((root / "labels" / entry.data).read_bytes())
    return root


@pytest.fixture
def label_set(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabelSet:
    """The label set, from the folder it is in; Hugging Face without a network and with a cache that ends."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    return open_label_set("labels")


def count_boxes(label_set: LabelSet) -> dict[str, int]:
    return {row.key: len(row.boxes) for row in label_set.rows()}


def test_a_pattern_would_read_the_orphan(label_set: LabelSet) -> None:
    num_read = pq.read_table("labels/data", columns=["key"]).num_rows
    assert num_read == len(count_boxes(label_set)) + 2


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_python_blocks_read_each_image_once(label_set: LabelSet, capsys: pytest.CaptureFixture[str]) -> None:
    left = run_blocks(read_blocks("python"))
    expected = count_boxes(label_set)
    assert {key: len(boxes) for key, boxes in zip(left["frame"].key, left["frame"].boxes, strict=True)} == expected
    assert left["table"].num_rows == len(expected)
    assert left["counts"] == [(0, 3), (1, 3)]
    images = left["images"]
    assert {key: len(boxes) for key, boxes in zip(images["key"], images["boxes"], strict=True)} == expected
    sizes = {row.key: row.size_wh for row in label_set.rows()}
    assert {item["key"]: item["image"].size for item in images} == sizes
    assert f"{images[0]['image'].size} {images[0]['boxes']}" in capsys.readouterr().out


def test_the_sql_reads_each_image_once(label_set: LabelSet) -> None:
    [script] = read_blocks("sql")
    with duckdb.connect() as connection:
        prepare, images, boxes = connection.extract_statements(script)
        connection.execute(prepare)
        found = connection.execute(images).fetchall()
        listed = connection.execute(boxes).fetchall()
    rows = {row.key: row for row in label_set.rows()}
    assert found == [(key, *rows[key].size_wh, len(rows[key].boxes)) for key in sorted(rows)]
    assert Counter(key for key, *_ in listed) == count_boxes(label_set)
    for key, name, score, *corners in listed:
        boxes_of_row = rows[key].boxes
        assert name == {"x0": "red", "x1": "blue"}[key.partition("/")[0]]
        assert corners in boxes_of_row.boxes.tolist()
        assert score in boxes_of_row.scores.tolist()


def test_the_sql_finds_the_shards_of_every_segment(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    mine_folder(make_labeler(), write_colour_folder(tmp_path / "images"), LocalStore(tmp_path / "labels"))
    manifest = tmp_path / "labels" / "manifest.json"
    values = json.loads(manifest.read_text())
    [segment] = values["segments"]
    first, *rest = segment["shards"]
    manifest.write_text(json.dumps({**values, "segments": [{**segment, "shards": [first]}, {"shards": rest}]}))
    monkeypatch.chdir(tmp_path)
    [script] = read_blocks("sql")
    with duckdb.connect() as connection:
        prepare, images, _ = connection.extract_statements(script)
        connection.execute(prepare)
        assert len(connection.execute(images).fetchall()) == 6


@pytest.mark.e2e
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_blocks_of_buckets_read_each_image_once(
    label_set: LabelSet, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    store = server.make_store("animals")
    for item in label_set.store.list_objects():
        store.put(item.key, label_set.store.get(item.key))
    blocks = [block.replace("s3://photos-labels/animals", store.uri) for block in read_blocks("python s3")]
    left = run_blocks(blocks)
    assert left["num_boxes"] == sorted(count_boxes(label_set).items())
