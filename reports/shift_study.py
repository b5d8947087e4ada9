"""Should a removed cluster's constant be folded into the next layer's bias, or be dead?

    python -m reports.shift_study            # three minutes; writes the record
    python -m reports.shift_study --table    # what is recorded

Behind a batch norm, an output channel whose weights are zero is still a constant: the ReLU of the
norm's shift. Synthesis may drop it, or add what the next layer makes of it to that layer's bias.
For each seed a network trains on Fashion-MNIST, loses the same share of the channels of every
layer, the smallest by L1 norm, and is tested both ways before any further training.
"""

from __future__ import annotations

import argparse
import copy
import statistics
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from nni_stress.trials.data import Split, accuracy, load_images
from torch import nn
from torch.nn import functional

from nni_stress import StressPruner
from nni_stress.utils.atomic_files import read_json, write_json

from .checkout import RESULTS, commit
from .environment import environment

RESULT = RESULTS / "shift_study.json"
SEEDS = range(1, 7)
RATIOS = (0.2, 0.4, 0.6)
_IMAGES = 10_000
_EPOCHS = 2


class Residual(nn.Module):
    """Two residual blocks between a stem and a head, with batch norms."""

    def __init__(self, width: int = 24):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width))
        self.blocks = nn.ModuleList(_block(width) for _ in range(2))
        self.last = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, 2, 1, bias=False), nn.BatchNorm2d(2 * width)
        )
        self.head = nn.Linear(2 * width, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Class scores of images of shape (batch, 1, height, width)."""
        features = torch.relu(self.stem(images))
        for block in self.blocks:
            features = torch.relu(features + block(features))
        return self.head(torch.relu(self.last(features)).mean((2, 3)))


def _block(width: int) -> nn.Sequential:
    convolutions = [nn.Conv2d(width, width, 3, 1, 1, bias=False) for _ in range(2)]
    first, second = convolutions
    return nn.Sequential(first, nn.BatchNorm2d(width), nn.ReLU(), second, nn.BatchNorm2d(width))


def study(seed: int) -> dict[str, Any]:
    """Accuracies on test images of one seed: of the whole network, and for each ratio."""
    torch.manual_seed(seed)
    data = load_images("fashion-mnist")
    founder = _trained(Residual(), data.train, seed)
    found: dict[str, Any] = {"whole": accuracy(founder, data.test)}
    example = data.train.images[:2]
    for ratio in RATIOS:
        config = [{"op_types": ["Conv2d"], "sparse_ratio": ratio}]
        pruner = StressPruner(copy.deepcopy(founder), config, temperature=0, example_input=example)
        _, masks = pruner.compress()
        found[str(ratio)] = {
            "dead": accuracy(pruner.synthesize(example), data.test),
            "folded": accuracy(_without_weights(founder, masks), data.test),
        }
    return found


def _trained(network: nn.Module, data: Split, seed: int) -> nn.Module:
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(_EPOCHS):
        for batch in torch.randperm(_IMAGES, generator=generator).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(network(data.images[batch]), data.labels[batch]).backward()
            optimizer.step()
    return network.eval()


def _without_weights(founder: nn.Module, masks: dict[str, dict[str, Any]]) -> nn.Module:
    """A copy whose removed channels have no weights, but still send their norm's shift on."""
    network = copy.deepcopy(founder)
    with torch.no_grad():
        for layer, targets in masks.items():
            network.get_submodule(layer).weight.mul_(targets["weight"])
    return network


class Row(NamedTuple):
    """What became of a ratio: mean accuracies, and the seeds for which dropping is ahead."""

    ratio: float
    dead: float
    folded: float
    ahead: int


def rows(record: dict[str, Any]) -> Iterator[Row]:
    """A row for each ratio of a record."""
    for ratio in RATIOS:
        pairs = [run[str(ratio)] for run in record["seeds"].values()]
        dead, folded = (statistics.mean(p[way] for p in pairs) for way in ("dead", "folded"))
        yield Row(ratio, dead, folded, sum(p["dead"] > p["folded"] for p in pairs))


def whole(record: dict[str, Any]) -> float:
    """Mean accuracy of the whole networks of a record."""
    return statistics.mean(run["whole"] for run in record["seeds"].values())


def main(arguments: list[str] | None = None) -> None:
    """Run ``python -m reports.shift_study``."""
    parser = argparse.ArgumentParser(prog="python -m reports.shift_study", description=__doc__)
    parser.add_argument("--table", action="store_true", help="print what is recorded")
    if not parser.parse_args(arguments).table:
        torch.set_num_threads(1)
        seeds = {str(seed): study(seed) for seed in SEEDS}
        settings = {**environment(), "commit": commit(), "threads": "1"}
        write_json(RESULT, {"environment": settings, "seeds": seeds})
    record = read_json(RESULT)
    print(f"whole network: {100 * whole(record):.1f}")
    for row in rows(record):
        print(
            f"ratio {row.ratio:g}: dead {100 * row.dead:.1f}, folded {100 * row.folded:.1f}; "
            f"dead ahead for {row.ahead} of {len(record['seeds'])} seeds"
        )


if __name__ == "__main__":
    main()
