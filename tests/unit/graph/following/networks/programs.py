"""Ways to write a network, to call it and to return what it found."""

from dataclasses import dataclass

import torch
from torch import nn

from ..case import IMAGES, VECTORS, Cases, values

CASES = Cases()


class Two(nn.Module):
    """Two linear layers."""

    def __init__(self):
        super().__init__()
        self.one = nn.Linear(5, 8)
        self.two = nn.Linear(8, 3)


@CASES.add(lambda: {"values": torch.randn(2, 5), "scale": torch.rand(2, 1)}, "one: 8")
class Keywords(Two):
    """Called by keywords only, one of which is left out."""

    def forward(self, *, values, scale=None, mask=None):
        hidden = torch.relu(self.one(values))
        if scale is not None:
            hidden = hidden * scale
        if mask is not None:
            hidden = hidden.masked_fill(mask, 0)
        return self.two(hidden)


@CASES.add(VECTORS, "one: 8")
class Mapped(Two):
    def forward(self, values):
        return {"logits": self.two(torch.relu(self.one(values))), "count": len(values)}


@CASES.add(VECTORS, frozen={"one": "output", "two": "output"})
class AllReturned(Two):
    def forward(self, values):
        hidden = self.one(values)
        return [self.two(torch.relu(hidden)), hidden]


@dataclass
class Found:
    """An output."""

    logits: torch.Tensor
    other: torch.Tensor | None = None


@CASES.add(VECTORS, "one: 8")
class Structured(Two):
    def forward(self, values):
        return Found(self.two(torch.relu(self.one(values))))


@CASES.add(VECTORS, "one: 8", name="in_a_string")
def _in_a_string():
    source = """
import torch
class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = torch.nn.Linear(5, 8), torch.nn.Linear(8, 3)
        self.function = lambda values: self.two(torch.relu(self.one(values)))
    def forward(self, values):
        return (lambda values: self.two(torch.relu(self.one(values))))(values)
network = Network()
"""
    names: dict = {}
    exec(source, names)
    del names["network"].function
    return names["network"]


class Scaled(nn.Linear):
    """A subclass of a layer."""

    def forward(self, values):
        return 2 * super().forward(values)


@CASES.add(VECTORS, "0: 8")
def subclassed():
    return nn.Sequential(Scaled(5, 8), nn.ReLU(), Scaled(8, 3))


@CASES.add(values(8), "layer stem: 8")
class Repeated(nn.Module):
    """One layer is called several times."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(8, 8)
        self.layer = nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, values):
        hidden = self.stem(values)
        for _ in range(3):
            hidden = torch.relu(self.layer(hidden))
        return self.head(hidden)


@CASES.add(VECTORS, "one: 8")
class Checkpointed(Two):
    def forward(self, values):
        run = torch.utils.checkpoint.checkpoint
        return self.two(run(lambda v: torch.relu(self.one(v)), values, use_reentrant=False))


@CASES.add(VECTORS, "one: 8")
class Conditional(Two):
    """Asks for a value before it goes on."""

    def forward(self, values):
        hidden = torch.relu(self.one(values))
        if values.sum() > 1e9:
            hidden = hidden * 2
        return self.two(hidden)


@CASES.add(IMAGES, "0: 8", "3: 6")
def dropped():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.Dropout2d(),
        nn.ReLU(),
        nn.Conv2d(8, 6, 1),
        nn.Dropout(),
        nn.Conv2d(6, 3, 1),
    )


@CASES.add(VECTORS, "one: 8")
class StochasticDepth(Two):
    """Random numbers in the shape of the batch."""

    def forward(self, values):
        hidden = torch.relu(self.one(values))
        keep = torch.ones(len(values), 1).bernoulli_(1.0)
        return self.two(hidden * keep + torch.zeros_like(hidden))


@CASES.add(VECTORS, "one: 8")
class Unused(Two):
    """A layer that never runs."""

    def __init__(self):
        super().__init__()
        self.three = nn.Linear(8, 8)

    def forward(self, values):
        return self.two(torch.relu(self.one(values)))


@CASES.add(VECTORS, "one: 8")
class HalfPrecisionInside(Two):
    def forward(self, values):
        hidden = self.one(values).to(torch.float64)
        return self.two(torch.relu(hidden).to(values.dtype))


@CASES.add(VECTORS, "one: 8")
class LookedAt(Two):
    """Statistics that are checked and branched on, but that nothing is computed from."""

    def forward(self, values):
        hidden = torch.relu(self.one(values))
        if torch.isnan(hidden).any() or 0.5 * hidden.mean() > 1e6 or float(hidden.std()) > 1e6:
            hidden = -hidden
        return self.two(hidden)


@CASES.add(VECTORS, frozen={"one": "mean or other statistic over clusters"})
class DividedByItsMean(Two):
    def forward(self, values):
        hidden = torch.relu(self.one(values))
        return self.two(hidden / (1 + hidden.mean()))
