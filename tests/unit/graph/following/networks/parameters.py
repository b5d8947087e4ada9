"""Parameters that no layer of torch holds."""

import torch
from torch import nn
from torch.nn import functional

from ..case import IMAGES, VECTORS, Cases, values
from .moves import Between

CASES = Cases()


@CASES.add(IMAGES, "hidden patches: 8", "wide: 10")
class VisionTransformerStem(nn.Module):
    """Positions, a class token and the scale of a layer."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 2, stride=2)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.positions = nn.Parameter(torch.randn(1, 10, 8))
        self.scale = nn.Parameter(torch.randn(8))
        self.wide, self.hidden = nn.Linear(8, 10), nn.Linear(10, 8)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, images):
        patches = self.patches(images).flatten(2).transpose(1, 2)
        token = self.token.expand(len(images), -1, -1)
        stream = torch.cat([token, patches], 1) + self.positions
        hidden = self.hidden(functional.gelu(self.wide(self.norm(stream))))
        return self.head((stream + hidden * self.scale)[:, 0])


@CASES.add(VECTORS, "(first): 8", "(second): 6")
class Functional(nn.Module):
    """Functional layers with parameters of their own."""

    def __init__(self):
        super().__init__()
        self.first = nn.Parameter(torch.randn(8, 5))
        self.second = nn.Parameter(torch.randn(8, 6))
        self.offset = nn.Parameter(torch.randn(6))
        self.head = nn.Linear(6, 3)

    def forward(self, values):
        features = torch.relu(functional.linear(values, self.first))
        return self.head(torch.relu(torch.addmm(self.offset, features, self.second)))


@CASES.add(IMAGES, "(kernel): 8", "next: 6")
class FunctionalConv(Between):
    def __init__(self):
        super().__init__()
        self.stem = nn.Identity()
        self.kernel = nn.Parameter(torch.randn(8, 3, 3, 3))
        self.bias = nn.Parameter(torch.randn(8))

    def between(self, images):
        return torch.relu(functional.conv2d(images, self.kernel, self.bias, padding=1))


@CASES.add(IMAGES, "next: 6", "stem: 8")
class ScaleAndShift(Between):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(8, 1, 1))
        self.shift = nn.Parameter(torch.randn(1, 8, 1, 1))
        self.all = nn.Parameter(torch.randn(1))

    def between(self, features):
        return (features * self.scale + self.shift) * self.all


@CASES.add(IMAGES, "next: 6", "stem: 8")
class Buffered(Between):
    """A buffer for each channel."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.randn(8))

    def between(self, features):
        return features - self.mean[:, None, None]


@CASES.add(IMAGES, "next: 6", frozen={"stem": "constant"})
class Constant(Between):
    """A tensor for each channel that is neither parameter nor buffer."""

    def __init__(self):
        super().__init__()
        self.offsets = torch.randn(8, 1, 1)

    def between(self, features):
        return features + self.offsets


_EXPERTS = [f"experts.{index}.0: 6" for index in range(3)]
_MIXED = "experts.0.2 experts.1.2 experts.2.2: 8"


@CASES.add(values(4, 5), *_EXPERTS, _MIXED, "stem: 8")
class Experts(nn.Module):
    """A mixture, each expert of which shrinks by itself."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(5, 8)
        self.gate = nn.Linear(8, 3)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 8)) for _ in range(3)
        )
        self.head = nn.Linear(8, 3)

    def forward(self, values):
        features = torch.relu(self.stem(values))
        weights = self.gate(features).softmax(-1)
        mixed = sum(w[..., None] * e(features) for w, e in zip(weights.unbind(-1), self.experts))
        return self.head(mixed)


@CASES.add(values(20, 5), *_EXPERTS, _MIXED, "stem: 8")
class RoutedExperts(Experts):
    """Each example goes to its best expert."""

    def forward(self, values):
        features = torch.relu(self.stem(values))
        chosen = self.gate(features).argmax(-1)
        mixed = torch.zeros(*features.shape[:-1], self.head.in_features)
        for index, expert in enumerate(self.experts):
            where = chosen == index
            mixed[where] = expert(features[where])
        return self.head(mixed)


@CASES.add(values(20, 5), *_EXPERTS, _MIXED, "stem: 8")
class AddedExperts(Experts):
    """As transformers': what experts find is added at indices, for all tokens of a batch."""

    def forward(self, values):
        features = torch.relu(self.stem(values)).flatten(0, 1)
        chosen = self.gate(features).argmax(-1)
        mixed = torch.zeros((len(features), self.head.in_features), dtype=features.dtype)
        for index, expert in enumerate(self.experts):
            where = (chosen == index).nonzero()[:, 0]
            mixed.index_add_(0, where, expert(features[where]))
        return self.head(mixed.view(*values.shape[:2], -1))


@CASES.add(values(20, 5), "inner: 6", "stem: 8")
class Scattered(nn.Module):
    """As graph networks: messages are added up at their targets."""

    def __init__(self):
        super().__init__()
        self.stem, self.inner, self.head = nn.Linear(5, 8), nn.Linear(8, 6), nn.Linear(6, 3)

    def forward(self, values):
        messages = self.inner(torch.relu(self.stem(values)))
        targets = torch.arange(20).remainder(4)[None, :, None].expand_as(messages)
        sums = messages.new_zeros(len(values), 4, messages.shape[-1])
        return self.head(sums.scatter_add(1, targets, messages).relu())


@CASES.add(values(20, 5), _EXPERTS[0], _EXPERTS[2], frozen={"stem": "nothing is left"})
class UnusedExpert(RoutedExperts):
    """What an expert does that no example goes to is not known."""

    def __init__(self):
        super().__init__()
        nn.init.constant_(self.gate.bias, 0)
        self.gate.bias.data[1] = -1e3


@CASES.add(values(4, 5), "(inner): 6", "(outer): 8", "stem: 8")
class StackedExperts(nn.Module):
    """The weights of all experts in one tensor."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(5, 8)
        self.gate = nn.Linear(8, 3)
        self.inner = nn.Parameter(torch.randn(3, 8, 6))
        self.outer = nn.Parameter(torch.randn(3, 6, 8))
        self.head = nn.Linear(8, 3)

    def forward(self, values):
        features = torch.relu(self.stem(values))
        hidden = (features[:, None] @ self.inner).relu()
        weights = self.gate(features).softmax(-1).transpose(1, 2)
        return self.head((weights[..., None] * (hidden @ self.outer)).sum(1))


@CASES.add(VECTORS, "stem: 8")
class FlatWeights(nn.Module):
    """All weights lie behind each other in one storage, as those of recurrent layers on a GPU."""

    def __init__(self):
        super().__init__()
        self.stem, self.head = nn.Linear(5, 8), nn.Linear(8, 3)
        flat = nn.utils.parameters_to_vector(self.parameters()).detach()
        nn.utils.vector_to_parameters(flat, self.parameters())

    def forward(self, values):
        return self.head(self.stem(values).relu())


@CASES.add(VECTORS, "stem: 4")
class SlicedBias(nn.Module):
    """A layer's bias is put together from its halves."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(5, 8)
        self.head = nn.Linear(8, 3)
        self.half = 4

    def forward(self, values):
        bias = torch.cat([self.stem.bias[: self.half], self.stem.bias[self.half :]])
        return self.head(torch.relu(nn.functional.linear(values, self.stem.weight, bias)))
