"""torchvision's networks: pruned to half, saved, loaded and exported."""

import pytest
import torch
import torchvision

import nni_stress
from nni_stress import StressPruner
from nni_stress.graph import cost
from nni_stress.graph.following.reference import difference

SIZES = {  # of images; as small as each accepts
    "mobilenet_v2": 64,
    "mobilenet_v3_small": 64,
    "shufflenet_v2_x1_0": 64,
    "squeezenet1_1": 64,
    "mnasnet0_5": 64,
    "efficientnet_b0": 64,
    "resnet18": 64,
    "resnext50_32x4d": 64,
    "regnet_y_400mf": 64,
    "densenet121": 64,
    "googlenet": 64,
    "inception_v3": 75,
    "convnext_tiny": 64,
    "swin_t": 64,
    "vit_b_16": 64,
}
OPTIONS = {
    "googlenet": {"init_weights": False, "aux_logits": False},
    "inception_v3": {"init_weights": False, "aux_logits": False},
    "vit_b_16": {"image_size": 64},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SIZES)
def test_half_of_a_network_is_saved_loaded_and_exported(name, tmp_path):
    def make() -> torch.nn.Module:
        return torchvision.models.get_model(name, **OPTIONS.get(name, {})).eval()

    torch.manual_seed(0)
    network, images = make(), torch.rand(2, 3, SIZES[name], SIZES[name])
    macs = cost.macs(network, images)
    pruner = StressPruner(
        network,
        [{"op_types": ["Linear", "Conv2d"]}],
        budget={"macs": 0.5},
        example_input=images,
    )
    model, _ = pruner.compress()
    with torch.no_grad():
        expected = model(images)
    small = pruner.synthesize(images)
    assert 0.45 < cost.macs(small, images) / macs < 0.515
    with torch.no_grad():
        output = small(images)
        assert difference(expected, output) < 1e-4
        nni_stress.save(small, tmp_path / "network.safetensors")
        again = nni_stress.load(tmp_path / "network.safetensors", make)
        assert difference(output, again(images)) < 1e-6
    assert str(again) == str(small)

    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    try:
        nni_stress.export_onnx(make(), tmp_path / "whole.onnx", images)
    except Exception as error:
        pytest.skip(f"torch cannot export the whole network: {type(error).__name__}")
    nni_stress.export_onnx(small, tmp_path / "small.onnx", images)
