"""`dap plan`, and the label options it shares with `dap mine`, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dap_core.label_sets import open_label_set
from services.storage import open_store
from tests.builders import encode_image, make_scene
from tests.s3_servers import S3Server
from tests.test_cli_mine import FAST, run

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
PATTERN = r"(?P<label>n\d{8}|unicorn)_"


def write_flat(folder: Path, num_known: int = 3, num_unknown: int = 0) -> Path:
    """A folder whose labels are in the names of its images."""
    picture = encode_image(make_scene((160, 120), (30, 30, 90, 90), (200, 150, 100)))
    names = [f"n02124075_{index}.png" for index in range(num_known)]
    names += [f"unicorn_{index}.png" for index in range(num_unknown)]
    (folder / "in").mkdir(parents=True)
    for name in names:
        (folder / "in" / name).write_bytes(picture)
    (folder / "odd.png").write_bytes(picture)
    (folder / "notes.txt").write_text("no picture")
    return folder


def write_folders(folder: Path, **images_by_label: int) -> Path:
    """An ImageNet-style folder of tiny files that are never read."""
    for label, number in images_by_label.items():
        (folder / label).mkdir(parents=True)
        for index in range(number):
            (folder / label / f"{index}.jpg").write_bytes(b"12345")
    return folder


def plan_json(*arguments: object) -> dict[str, object]:
    result = run("plan", *arguments, "--json")
    assert result.exit_code == 0, result.output
    values: dict[str, object] = json.loads(result.stdout)
    return values


def test_a_plan_shows_what_is_there_and_writes_nothing(tmp_path: Path):
    photos = write_folders(tmp_path / "photos", espresso=4, tench=30, cup=3, goldfish=2, tabby=1, hotdog=1, zebra=1)
    (photos / "notes.txt").write_text("x")
    before = sorted(tmp_path.rglob("*"))
    result = run("plan", photos)
    assert (result.exit_code, result.stderr) == (0, "")
    for line in ("42 (210 bytes) in 1 shard", "30  tench", " 4  espresso", "and 2 more", "1 other file"):
        assert line in result.stdout
    assert plan_json(photos) == {
        "source": str(photos),
        "images": 42,
        "bytes": 210,
        "shards": 1,
        "labels": 7,
        "top_labels": [
            {"label": name, "images": number}
            for name, number in (("tench", 30), ("espresso", 4), ("cup", 3), ("goldfish", 2), ("hotdog", 1))
        ],
        "without_label": 0,
        "duplicates": 0,
        "skipped_files": 1,
        "unknown_labels": {"labels": 0, "images": 0, "first": []},
        "warnings": [],
        "refusal": None,
        "preview": None,
    }
    assert sorted(tmp_path.rglob("*")) == before


def test_a_plan_counts_what_is_listed_twice_and_the_shards(tmp_path: Path):
    photos = write_folders(tmp_path / "photos", cup=1100)
    assert plan_json(photos)["shards"] == 2
    (tmp_path / "list.csv").write_text("photos/cup/0.jpg,cup\n./photos/cup/0.jpg,espresso\nphotos/cup/1.jpg\n")
    values = plan_json(tmp_path / "list.csv")
    assert (values["images"], values["duplicates"], values["without_label"]) == (3, 1, 1)
    assert [str(one).partition(",")[0] for one in values["warnings"]] == [
        "no label for 1 of 3 images",
        "1 of 3 images listed again; they will fail as duplicate-key",
    ]


def test_labels_no_class_of_the_list_are_refused_by_plan_and_by_mine(tmp_path: Path):
    photos = write_folders(tmp_path / "photos", tench=17, Egyptian_cat=2)
    planned = run("plan", photos)
    assert planned.exit_code == 2
    assert "2  Egyptian_cat; nearest: Egyptian cat" in planned.stdout
    assert "error: dap mine refuses this: 2 of 19 labelled images (10.5%)" in planned.stderr
    as_json = run("plan", photos, "--json")
    assert (as_json.exit_code, "refuses" in json.loads(as_json.stdout)["refusal"]) == (2, True)
    mined = run("mine", photos, "--out", tmp_path / "labels", *FAST)
    assert mined.exit_code == 2
    [line] = mined.stderr.strip().splitlines()
    for part in ("'Egyptian_cat' (2 images; nearest: Egyptian cat", "train-classifier --head-only", "--label auto"):
        assert part in line
    assert not (tmp_path / "labels").exists()
    assert plan_json(photos, "--label", "auto")["refusal"] is None


def test_a_few_unknown_labels_are_warned_of_and_fail_one_by_one(tmp_path: Path):
    photos = write_flat(tmp_path / "photos", 20, 1)
    planned = run("plan", photos, "--label-pattern", PATTERN)
    assert planned.exit_code == 0
    assert "1 of 21 labelled images (4.8%)" in planned.stderr
    result = run("mine", photos, "--label-pattern", PATTERN, "--out", tmp_path / "labels", *FAST)
    assert result.exit_code == 3, result.output
    assert "warning: 1 of 21 labelled images (4.8%)" in result.stderr
    failures = {one.key: one.error_type for one in open_label_set(tmp_path / "labels").failures()}
    assert failures == {"in/unicorn_0.png": "unknown-label", "odd.png": "no-label"}


def test_a_plan_asks_the_classes_of_the_classifier_that_is_given(tmp_path: Path):
    photos = write_folders(tmp_path / "photos", unicorn=1)
    lines = [f"{index},x{index},{'unicorn' if index == 7 else f'thing {index}'}" for index in range(1000)]
    (tmp_path / "classes.csv").write_text("\n".join(["index,wnid,name", *lines]))
    assert plan_json(photos, "--classes", tmp_path / "classes.csv")["refusal"] is None


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_labels_of_a_folder_come_from_a_table(tmp_path: Path, suffix: str):
    photos, table = write_flat(tmp_path / "photos"), tmp_path / f"table.{suffix}"
    keys = ["in/n02124075_0.png", "in/n02124075_1.png", "in/gone.png"]
    if suffix == "csv":
        table.write_text("key,label\n" + "".join(f"{key},espresso,cup\n" for key in keys))
    else:
        pq.write_table(pa.table({"path": keys, "labels": [["espresso", "cup"]] * 3}), table)
    values = plan_json(photos, "--label-table", table)
    assert (values["images"], values["without_label"], values["labels"]) == (4, 2, 2)
    result = run("mine", photos, "--label-table", table, "--out", tmp_path / "labels", *FAST)
    assert result.exit_code == 3, result.output
    assert f"for 1 of 3 keys of {table}, such as 'in/gone.png'" in result.stderr
    labels = open_label_set(tmp_path / "labels")
    assert {row.key: row.labels for row in labels.rows()} == dict.fromkeys(keys[:2], (967, 968))
    assert {one.error_type for one in labels.failures()} == {"no-label"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--label", "cup", "--label-pattern", PATTERN], "--label and --label-pattern exclude each other"),
        (
            ["--label-pattern", PATTERN, "--label-table", "t.csv"],
            "--label-pattern and --label-table exclude",
        ),
        (["--label", "cup", "--label-table", "t.csv"], "--label and --label-table exclude each other"),
        (["--label-pattern", "("], "'(' is no regular expression"),
        (["--label-pattern", ""], "has no group named label"),
        (["--label-table", "t.csv"], "t.csv cannot be read: No such file"),
        (["--label-table", "."], "cannot be read: Is a directory"),
        (["--label-table", ""], "cannot be read"),
        (["--label-table", "s3://bucket"], "expected a local file or s3://bucket/key"),
        (["--label-table", "ftp://host/t.csv"], "a store is s3://bucket/prefix or a local directory"),
        (["--label-pattern", PATTERN, "--map", "a=b"], "leave out --map"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("command", ["plan", "mine"])
def test_a_bad_label_option_is_one_clear_line(tmp_path: Path, command: str, arguments: list[str], message: str):
    photos = write_flat(tmp_path / "photos")
    out = ["--out", tmp_path / "labels"] if command == "mine" else []
    result = run(command, photos, *out, *arguments)
    assert (result.exit_code, len(result.stderr.strip().splitlines())) == (2, 1), result.output
    assert message in result.stderr
    assert not (tmp_path / "labels").exists()


@pytest.mark.e2e
def test_labels_of_a_bucket_come_from_patterns_and_tables(
    server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    photos = server.make_store("photos")
    folder = write_flat(tmp_path / "photos")
    for path in (path for path in folder.rglob("*") if path.is_file()):
        photos.put(path.relative_to(folder).as_posix(), path.read_bytes())
    values = plan_json(photos.uri, "--label-pattern", PATTERN)
    assert (values["source"], values["images"], values["skipped_files"]) == (photos.uri, 4, 1)
    assert values["top_labels"] == [{"label": "n02124075", "images": 3}]
    open_store(f"s3://{photos.bucket}").put("tables/t.csv", b"key,label\nodd.png,cup\nin/n02124075_2.png,cup\nx,cup\n")
    table, labels = f"s3://{photos.bucket}/tables/t.csv", f"s3://{photos.bucket}/labels"
    assert run("plan", photos.uri, "--label-table", f"{table}2").exit_code == 2
    result = run("mine", photos.uri, "--label-table", table, "--out", labels, *FAST)
    assert (result.exit_code, "for 1 of 3 keys of" in result.stderr) == (3, True), result.output
    found = open_label_set(open_store(labels))
    assert {row.key: row.labels for row in found.rows()} == {"odd.png": (968,), "in/n02124075_2.png": (968,)}
    assert {one.error_type for one in found.failures()} == {"no-label"}
