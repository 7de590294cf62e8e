"""Weights files: what is read, what is refused without running it, and hashes that name weights."""

from __future__ import annotations

import contextlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from dap_core.checkpoints import hash_tensors, load_weights, read_state_dict, rename_in_order
from dap_core.errors import ClassifierError

TENSORS = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([1.0, -1.0])}


def assert_same_tensors(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin"])
def test_a_saved_state_dict_is_read_back(tmp_path, suffix):
    torch.save(TENSORS, tmp_path / f"weights{suffix}")
    assert_same_tensors(read_state_dict(tmp_path / f"weights{suffix}"), TENSORS)


def test_a_safetensors_file_is_read_back(tmp_path):
    save_file(TENSORS, tmp_path / "weights.safetensors")
    assert_same_tensors(read_state_dict(tmp_path / "weights.safetensors"), TENSORS)


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict"])
def test_a_training_checkpoint_is_unwrapped_and_loses_the_prefix_of_data_parallel(tmp_path, wrapper):
    wrapped = {"epoch": 3, wrapper: {f"module.{name}": value for name, value in TENSORS.items()}}
    torch.save(wrapped, tmp_path / "weights.pth")
    assert_same_tensors(read_state_dict(tmp_path / "weights.pth"), TENSORS)


def test_the_prefix_of_data_parallel_is_dropped_from_safetensors_too(tmp_path):
    save_file({f"module.{name}": value for name, value in TENSORS.items()}, tmp_path / "weights.safetensors")
    assert_same_tensors(read_state_dict(tmp_path / "weights.safetensors"), TENSORS)


class Canary:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, legacy):
    path, canary = tmp_path / "weights.pth", tmp_path / "canary"
    torch.save({"a.weight": Canary(canary)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ClassifierError, match="holds more than tensors"):
        read_state_dict(path)
    assert not canary.exists()


def test_the_canary_would_have_shown_a_load_that_runs_code(tmp_path):
    canary = tmp_path / "canary"
    pickle.loads(pickle.dumps(Canary(canary)))
    assert canary.exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ClassifierError, match=r"none\.pth does not exist"):
        read_state_dict(tmp_path / "none.pth")


@pytest.mark.parametrize("name", ["weights.onnx", "weights.pkl", "weights"])
def test_a_file_of_another_kind_is_refused_with_the_kinds_that_are_read(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ClassifierError, match=r"must end in \.safetensors, \.pth, \.pt or \.bin"):
        read_state_dict(tmp_path / name)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>404</html>", b"PK\x03\x04 cut off", b"\x80\x02"])
def test_a_damaged_file_is_refused(tmp_path, suffix, content):
    path = tmp_path / f"weights.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ClassifierError, match=path.name):
        read_state_dict(path)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98])
@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_file_that_ends_early_is_refused(tmp_path, legacy, share):
    path = tmp_path / "weights.pth"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=not legacy)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ClassifierError, match=path.name):
        read_state_dict(path)


@settings(max_examples=150)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path_factory, seed):
    rng, path = np.random.default_rng(seed), tmp_path_factory.mktemp("damaged") / "weights.pth"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=False)
    data = bytearray(path.read_bytes())
    for place in rng.integers(0, len(data), 3):
        data[place] = rng.integers(0, 256)
    path.write_bytes(data)
    with contextlib.suppress(ClassifierError):
        assert all(isinstance(value, Tensor) for value in read_state_dict(path).values())


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {"a": {"b": torch.ones(1)}}, torch.ones(2)], ids=str)
def test_a_file_of_something_else_than_named_tensors_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(ClassifierError, match="holds no dictionary of tensors"):
        read_state_dict(tmp_path / "weights.pth")


def test_a_hash_does_not_depend_on_the_file_the_weights_came_in(tmp_path):
    torch.save(dict(reversed(TENSORS.items())), tmp_path / "weights.pth")
    save_file(TENSORS, tmp_path / "weights.safetensors")
    hashes = {hash_tensors(read_state_dict(tmp_path / f"weights.{suffix}")) for suffix in ("pth", "safetensors")}
    assert hashes == {hash_tensors(TENSORS)}


@pytest.mark.parametrize(
    "other",
    [
        {"b.weight": TENSORS["a.weight"], "a.bias": TENSORS["a.bias"]},
        {**TENSORS, "a.weight": TENSORS["a.weight"].reshape(3, 2)},
        {**TENSORS, "a.weight": TENSORS["a.weight"].double()},
        {**TENSORS, "a.bias": torch.tensor([1.0, -1.0000001])},
        {"a.weight": TENSORS["a.weight"]},
    ],
    ids=["name", "shape", "type", "value", "missing"],
)
def test_a_hash_tells_any_difference(other):
    assert hash_tensors(other) != hash_tensors(TENSORS)


def test_a_hash_takes_scalars_and_transposed_tensors():
    transposed = {"t": torch.arange(6.0).reshape(2, 3).T, "count": torch.tensor(3)}
    assert hash_tensors(transposed) == hash_tensors({name: value.contiguous() for name, value in transposed.items()})


def make_network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2))


def test_weights_are_copied_into_a_network():
    source, target = make_network(), make_network()
    load_weights(target, source.state_dict(), "weights.pth")
    assert_same_tensors(target.state_dict(), source.state_dict())


def test_batch_counters_may_be_missing_as_in_old_files():
    tensors = make_network().state_dict()
    del tensors["1.num_batches_tracked"]
    load_weights(make_network(), tensors, "weights.pth")


def test_what_does_not_fit_is_named():
    tensors = make_network().state_dict()
    tensors["0.bias"] = torch.ones(5)
    tensors["head.weight"] = tensors.pop("1.weight")
    with pytest.raises(ClassifierError) as caught:
        load_weights(make_network(), tensors, "weights.pth")
    for words in ("weights.pth", "1 missing (1.weight)", "1 unknown (head.weight)", "0.bias is [5], expected [2]"):
        assert words in str(caught.value)


def test_weights_under_other_names_are_matched_in_order():
    source, target = make_network(), make_network()
    other_names = {f"layer{index}": value for index, value in enumerate(source.state_dict().values())}
    assert_same_tensors(rename_in_order(target, other_names, "package"), source.state_dict())


def test_weights_in_another_order_are_refused():
    other = dict(reversed(make_network().state_dict().items()))
    with pytest.raises(ClassifierError, match="package does not hold the 7 tensors of the network in its order"):
        rename_in_order(make_network(), other, "package")
