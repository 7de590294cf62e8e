"""How large a cluster has to be: by hand for round numbers, and the page as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.scaling import ClusterPlan, ImageSet, StageCost, main, make_page, plan_cluster

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"


def test_cores_nodes_rate_and_shards_of_round_numbers():
    images = ImageSet("some", 3_600_000, 100_000)
    plan = plan_cluster(images, 2.0, StageCost("engine", 5.0, "measured"), node_cores=16)
    assert plan == ClusterPlan(cores=100, nodes=7, store_bytes_per_s=50e6, num_shards=3_600)


def test_large_images_make_small_shards():
    plan = plan_cluster(ImageSet("large", 100, 64_000_000), 1.0, StageCost("engine", 5.0, "measured"))
    assert (plan.num_shards, plan.cores, plan.nodes) == (50, 1, 1)


@pytest.mark.parametrize(("num_images", "hours"), [(0, 1.0), (1, 0.0), (1, float("nan"))])
def test_nothing_to_plan_is_refused(num_images: int, hours: float):
    with pytest.raises(ValueError, match=rf"got {num_images} images in {hours} hours"):
        plan_cluster(ImageSet("none", num_images, 1), hours, StageCost("engine", 1.0, "measured"))


def test_the_page_is_what_the_code_says():
    assert PAGE.read_text(encoding="utf-8") == make_page(), "python -m services.scaling > docs/scale.md"


def test_a_target_is_worked_from_the_command_line(capsys: pytest.CaptureFixture[str]):
    assert main(["1000000", "1", "--kilobytes", "50"]) == 0
    printed = capsys.readouterr().out
    assert "| 1 | 54 | 4 | 13.9 MB/s each | 1,000 |" in printed
    with pytest.raises(SystemExit):
        main(["1000000"])
    assert "expected IMAGES and HOURS" in capsys.readouterr().err
