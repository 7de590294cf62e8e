"""Runs in a store: what they go on from, what they refuse, what they leave."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dap_core.detectors import load_checkpoint, read_checkpoint
from dap_core.errors import CheckpointError, DestinationError, StoreUnavailableError
from dap_core.stores import LocalStore
from dap_core.training.runs import check_kept, claim_place, is_finished, read_metrics
from dap_core.training.samples import LabelSetSamples
from dap_core.training.states import find_state
from tests.training_builders import list_losses, make_run, make_set, read_tensors, replace_recipe, train

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def label_set(tmp_path_factory: pytest.TempPathFactory):
    return make_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def whole(label_set, tmp_path_factory: pytest.TempPathFactory):
    """A run from start to end without a break: its reports, its tensors."""
    run = make_run(label_set)
    reports = train(run, tmp_path_factory.mktemp("whole"))
    return reports, read_tensors(run)


@pytest.mark.parametrize("breaks", [(1,), (3, 2), (7,), (1, 1, 1, 1, 1, 1, 1)])
def test_a_run_stopped_anywhere_goes_on_to_the_same_end(label_set, whole, tmp_path: Path, breaks: tuple[int, ...]):
    parts = [train(make_run(label_set), tmp_path, stop_after=count) for count in breaks]
    run = make_run(label_set)
    parts.append(train(run, tmp_path))
    reports = [report for part in parts for report in part]
    assert [report.step for report in reports] == list(range(8))
    assert list_losses(reports) == list_losses(whole[0])
    assert all(torch.equal(value, whole[1][name]) for name, value in read_tensors(run).items())
    assert list_losses(read_metrics(LocalStore(tmp_path)).reports) == list_losses(whole[0])


class DyingStore(LocalStore):
    """A store that is gone after so many puts, as for a process that was killed."""

    def __init__(self, root: Path, num_puts: int) -> None:
        super().__init__(root)
        self.left = num_puts

    def put(self, key: str, data: bytes | memoryview) -> None:
        if not self.left:
            raise StoreUnavailableError("gone")
        self.left -= 1
        super().put(key, data)


@pytest.mark.parametrize("num_puts", [1, 2, 5, 6, 9, 10, 11])
def test_a_run_killed_at_any_write_repeats_at_most_one_interval(label_set, whole, tmp_path: Path, num_puts: int):
    with pytest.raises(StoreUnavailableError):
        train(make_run(label_set), DyingStore(tmp_path, num_puts), writer="first")
    run = make_run(label_set)
    reports = train(run, tmp_path, writer="second")
    num_states = (num_puts - 1) // 4
    assert reports[0].step == 3 * min(num_states, 2)
    assert list_losses(reports) == list_losses(whole[0])[reports[0].step :]
    assert all(torch.equal(value, whole[1][name]) for name, value in read_tensors(run).items())


def test_a_finished_run_leaves_its_model_and_its_metrics_and_no_states(label_set, whole, tmp_path: Path):
    run = make_run(label_set)
    train(run, tmp_path)
    store = LocalStore(tmp_path)
    names = {info.key for info in store.list_objects()}
    assert names == {"run.json", "metrics.parquet", "checkpoint.json", "model.safetensors"}
    assert is_finished(store)
    detector = load_checkpoint(store, "")
    assert all(torch.equal(value, whole[1][f"network.{name}"]) for name, value in detector.network.state_dict().items())
    description = json.loads(store.get("checkpoint.json"))
    assert description["step"] == 8
    content = LabelSetSamples(label_set).identity
    assert description["parents"] == {"label_set": content, "data": content}
    assert description["recipe"]["augment.short_sides"] == [64, 96]


def test_states_are_kept_while_the_run_is_under_way_the_last_two_of_them(label_set, tmp_path: Path):
    train(make_run(label_set), tmp_path, stop_after=7, save_every=2)
    store = LocalStore(tmp_path)
    commits = sorted(info.key for info in store.list_objects("states/") if info.key.endswith("state.json"))
    assert commits == ["states/000000006-test/state.json", "states/000000007-test/state.json"]
    state = find_state(store)
    assert state is not None
    assert (state.step, len(state.table)) == (7, 7)
    assert not is_finished(store)


@pytest.mark.parametrize("breaks", [(), (2,), (3,), (4,), (2, 2)])
def test_the_model_after_a_kept_step_is_that_of_a_run_of_so_many_steps(label_set, tmp_path: Path, breaks):
    """Whether the run was broken before it, after it, or at it."""
    kept, alone = make_run(label_set), make_run(label_set, replace_recipe(num_steps=3, milestones=()))
    for count in breaks:
        train(kept, tmp_path / "kept", stop_after=count, save_every=2, kept_steps=(3, 8))
        kept = make_run(label_set)
    train(kept, tmp_path / "kept", save_every=2, kept_steps=(3, 8))
    train(alone, tmp_path / "alone")
    found = read_checkpoint(LocalStore(tmp_path / "kept" / "steps" / "3"), "")
    expected = read_checkpoint(LocalStore(tmp_path / "alone"), "")
    assert found.tensors_sha256 == expected.tensors_sha256
    assert (found.step, expected.step) == (3, 3)
    last = read_checkpoint(LocalStore(tmp_path / "kept" / "steps" / "8"), "")
    assert last.tensors_sha256 == read_checkpoint(LocalStore(tmp_path / "kept"), "").tensors_sha256


def test_a_run_past_a_step_that_was_not_kept_says_so(label_set, tmp_path: Path):
    train(make_run(label_set), tmp_path, stop_after=4)
    with pytest.raises(DestinationError, match="is past step 3 and has not kept its model there"):
        train(make_run(label_set), tmp_path, kept_steps=(3,))
    train(make_run(label_set), tmp_path, kept_steps=(5,))
    check_kept(LocalStore(tmp_path), [5])
    with pytest.raises(DestinationError, match="past step 4"):
        check_kept(LocalStore(tmp_path), [5, 4])


def test_a_run_with_other_values_is_refused_with_their_names(label_set, tmp_path: Path):
    train(make_run(label_set), tmp_path, stop_after=1)
    other = make_run(label_set, replace_recipe(lr=0.5, num_steps=9), seed=4)
    with pytest.raises(DestinationError, match=r"lr is 0.5, was 0.02; recipe.num_steps is 9, was 8; seed is 4, was 3;"):
        claim_place(LocalStore(tmp_path), other.describe())


def test_a_place_with_something_else_in_it_is_refused(label_set, tmp_path: Path):
    (tmp_path / "photo.jpg").write_bytes(b"x")
    with pytest.raises(DestinationError, match="holds something else than a training run"):
        claim_place(LocalStore(tmp_path), make_run(label_set).describe())


@pytest.mark.parametrize("name", ["model.safetensors", "momentum.safetensors"])
def test_a_damaged_state_is_an_error_and_not_another_run(label_set, tmp_path: Path, name: str):
    train(make_run(label_set), tmp_path, stop_after=1)
    path = tmp_path / "states" / "000000001-test" / name
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=rf"{name} of .* is damaged; delete its folder"):
        train(make_run(label_set), tmp_path)
