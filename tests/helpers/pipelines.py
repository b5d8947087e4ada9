"""Helpers for tests of StressPruner together with other parts of NNI."""

import nni
import torch
from nni.compression.utils.evaluator import TorchEvaluator
from torch.nn import functional


def kept(masks, name):
    return int(masks[name]["weight"].flatten(1).any(1).sum())


def alive(masks):
    return {
        name: targets["weight"].flatten(1).any(1)
        for name, targets in masks.items()
        if targets.get("weight") is not None
    }


def named(masks):
    return {
        (m, t): mask
        for m, targets in masks.items()
        for t, mask in targets.items()
        if mask is not None
    }


def random_batch():
    return torch.rand(4, 1, 28, 28), torch.randint(10, (4,))


def loss_of(batch, model):
    device = next(model.parameters()).device
    return functional.cross_entropy(model(batch[0].to(device)), batch[1].to(device))


def training_on(draw):
    """A training function, for a single optimizer or a list of them."""

    def training(
        wrapped, optimizers, training_step, lr_schedulers=None, max_steps=None, max_epochs=None
    ):
        several = optimizers if isinstance(optimizers, list) else [optimizers]
        for _ in range(max_steps):
            for optimizer in several:
                optimizer.zero_grad()
            training_step(draw(), wrapped).backward()
            for optimizer in several:
                optimizer.step()

    return training


def plain_evaluator(model, lr=0.01, draw=random_batch):
    return TorchEvaluator(
        training_on(draw), nni.trace(torch.optim.SGD)(model.parameters(), lr=lr), loss_of
    )
