"""Lightning's Trainer with StressCallback does what a loop in a block of stress does."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from nni_stress import StressPruner
from tests.unit.pruning.test_own_loop import LAYERS, hooks_of, loss_of, normed, same_state, state_of
from tests.unit.pruning.test_pruner import same_masks

pytorch_lightning = pytest.importorskip("pytorch_lightning")
pytestmark = pytest.mark.filterwarnings("ignore")

from nni_stress.callbacks.lightning import StressCallback  # noqa: E402

IMAGES, LABELS = torch.rand(24, 3, 12, 12), torch.arange(24) % 3


class Module(pytorch_lightning.LightningModule):
    def __init__(self, network, fails_at=None, error=RuntimeError):
        super().__init__()
        self.network = network
        self.other = nn.Linear(1, 1)  # trained by an optimizer of its own
        self.fails_at = fails_at
        self.error = error
        self.automatic_optimization = False

    def training_step(self, batch, index):
        if index == self.fails_at:
            raise self.error
        mine, other = self.optimizers()
        mine.zero_grad()
        self.manual_backward(loss_of(batch, self.network))
        mine.step()
        other.zero_grad()
        self.manual_backward(self.other(torch.ones(1, 1)).sum())
        other.step()

    def configure_optimizers(self):
        self.made = torch.optim.Adam(self.network.parameters(), lr=0.01)
        return [self.made, torch.optim.SGD(self.other.parameters(), lr=0.01)]


class Automatic(Module):
    """Lightning's own way: forward and backward pass in a closure."""

    def __init__(self, network):
        super().__init__(network)
        self.automatic_optimization = True

    def training_step(self, batch, index):
        return loss_of(batch, self.network)

    def configure_optimizers(self):
        self.made = torch.optim.Adam(self.network.parameters(), lr=0.01)
        return self.made


def fit(module, callback, **arguments):
    trainer = pytorch_lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[callback],
        **arguments,
    )
    trainer.fit(module, DataLoader(TensorDataset(IMAGES, LABELS), batch_size=4))


def pruner_of(network):
    return StressPruner(
        network,
        [LAYERS],
        seed=3,
        budget={"macs": 0.4},
        example_input=IMAGES[:2],
        strength="taylor",
        stressor="nested_silence",
        stress_onset=0.2,
    )


def in_a_block(network, accumulated):
    pruner = pruner_of(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    with pruner.stress(optimizer, 12 // accumulated):
        for index in range(12):
            batch = IMAGES[index % 6 * 4 :][:4], LABELS[index % 6 * 4 :][:4]
            (loss_of(batch, network) / accumulated).backward()
            if index % accumulated == accumulated - 1:
                optimizer.step()
                optimizer.zero_grad()
    return pruner


@pytest.mark.parametrize(("kind", "accumulated"), [(Module, 1), (Automatic, 1), (Automatic, 2)])
def test_it_is_bit_for_bit_a_block_of_stress(kind, accumulated):
    torch.manual_seed(0)
    network = normed()
    own = copy.deepcopy(network)
    expected = in_a_block(own, accumulated)
    module = kind(network)
    pruner = pruner_of(network)
    more = {"accumulate_grad_batches": accumulated} if accumulated > 1 else {}
    fit(module, StressCallback(pruner), **more)
    assert same_masks(expected.get_masks(), pruner.get_masks())
    assert same_state(state_of(own), state_of(network))
    assert hooks_of(module.made) == []
    small = pruner.synthesize(IMAGES, module.made)
    assert small is module.network and small[0].out_channels < 8


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_fit_leaves_network_and_optimizer_clean(error):
    network = normed()
    names = list(network.state_dict())
    module, pruner = Module(network, fails_at=3, error=error), pruner_of(network)
    callback = StressCallback(pruner, steps=12)
    with pytest.raises(SystemExit if error is KeyboardInterrupt else error):
        fit(module, callback)
    assert hooks_of(module.made) == []
    assert list(network.state_dict()) == names
    module.fails_at = None
    fit(module, callback)
    assert pruner.synthesize(IMAGES)[0].out_channels < 8


def test_a_trainer_of_another_network_is_refused():
    callback = StressCallback(pruner_of(normed()), steps=12)
    with pytest.raises(ValueError, match="has none of its parameters"):
        fit(Module(normed()), callback)
    with pytest.raises(TypeError, match=r"pruner must be a nni_stress\.StressPruner, but got 7"):
        StressCallback(7)
