"""NNI's own pruners, tracer and speedup work on real networks once NNI is patched.

NNI's tracer reads the source of networks, so they are defined in files.
"""

import copy
import dis
import logging
import subprocess
import sys
import types
from typing import ClassVar

import nni
import pytest
import torch
import torchvision
from nni.common.concrete_trace_utils import concrete_proxy, concrete_trace, concrete_tracer
from nni.compression.pruning import L1NormPruner, LevelPruner, TaylorPruner
from nni.compression.speedup import ModelSpeedup, model_speedup
from nni.compression.utils import LightningEvaluator
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import nni_stress  # noqa: F401, patches NNI
from nni_stress.nni_compat import bytecode, evaluators, patches, speedup, tracer

HALF_OF_CONVOLUTIONS = [{"op_types": ["Conv2d"], "sparse_ratio": 0.5}]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine, threads that wait for each other are slow
    yield
    torch.set_num_threads(threads)


class Branching(nn.Module):
    """A small LeNet whose forward branches on, loops on, and splits traced values."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.norm = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.drop = nn.Dropout(0.5)
        self.linear = nn.Linear(16 * 5 * 5, 10)

    def forward(self, x):
        x = torch.max_pool2d(self.norm(self.conv1(x)).relu(), 2)
        if x.mean() > 1e6 and x.sum() > 0:
            x = -x
        x = torch.max_pool2d(self.conv2(x).relu(), 2)
        while x.dim() > 2:
            x = x.flatten(-2)
        first, second = self.drop(x).chunk(2, dim=1)
        if not first.mean() > 1e6:
            x = torch.cat([first, second], dim=1)
        return self.linear(x)


def _small_alexnet():
    model = torchvision.models.AlexNet()
    model.classifier = nn.Linear(256 * 6 * 6, 10)
    return model


def _speed_up(model, size, configs=HALF_OF_CONVOLUTIONS):
    """Prune and speed up `model`; return it with the masked original."""
    _, masks = (pruner := L1NormPruner(model, configs)).compress()
    pruner.unwrap_model()
    masked = copy.deepcopy(model).eval()
    model_speedup = ModelSpeedup(model, torch.rand(size), masks, logger=logging.getLogger("quiet"))
    # speedup_model does it first: layers whose outputs are added must keep the same channels.
    model_speedup.fix_mask_conflict()
    for name, mask in model_speedup.masks.items():
        for parameter, ones in mask.items():
            if ones is not None:
                getattr(masked.get_submodule(name), parameter).data.mul_(ones)
    return model_speedup.speedup_model(), masked


def _size(model):
    return sum(parameter.numel() for parameter in model.parameters())


def _modes(model):
    return {name: module.training for name, module in model.named_modules()}


@pytest.mark.parametrize(
    ("network", "size"),
    [
        (Branching, (2, 1, 28, 28)),
        (_small_alexnet, (1, 3, 64, 64)),
        (lambda: torchvision.models.resnet18(num_classes=10), (1, 3, 32, 32)),
        # Its stochastic depth branches on `training`.
        (lambda: torchvision.models.efficientnet_b0(num_classes=10), (1, 3, 32, 32)),
    ],
    ids=["lenet", "alexnet", "resnet18", "efficientnet_b0"],
)
def test_a_sped_up_network_computes_what_the_masked_one_does(network, size):
    torch.manual_seed(0)
    small, masked = _speed_up(network().eval(), size)
    x = torch.randn(4, *size[1:])
    with torch.no_grad():
        expected = masked(x)
        error = (small(x) - expected).norm() / expected.norm()
    assert error < 1e-4
    assert _size(small) < 0.9 * _size(masked)
    assert not any(_modes(small).values())


def test_speedup_keeps_the_mode_of_every_module_and_the_batch_statistics():
    torch.manual_seed(0)
    model = Branching().train()
    model.norm.eval()
    modes = _modes(model)
    small, _ = _speed_up(model, (2, 1, 28, 28))
    assert _modes(small) == modes

    model = Branching().train()
    small, _masked = _speed_up(model, (2, 1, 28, 28))
    assert all(_modes(small).values())
    assert small.norm.num_batches_tracked == 0 and small.norm.running_mean.eq(0).all()


def test_a_module_that_speedup_adds_gets_its_parents_mode():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2))).train()
    model[1].eval()
    with speedup._modes_kept(model):
        model[0] = nn.Sequential(nn.Linear(2, 2).eval())
        model[1].append(nn.Linear(2, 2))
    assert _modes(model) == {
        "": True,
        "0": True,
        "0.0": True,
        "1": False,
        "1.0": False,
        "1.1": False,
    }


def test_the_tracer_follows_branches_on_traced_values():
    model, x = Branching().eval(), torch.rand(2, 1, 28, 28)
    traced = concrete_trace(model, (x,))
    assert torch.equal(traced(x), model(x))
    called = [node.target for node in traced.graph.nodes]
    assert called.count("flatten") == 2 and "conv2" in called


def test_the_tracer_drops_unused_results():
    class Wasteful(nn.Module):
        def forward(self, x):
            x.exp()
            return x.sin()

    traced = concrete_trace(Wasteful(), (torch.rand(2),))
    assert [node.target for node in traced.graph.nodes if node.op == "call_method"] == ["sin"]


def _instruction(opname, offset):
    return types.SimpleNamespace(opname=opname, offset=offset)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (
            # Python 3.11, which may show caches.
            [("COMPARE_OP", 0), ("CACHE", 2), ("CACHE", 4), ("POP_JUMP_FORWARD_IF_FALSE", 6)],
            ["COMPARE_OP"] + 3 * ["POP_JUMP_FORWARD_IF_FALSE"],
        ),
        (
            [("CALL", 0), ("EXTENDED_ARG", 8), ("POP_JUMP_IF_TRUE", 10)],
            4 * ["CALL"] + 2 * ["POP_JUMP_IF_TRUE"],
        ),
        ([("COMPARE_OP", 0), ("POP_JUMP_IF_FALSE", 4)], ["COMPARE_OP"] + 2 * ["POP_JUMP_IF_FALSE"]),
        (
            # Python 3.13.
            [("TO_BOOL", 0), ("EXTENDED_ARG", 8), ("POP_JUMP_IF_FALSE", 10), ("POP_TOP", 14)],
            7 * ["POP_JUMP_IF_FALSE"] + ["POP_TOP"],
        ),
        (
            [("TO_BOOL", 0), ("UNARY_NOT", 8), ("STORE_FAST", 10)],
            5 * ["UNARY_NOT"] + ["STORE_FAST"],
        ),
        (
            [("GET_ITER", 0), ("EXTENDED_ARG", 2), ("FOR_ITER", 4), ("STORE_FAST", 8)],
            ["GET_ITER"] + 3 * ["FOR_ITER"] + ["STORE_FAST"],
        ),
    ],
    ids=["3.11", "far jump", "3.12", "3.13", "3.13 not", "for"],
)
def test_each_code_unit_shows_the_instruction_that_nni_looks_for(code, expected):
    instructions = [_instruction(*each) for each in code]
    by_unit = bytecode._by_code_unit(instructions, len(expected))
    assert [instruction.opname for instruction in by_unit] == expected


def test_code_units_of_this_python():
    def function(x):
        return [print(x)] if x > 1 else len(x)

    units = bytecode._instructions_by_code_unit(function.__code__)
    assert len(units) == len(function.__code__.co_code) // 2 and None not in units
    for instruction in dis.get_instructions(function):
        if instruction.opname not in ("CACHE", "EXTENDED_ARG", "TO_BOOL"):
            assert units[instruction.offset // 2] == instruction


@pytest.fixture
def lightning():
    return pytest.importorskip("pytorch_lightning")


def _lightning_evaluator(lightning, tmp_path):
    class Lenet(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = Branching()
            self.steps = 0

        def forward(self, x):
            return self.net(x)

        def training_step(self, batch, _):
            self.steps += 1
            return nn.functional.cross_entropy(self(batch[0]), batch[1])

        def configure_optimizers(self):
            return nni.trace(torch.optim.SGD)(self.parameters(), lr=0.01)

    class Noise(lightning.LightningDataModule):
        def train_dataloader(self):
            return DataLoader(
                TensorDataset(torch.rand(40, 1, 28, 28), torch.arange(40) % 10), batch_size=4
            )

    trainer = nni.trace(lightning.Trainer)(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    return Lenet(), LightningEvaluator(trainer, nni.trace(Noise)())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("steps", [3, 13])
def test_lightning_trains_for_as_many_steps_as_a_pruner_asks(lightning, tmp_path, steps):
    model, evaluator = _lightning_evaluator(lightning, tmp_path)
    evaluator._init_optimizer_helpers(model)
    evaluator.bind_model(model)
    evaluator.train(max_steps=steps)
    assert model.steps == steps


@pytest.mark.filterwarnings("ignore")
def test_taylor_pruner_works_with_lightning(lightning, tmp_path):
    torch.manual_seed(0)
    model, evaluator = _lightning_evaluator(lightning, tmp_path)
    _, masks = TaylorPruner(model, HALF_OF_CONVOLUTIONS, evaluator, training_steps=3).compress()
    assert model.steps == 3
    assert {name: int(mask["bias"].sum()) for name, mask in masks.items()} == {
        "net.conv1": 3,
        "net.conv2": 8,
    }
    assert all(mask["weight"].mean() == 0.5 for mask in masks.values())


def _patched_attributes():
    tracer = concrete_tracer.ConcreteTracer
    return (
        len(tracer.default_autowrap_leaf_function),
        tracer.trace,
        concrete_tracer.node_is_impure_wrapper,
        concrete_proxy.dis,
        concrete_proxy.ConcreteProxy.jump_opcodes,
        ModelSpeedup.__init__,
        ModelSpeedup.speedup_model,
        ModelSpeedup.indirect_backward,
    )


def test_installing_and_patching_again_change_nothing():
    before = _patched_attributes()
    patches.install()
    tracer.patch_tensor_functions(concrete_tracer)
    tracer.patch_purity(concrete_tracer)
    bytecode.patch_bytecode(concrete_proxy)
    speedup.patch_several_outputs(model_speedup)
    assert _patched_attributes() == before


def test_a_healthy_nni_is_left_alone():
    class Tracer:
        default_autowrap_leaf_function: ClassVar = {torch.Tensor._make_subclass: ([], False, None)}

        def trace(self, function):
            return function.__qualname__.startswith(("_TensorBase", "TensorBase"))

    class Proxy:
        def __init__(self, node, value, tracer):
            self.value = value

        def __bool__(self):
            return self.value

    class FitLoop:
        max_steps = property(lambda self: 1, lambda self, value: None)

    purity = torch.fx.Node.is_impure
    steps = FitLoop.max_steps
    healthy = types.SimpleNamespace(
        ConcreteTracer=Tracer,
        Node=torch.fx.Node,
        node_is_impure_wrapper=purity,
        ConcreteProxy=Proxy,
        dis=dis,
        LIGHTNING_INSTALLED=True,
        pl=types.SimpleNamespace(loops=types.SimpleNamespace(FitLoop=FitLoop)),
    )
    tracer.patch_tensor_functions(healthy)
    tracer.patch_purity(healthy)
    bytecode.patch_bytecode(healthy)
    evaluators.patch_lightning_steps(healthy)
    assert len(Tracer.default_autowrap_leaf_function) == 1
    assert healthy.node_is_impure_wrapper is purity
    assert healthy.dis is dis and not hasattr(Proxy, "jump_opcodes")
    assert FitLoop.max_steps is steps


def test_an_unknown_nni_can_still_be_imported(caplog):
    stranger = types.ModuleType("nni.stranger")
    patches._apply(bytecode.patch_bytecode, stranger)
    assert "nni.stranger needs patch_bytecode" in caplog.text


def _python(code, *options):
    return subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, check=True
    )


def test_the_package_imports_nothing_heavy():
    loaded = _python("import sys, nni_stress; print(*sys.modules)").stdout.split()
    assert "nni_stress.nni_compat.patches" in loaded
    assert not {"torch", "nni", "nni.compression", "pytorch_lightning"} & set(loaded)


@pytest.mark.slow
def test_nni_imports_without_warnings_about_itself():
    compression = "import nni_stress; import nni.compression.speedup"
    assert _python(compression, "-W", "error::FutureWarning").stderr == ""
    nnictl = "import nni_stress; import nni.tools.nnictl.nnictl"
    shown = "always:pkg_resources is deprecated as an API"  # some setuptools hide it by default
    assert _python(nnictl, "-W", shown).stderr == ""


@pytest.mark.slow
def test_an_nni_that_was_imported_earlier_is_patched_too():
    _python(
        "import nni.compression.speedup, torch\n"
        "from nni.common.concrete_trace_utils import concrete_trace\n"
        "import nni_stress\n"
        "concrete_trace(torch.nn.ReLU(), (torch.rand(2),))"
    )


class PoolsWithoutStride(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3)
        self.head = nn.Linear(6 * 9, 3)

    def forward(self, images):
        return self.head(nn.functional.max_pool2d(torch.relu(self.conv(images)), 2).flatten(1))


def test_functions_that_write_generics_are_traced():
    """max_pool2d without a stride writes `list[int]`, while NNI has replaced `list`."""
    graph = concrete_trace(PoolsWithoutStride().eval(), (torch.rand(2, 1, 8, 8),))
    assert "max_pool2d" in graph.code


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(8, 16, batch_first=True)
        self.hidden = nn.Linear(16, 24)
        self.head = nn.Linear(24, 4)

    def forward(self, words):
        states, _ = self.lstm(words)
        return self.head(torch.relu(self.hidden(states[:, -1])))


def test_a_layer_behind_an_lstm_is_sped_up():
    """NNI runs backward through the LSTM once for each output."""
    torch.manual_seed(0)
    small, masked = _speed_up(
        Recurrent().eval(), (4, 7, 8), [{"op_names": ["hidden"], "sparse_ratio": 0.5}]
    )
    words = torch.rand(4, 7, 8)
    assert small.hidden.out_features == 12 and torch.allclose(
        small(words), masked(words), atol=1e-6
    )


def test_nnictl_waits_for_a_manager_that_starts_slowly(port):
    """It answers after six seconds, as on a busy machine; NNI waits three."""
    import http.server
    import threading
    import time

    from nni.experiment import launcher

    class Manager(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"status": "RUNNING"}')

        def log_message(self, *arguments):
            """Log nothing."""

    def serve():
        time.sleep(6)
        with http.server.HTTPServer(("127.0.0.1", port), Manager) as server:
            server.handle_request()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    launcher._check_rest_server(port)
    thread.join(timeout=5)
    assert not thread.is_alive()


class BoxAndScore(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Conv2d(1, 8, 3)
        self.head = nn.Linear(8 * 36, 5)

    def forward(self, images):
        found = self.head(torch.relu(self.body(images)).flatten(1))
        return torch.cat([found[:, :4], torch.sigmoid(found[:, 4:])], 1)


def test_a_detectors_head_keeps_its_score():
    """NNI does not take the score for an activation, and removes it from the head."""
    torch.manual_seed(0)
    small, masked = _speed_up(
        BoxAndScore().eval(), (4, 1, 8, 8), [{"op_names": ["body"], "sparse_ratio": 0.5}]
    )
    images = torch.rand(4, 1, 8, 8)
    assert small.body.out_channels == 4 and small.head.out_features == 5
    assert torch.allclose(small(images), masked(images), atol=1e-6)


@pytest.mark.parametrize(
    "rule",
    [
        {"sparse_ratio": 0.7},
        {"sparse_ratio": 0.7, "global_group_id": "all"},
        {"sparse_threshold": 0.01},
    ],
)
def test_weights_in_channels_last_format_are_ranked_as_others_are(rule):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3))
    last = copy.deepcopy(network).to(memory_format=torch.channels_last)
    config = [{"op_types": ["Conv2d"], **rule}]
    _, expected = LevelPruner(network, config).compress()
    _, found = LevelPruner(last, config).compress()
    assert found.keys() == expected.keys()
    for name, targets in expected.items():
        assert 0 < targets["weight"].mean() < 1 and torch.equal(
            found[name]["weight"], targets["weight"]
        )
