"""Networks that no library has: generators, recurrent, temporal and graph networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..entries import Entry, images, tokens


def gan_generator() -> nn.Module:
    """The generator of a DCGAN."""

    def up(inputs: int, outputs: int, stride: int, padding: int) -> list[nn.Module]:
        return [
            nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        ]

    return nn.Sequential(
        *up(64, 128, 1, 0),
        *up(128, 64, 2, 1),
        *up(64, 32, 2, 1),
        nn.ConvTranspose2d(32, 3, 4, 2, 1, bias=False),
        nn.Tanh(),
    )


class DcganDiscriminator(nn.Module):
    """The discriminator of a DCGAN: one number for each image."""

    def __init__(self) -> None:
        super().__init__()

        def down(inputs: int, outputs: int, *norm: nn.Module) -> list[nn.Module]:
            convolution = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
            return [convolution, *norm, nn.LeakyReLU(0.2, inplace=True)]

        self.layers = nn.Sequential(
            *down(3, 32),
            *down(32, 64, nn.BatchNorm2d(64)),
            *down(64, 128, nn.BatchNorm2d(128)),
            nn.Conv2d(128, 1, 4, 1, 0, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Whether each image is real."""
        return self.layers(x).view(-1, 1).squeeze(1)


class Autoencoder(nn.Module):
    """Convolutions to a code, from which transposed convolutions make the image again."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 32, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * 64, 64),
        )
        self.expand = nn.Linear(64, 64 * 64)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(64, 32, 2, 2),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 3, 2, 2),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images of the size of the inputs."""
        code = functional.relu(self.expand(self.encoder(x)))
        return self.decoder(code.view(-1, 64, 8, 8))


def espcn() -> nn.Module:
    """Super-resolution by a pixel shuffle."""
    return nn.Sequential(
        nn.Conv2d(3, 64, 5, 1, 2),
        nn.Tanh(),
        nn.Conv2d(64, 32, 3, 1, 1),
        nn.Tanh(),
        nn.Conv2d(32, 4 * 16, 3, 1, 1),
        nn.PixelShuffle(2),
        nn.ReLU(),
        nn.Conv2d(16, 3, 3, 1, 1),
    )


class Lstm(nn.Module):
    """Two bidirectional layers of LSTM over embedded words."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, 32)
        self.before = nn.Linear(32, 64)
        self.lstm = nn.LSTM(64, 64, num_layers=2, batch_first=True, bidirectional=True)
        self.after = nn.Linear(128, 64)
        self.head = nn.Linear(64, 5)

    def forward(self, words: Tensor) -> Tensor:
        """Logits after the last word."""
        sequence, _ = self.lstm(functional.relu(self.before(self.embed(words))))
        return self.head(functional.relu(self.after(sequence[:, -1])))


class _Causal(nn.Module):
    """A convolution over time whose outputs do not see the future."""

    def __init__(self, inputs: int, outputs: int, dilation: int):
        super().__init__()
        self.convolution = nn.Conv1d(inputs, outputs, 3, padding=2 * dilation, dilation=dilation)
        self.excess = 2 * dilation

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(x)[:, :, : -self.excess].contiguous()


class _TemporalBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, dilation: int):
        super().__init__()
        self.layers = nn.Sequential(
            _Causal(inputs, outputs, dilation),
            nn.ReLU(),
            _Causal(outputs, outputs, dilation),
            nn.ReLU(),
        )
        self.down = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.layers(x) + self.down(x))


class Tcn(nn.Module):
    """A temporal convolutional network."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            _TemporalBlock(4, 32, 1), _TemporalBlock(32, 32, 2), _TemporalBlock(32, 64, 4)
        )
        self.head = nn.Linear(64, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Logits at the last time."""
        return self.head(self.blocks(x)[:, :, -1])


def mlp_bn() -> nn.Module:
    """Linear layers with batch norms."""
    return nn.Sequential(
        nn.Linear(20, 128),
        nn.BatchNorm1d(128),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(128, 64),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Linear(64, 4),
    )


class Ncf(nn.Module):
    """Neural collaborative filtering: embeddings of users and items, multiplied and joined."""

    def __init__(self) -> None:
        super().__init__()
        self.user_factors = nn.Embedding(50, 16)
        self.item_factors = nn.Embedding(50, 16)
        self.user_inputs = nn.Embedding(50, 16)
        self.item_inputs = nn.Embedding(50, 16)
        self.layers = nn.Sequential(
            nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU()
        )
        self.head = nn.Linear(32, 1)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        """How well each item suits its user."""
        product = self.user_factors(users) * self.item_factors(items)
        joined = torch.cat([self.user_inputs(users), self.item_inputs(items)], -1)
        return self.head(torch.cat([product, self.layers(joined)], -1)).squeeze(-1)


def _pairs() -> tuple[Tensor, Tensor]:
    return torch.randint(0, 50, (8,)), torch.randint(0, 50, (8,))


class TorchTransformer(nn.Module):
    """torch's own transformer encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, 64)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(64, 4, 128, batch_first=True), 2
        )
        self.head = nn.Linear(64, 5)

    def forward(self, words: Tensor) -> Tensor:
        """Logits of a text."""
        return self.head(self.encoder(self.embed(words)).mean(1))


class Gcn(nn.Module):
    """A graph convolutional network: each node sums over its neighbours."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(16, 64)
        self.second = nn.Linear(64, 64)
        self.head = nn.Linear(64, 5)

    def forward(self, x: Tensor, adjacency: Tensor) -> Tensor:
        """Logits of every node."""
        x = functional.relu(torch.matmul(adjacency, self.first(x)))
        return self.head(functional.relu(torch.matmul(adjacency, self.second(x))))


def _graphs() -> tuple[Tensor, Tensor]:
    return torch.randn(2, 10, 16), torch.rand(2, 10, 10) / 10


ENTRIES = [
    Entry("gan_generator", gan_generator, lambda: torch.randn(2, 64, 1, 1)),
    Entry("autoencoder", Autoencoder, images(32)),
    Entry("espcn", espcn, images(16)),
    Entry("lstm", Lstm, tokens()),
    Entry("tcn", Tcn, lambda: torch.randn(2, 4, 32)),
    Entry("dcgan_discriminator", DcganDiscriminator, images(32)),
    Entry("mlp_bn", mlp_bn, lambda: torch.randn(8, 20)),
    Entry("ncf", Ncf, _pairs),
    Entry("torch_transformer", TorchTransformer, tokens(), heads=4),
    Entry("gcn", Gcn, _graphs),
]
