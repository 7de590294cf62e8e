"""Classifiers: which networks are taken, that their two parts reproduce them, and where weights come from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from dap_core.class_lists import imagenet_classes, read_classes
from dap_core.classifiers import Classifier, load_classifier
from dap_core.errors import ClassifierError
from tests.builders import make_classes

TINY = "timm/test_resnet"  # a ResNet of 0.5 M parameters; 1,000 classes


@pytest.fixture
def tiny_network() -> nn.Module:
    return make_network(TINY)


def make_network(name: str, **options: Any) -> nn.Module:
    """A network of timm or torchvision with weights of its own, those of its normalisation included."""
    torch.manual_seed(7)
    library, _, architecture = name.rpartition("/")
    create = timm.create_model if library == "timm" else torchvision.models.get_model
    network = create(architecture, **options).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network


def save(network: nn.Module, path: Path) -> Path:
    torch.save(network.state_dict(), path)
    return path


def compute_logits(classifier: Classifier, images: Tensor) -> Tensor:
    with torch.inference_mode():
        return classifier.backbone(images).mean((2, 3)) @ classifier.weight.T + classifier.bias


@pytest.mark.parametrize("name", ["resnet18", "shufflenet_v2_x0_5", "timm/resnet18", TINY])
def test_backbone_and_linear_layer_reproduce_the_network(name, tmp_path):
    network = make_network(name)
    classifier = load_classifier(name, weights=save(network, tmp_path / "weights.pth"))
    images = torch.randn(2, 3, 128, 160)
    with torch.inference_mode():
        expected = network(images)
    found = compute_logits(classifier, images)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))
    assert expected.std() > 0
    assert classifier.backbone(images).shape[-2:] == (4, 5)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mobilenet_v3_small", "after its last feature map come"),
        ("squeezenet1_1", "it has no linear layer"),
        ("convnext_tiny", "LayerNorm2d"),
        ("timm/vit_tiny_patch16_224", "it takes no image of 224x160"),
        ("timm/test_convnext", "its output differs from the linear layer on the mean of its last feature map"),
        ("timm/test_vit", "its last features have shape [1, 141, 64]"),
        ("timm/mobilenetv3_small_050", "its last features have shape [1, 288, 5, 7], not [B, 1024, h, w]"),
    ],
)
def test_a_network_of_another_form_is_refused_with_the_reason(name, reason):
    with pytest.raises(ClassifierError) as caught:
        load_classifier(name, weights="random")
    assert str(caught.value).startswith(f"{name} does not end in global average pooling and one linear layer: ")
    assert reason in str(caught.value)


@pytest.mark.parametrize("name", ["resnet51", "timm/resnet51", "torchvision/lite0", "foo/resnet18", ""])
def test_an_unknown_network_is_named_with_examples(name):
    with pytest.raises(ClassifierError, match=f"no network '{name}' in torchvision or timm; examples: lite0"):
        load_classifier(name)


def test_random_weights_are_the_same_each_time_and_leave_the_callers_randomness_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first, second = (load_classifier(TINY, weights="random").weights_sha256 for _ in range(2))
    assert first == second
    assert torch.rand(1) == expected


def test_imagenet_classes_are_in_the_order_of_wnids():
    classes = imagenet_classes()
    wnids = [item.wnid for item in classes.classes]
    assert len(wnids) == 1000
    assert wnids == sorted(wnids)
    assert (classes.index_of("n01440764"), classes.index_of("n02124075"), classes.index_of("n07920052")) == (
        0,
        285,
        967,
    )
    assert (classes.index_of("tench"), classes.index_of("Egyptian cat"), classes.index_of("espresso")) == (0, 285, 967)


@pytest.mark.real_data
def test_imagenet_classes_agree_with_another_list(data_dir):
    other = read_classes(data_dir / "imagenet_classes.csv")
    assert [item.wnid for item in other.classes] == [item.wnid for item in imagenet_classes().classes]


def test_the_bundled_classifier_is_complete(lite0):
    assert (lite0.name, len(lite0.classes), tuple(lite0.weight.shape)) == ("lite0", 1000, (1000, 1280))
    assert (lite0.mean, lite0.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert len(lite0.weights_sha256) == 64
    assert not lite0.backbone.training


def save_safetensors(network: nn.Module, path: Path) -> Path:
    save_file(network.state_dict(), path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


@pytest.mark.parametrize("write", [save, save_safetensors])
@pytest.mark.parametrize("num_classes", [1000, 5])
def test_local_weights_of_any_number_of_classes_are_loaded(tmp_path, write, num_classes):
    network = make_network(TINY, num_classes=num_classes)
    classes = None if num_classes == 1000 else make_classes(num_classes)
    classifier = load_classifier(TINY, weights=write(network, tmp_path / "weights.pth"), classes=classes)
    torch.testing.assert_close(classifier.weight, network.get_classifier().weight.detach())
    assert classifier.classes is (classes or imagenet_classes())


def test_weights_of_other_classes_need_a_class_list(tmp_path):
    path = save(make_network(TINY, num_classes=5), tmp_path / "weights.pth")
    with pytest.raises(ClassifierError, match=r"has 5 classes, so they are not ImageNet-1k; give a class list"):
        load_classifier(TINY, weights=path)
    with pytest.raises(ClassifierError, match=r"the class list has 4 classes, timm/test_resnet has 5"):
        load_classifier(TINY, weights=path, classes=make_classes(4))


def test_weights_of_another_network_are_refused_with_what_does_not_fit(tmp_path, tiny_network):
    tensors = tiny_network.state_dict()
    tensors["conv1.0.weight"] = torch.ones(1, 1, 1, 1)
    torch.save(tensors, tmp_path / "weights.pth")
    with pytest.raises(ClassifierError, match=r"1 misshapen \(conv1\.0\.weight is \[1, 1, 1, 1\], expected"):
        load_classifier(TINY, weights=tmp_path / "weights.pth")


@pytest.mark.parametrize(
    ("file_name", "reason"), [("none.pth", "does not exist"), ("none.onnx", "does not exist"), ("none", "no weights")]
)
def test_weights_that_are_not_there_are_named(tmp_path, file_name, reason):
    with pytest.raises(ClassifierError, match=reason):
        load_classifier("resnet18", weights=tmp_path / file_name)


def raise_url_error(*_args: Any, **_options: Any) -> None:
    raise URLError("no network here")


@pytest.fixture
def patch_download(tmp_path, monkeypatch) -> Callable[[Callable[..., None]], None]:
    """Replaces the one function that downloads, and keeps the user's cache of weights out of it."""

    def patch(download: Callable[..., None]) -> None:
        monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
        monkeypatch.setattr(torch.hub, "download_url_to_file", download)

    return patch


