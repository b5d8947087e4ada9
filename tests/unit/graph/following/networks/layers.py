"""Linear layers, convolutions and embeddings."""

import torch
from torch import nn
from torch.nn.utils import parametrizations

from ..case import IMAGES, VECTORS, Cases, Pooled, values, words

CASES = Cases()


@CASES.add(VECTORS, "0: 8", "2: 6")
def linear():
    return nn.Sequential(
        nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 6, bias=False), nn.Tanh(), nn.Linear(6, 3)
    )


@CASES.add(values(4, 5), "0: 8")
def linear_over_sequences():
    return nn.Sequential(nn.Linear(5, 8), nn.Sigmoid(), nn.Linear(8, 3))


CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


def _conv(layer):
    return Pooled(layer(3, 8, 3), nn.ReLU(), layer(8, 6, 2, stride=2, padding=1), outputs=6)


def _grouped(layer):
    return Pooled(layer(3, 8, 1), nn.ReLU(), layer(8, 12, 3, padding=1, groups=4), outputs=12)


def _depthwise(layer):
    return Pooled(
        layer(3, 8, 1), nn.ReLU(), layer(8, 16, 3, padding=1, groups=8), layer(16, 6, 1), outputs=6
    )


for _dims in (1, 2, 3):
    _images = values(3, *[6] * _dims)
    for _kind, _layer in (("conv", CONVOLUTIONS[_dims]), ("transposed", TRANSPOSED[_dims])):

        def _enter(make, kind, *groups, layer=_layer, images=_images, dims=_dims):
            CASES.add(images, *groups, name=f"{kind}{dims}d")(lambda: make(layer))

        _enter(_conv, _kind, "body.0: 8", "body.2: 6")
        if _kind == "conv":
            _enter(_grouped, "grouped_conv", "body.0: 8 in 4", "body.2: 12 in 4")
            _enter(_depthwise, "depthwise_conv", "body.0 body.2: 8", "body.3: 6")
        else:
            _enter(_grouped, "grouped_transposed", "body.0: 4")
            _enter(_depthwise, "depthwise_transposed", "body.0: 8", "body.3: 6")


@CASES.add(IMAGES, "body.0: 8", "body.2: 6")
def padded_conv():
    return Pooled(
        nn.Conv2d(3, 8, 3, padding=1, padding_mode="circular"),
        nn.ReLU(),
        nn.Conv2d(8, 6, 3, padding="same", padding_mode="reflect"),
        outputs=6,
    )


@CASES.add(values(3, 8, 8), "down.0: 8", "middle: 12", "up: 8")
class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        self.middle = nn.Conv2d(8, 12, 3, padding=1)
        self.up = nn.ConvTranspose2d(12, 8, 2, stride=2)
        self.head = nn.Conv2d(16, 3, 1)

    def forward(self, images):
        fine = self.down(images)
        coarse = torch.relu(self.middle(nn.functional.max_pool2d(fine, 2)))
        return self.head(torch.cat([fine, self.up(coarse)], 1))


@CASES.add(lambda: (torch.randn(2, 5), torch.randn(2, 4)), "both: 8", "one: 6", "two: 7")
class Bilinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(5, 6)
        self.two = nn.Linear(4, 7)
        self.both = nn.Bilinear(6, 7, 8)
        self.head = nn.Linear(8, 3)

    def forward(self, first, second):
        both = self.both(torch.relu(self.one(first)), torch.relu(self.two(second)))
        return self.head(torch.relu(both))


@CASES.add(words(), "words: 8", "hidden: 6")
class Embedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(11, 8, padding_idx=0)
        self.hidden = nn.Linear(8, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, words):
        return self.head(torch.relu(self.hidden(self.words(words))).mean(1))


@CASES.add(words(), "hidden words: 8", frozen={"head": "embedding"})
class TiedEmbedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(11, 8)
        self.hidden = nn.Linear(8, 8)
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.words.weight

    def forward(self, words):
        features = self.words(words)
        return self.head(features + torch.relu(self.hidden(features)))


@CASES.add(words(), "0: 8")
def embedding_bag():
    return nn.Sequential(nn.EmbeddingBag(11, 8), nn.ReLU(), nn.Linear(8, 3))


@CASES.add(IMAGES, "(body.0.bias): 8", "(body.2.bias): 6")
def weight_norm():
    return Pooled(
        parametrizations.weight_norm(nn.Conv2d(3, 8, 3)),
        nn.ReLU(),
        parametrizations.weight_norm(nn.Conv2d(8, 6, 3)),
        outputs=6,
    )


@CASES.add(IMAGES, "(body.2.bias): 6")
def old_weight_norm():
    """The norm of the second layer's weights is over its inputs, so that these must stay."""
    return Pooled(
        nn.utils.weight_norm(nn.Conv2d(3, 8, 3)),
        nn.ReLU(),
        nn.utils.weight_norm(nn.Conv2d(8, 6, 3)),
        outputs=6,
    )


class Standardized(nn.Conv2d):
    """The weights of each output have mean 0 and variance 1."""

    def forward(self, images):
        weight = self.weight
        mean = weight.mean((1, 2, 3), keepdim=True)
        std = weight.std((1, 2, 3), keepdim=True)
        return self._conv_forward(images, (weight - mean) / (std + 1e-5), self.bias)


@CASES.add(IMAGES, "body.0: 8", "body.2: 6")
def weight_standardized():
    return Pooled(Standardized(3, 8, 3), nn.ReLU(), Standardized(8, 6, 3), outputs=6)