def test_weights_that_cannot_be_downloaded_say_what_to_do(patch_download):
    patch_download(raise_url_error)
    with pytest.raises(ClassifierError, match=r"of resnet18 cannot be downloaded \(URLError\).*local \.pth"):
        load_classifier("resnet18")


def test_an_unknown_weights_entry_is_answered_with_the_known_ones():
    with pytest.raises(ClassifierError, match=r"resnet18 has no weights 'V9'; known: IMAGENET1K_V1"):
        load_classifier("resnet18", weights="V9")


def test_an_unknown_weights_tag_of_timm_is_not_ignored():
    with pytest.raises(ClassifierError, match="the published weights of timm/resnet18 cannot be downloaded"):
        load_classifier("timm/resnet18", weights="no_such_tag")


def test_published_weights_load_although_their_names_are_old(patch_download):
    """The published DenseNets call layers `norm.1` and lack the batch counters."""
    network = make_network("densenet121")
    old = {
        name.replace("norm1", "norm.1")
        .replace("norm2", "norm.2")
        .replace("conv1", "conv.1")
        .replace("conv2", "conv.2"): v
        for name, v in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    patch_download(lambda _url, path, *_args, **_options: torch.save(old, path))
    classifier = load_classifier("densenet121", weights="IMAGENET1K_V1")
    torch.testing.assert_close(classifier.weight, network.classifier.weight.detach())
    assert classifier.grid.origin_xy == (14, 14)  # three even pools at strides 4, 8, 16: 2 + 4 + 8
    assert classifier.mean == pytest.approx((0.485, 0.456, 0.406))


def test_a_class_list_is_ordered_by_its_index(tmp_path):
    (tmp_path / "classes.csv").write_text('\ufeffwnid,name,index\nb,second one,1\na,"first, really",0\n', "utf-8")
    classes = read_classes(tmp_path / "classes.csv")
    assert [(item.wnid, item.name) for item in classes.classes] == [("a", "first, really"), ("b", "second one")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "indices 0 to K - 1"),
        ("index,wnid,name\n", "indices 0 to K - 1"),
        ("index,wnid,name\n1,a,b\n2,c,d\n", "indices 0 to K - 1"),
        ("index,wnid,name\n0,a,b\n0,c,d\n", "indices 0 to K - 1"),
        ("index,wnid,name\n0,a,b\n1,a,d\n", "wnid of its own"),
        ("index,wnid\n0,a\n", "columns index,wnid,name"),
        ("index,wnid,name\nzero,a,b\n", "columns index,wnid,name"),
        ("index;wnid;name\n0;a;b\n", "columns index,wnid,name"),
        ("index,wnid,name\n0\n", "a wnid and a name"),
        ("index,wnid,name\n0,a,\n", "a wnid and a name"),
    ],
)
def test_a_class_list_that_is_not_one_is_refused(tmp_path, text, reason):
    (tmp_path / "classes.csv").write_text(text)
    with pytest.raises(ClassifierError, match=reason):
        read_classes(tmp_path / "classes.csv")


def test_a_class_list_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ClassifierError, match=r"none\.csv"):
        read_classes(tmp_path / "none.csv")
