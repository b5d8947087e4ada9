"""Views, parts, joins and shuffles."""

import torch
from torch import nn
from torch.nn import functional

from ..case import IMAGES, VECTORS, Cases, Pooled

CASES = Cases()


class Between(nn.Module):
    """A convolution, something that subclasses do with its channels, and another convolution."""

    width = 8

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.next = nn.Conv2d(self.width, 6, 1)
        self.head = nn.Conv2d(6, 3, 1)

    def forward(self, images):
        return self.head(torch.relu(self.next(self.between(torch.relu(self.stem(images))))))


class Halves(Between):
    """Both halves of the channels are read."""

    width = 4


@CASES.add(IMAGES, "next: 6", "stem: 4")
class Chunked(Halves):
    def between(self, features):
        first, second = features.chunk(2, 1)
        return first * torch.sigmoid(second)


@CASES.add(IMAGES, "next: 6", "stem: 4")
class GatedLinearUnit(Halves):
    def between(self, features):
        return functional.glu(features, 1)


@CASES.add(IMAGES, "next: 6", "stem: 4")
class SplitByAttribute(Halves):
    def __init__(self):
        super().__init__()
        self.part = 4

    def between(self, features):
        first, second = torch.split(features, self.part, dim=1)
        return first + second.abs()


@CASES.add(IMAGES, "next: 6", "stem: 4")
class SplitBySize(Halves):
    def between(self, features):
        first, second = features.split(features.shape[1] // 2, 1)
        return first + second.abs()


@CASES.add(IMAGES, "first: 6", "next: 6", "second: 5", "stem: 5", "stem: 3")
class UnequalSplit(nn.Module):
    """The sizes of the parts are attributes."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.parts = [5, 3]
        self.first = nn.Conv2d(5, 6, 1)
        self.second = nn.Conv2d(3, 5, 1)
        self.next = nn.Conv2d(11, 6, 1)
        self.head = nn.Conv2d(6, 3, 1)

    def forward(self, images):
        one, two = torch.split(torch.relu(self.stem(images)), self.parts, 1)
        both = torch.cat([self.first(one), self.second(two)], 1)
        return self.head(torch.relu(self.next(both)))


@CASES.add(IMAGES, "next: 6", frozen={"stem": ""})
class UnequalNumbers(Between):
    """The sizes of the parts are written as numbers."""

    width = 11

    def between(self, features):
        one, two = torch.split(features, [5, 3], 1)
        return torch.cat([one, two, two], 1)


@CASES.add(IMAGES, "next: 6", "stem: 4")
class Sliced(Halves):
    """Halves by the size of the tensor."""

    def between(self, features):
        half = features.shape[1] // 2
        return features[:, :half] - features[:, half:]


@CASES.add(IMAGES, "first: 5", "next: 6", "stem: 5", "stem: 3")
class SlicedByAttribute(Between):
    """Unequal parts, whose bound is an attribute."""

    width = 8

    def __init__(self):
        super().__init__()
        self.bound = 5
        self.first = nn.Conv2d(5, 5, 1)

    def between(self, features):
        return torch.cat([self.first(features[:, : self.bound]), features[:, self.bound :]], 1)


@CASES.add(IMAGES, "next: 6", "stem: 3", frozen={"stem": "size 5 given by the program"})
class SlicedByNumber(Between):
    """What is behind the bound may shrink."""

    def between(self, features):
        return torch.cat([features[:, 5:], features[:, :5]], 1)


@CASES.add(IMAGES, "next: 6", frozen={"stem": ""})
class Strided(Halves):
    def between(self, features):
        return features[:, ::2] - features[:, 1::2]


@CASES.add(IMAGES, "next: 6", "one: 8", "stem: 8")
class Joined(Between):
    width = 16

    def __init__(self):
        super().__init__()
        self.one = nn.Conv2d(8, 8, 1)

    def between(self, features):
        return torch.cat([features, self.one(features)], 1)


@CASES.add(IMAGES, "next: 6", "one stem: 8")
class JoinedThenSliced(Joined):
    """The parts are taken apart again."""

    width = 8

    def between(self, features):
        other = self.one(features)
        both = functional.avg_pool2d(torch.cat([features, other], 1), 3, 1, 1)
        return both[:, : features.shape[1]] * both[:, features.shape[1] :]


@CASES.add(IMAGES, "next: 6", "body.0: 4", "body.1: 4", "stem: 4")
class C2f(nn.Module):
    """YOLO's: halves, of which one goes on through layers, all joined."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1) for _ in range(2))
        self.next = nn.Conv2d(16, 6, 1)
        self.head = nn.Conv2d(6, 3, 1)

    def forward(self, images):
        parts = list(self.stem(images).chunk(2, 1))
        parts.extend(layer(parts[-1]) for layer in self.body)
        return self.head(torch.relu(self.next(torch.cat(parts, 1))))


@CASES.add(IMAGES, "next: 6", "one stem: 8")
class Stacked(Joined):
    width = 8

    def between(self, features):
        return torch.stack([features, self.one(features)], 0).sum(0)


@CASES.add(IMAGES, "next: 6", "stem: 2")
class PixelShuffled(Between):
    width = 2

    def between(self, features):
        return functional.pixel_shuffle(features, 2)


@CASES.add(IMAGES, "next: 6", "stem: 8")
class PixelUnshuffled(Between):
    width = 32

    def between(self, features):
        return functional.pixel_unshuffle(features, 2)


@CASES.add(IMAGES, "next: 6", "stem: 4")
class ChannelShuffled(Between):
    def between(self, features):
        return functional.channel_shuffle(features, 2)


@CASES.add(IMAGES, "next: 6", "stem: 4")
class ShuffledByHand(Between):
    """As torchvision's ShuffleNet does."""

    def between(self, features):
        batch, channels, height, width = features.shape
        features = features.view(batch, 2, channels // 2, height, width)
        return features.transpose(1, 2).contiguous().view(batch, channels, height, width)


@CASES.add(IMAGES, "next: 6", frozen={"stem": "rolled"})
class Rolled(Between):
    def between(self, features):
        return features.roll(3, 1)


@CASES.add(IMAGES, "next: 6", "stem: 8")
class RolledPositions(Between):
    def between(self, features):
        return features.roll((1, 2), (2, 3))


@CASES.add(IMAGES, "next: 6", "stem: 8")
class Flipped(Between):
    def between(self, features):
        return features.flip(1)


@CASES.add(IMAGES, "next: 6", "stem: 8")
class Repeated(Between):
    width = 16

    def between(self, features):
        return features.repeat(1, 2, 1, 1)


@CASES.add(IMAGES, "next: 6", "stem: 8")
class Interleaved(Between):
    width = 16

    def between(self, features):
        return features.repeat_interleave(2, 1)


@CASES.add(IMAGES, "next: 6", "stem wide: 8", frozen={"wide": "must stay"})
class PaddedChannels(Between):
    """A shortcut is padded with channels of zeros, as in small ResNets."""

    width = 10

    def __init__(self):
        super().__init__()
        self.wide = nn.Conv2d(8, 10, 1)

    def between(self, features):
        return functional.pad(features, (0, 0, 0, 0, 1, 1)) + self.wide(features)


@CASES.add(IMAGES, "0: 8", "3: 6")
def flattened():
    """Each channel is 16 inputs of the linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 6), nn.ReLU(), nn.Linear(6, 3)
    )


@CASES.add(IMAGES, "conv: 8", "next: 6")
class ViewedInMinusOne(nn.Module):
    """The number of features follows from the batch."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.next = nn.Linear(128, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, images):
        features = torch.relu(self.conv(images))
        return self.head(torch.relu(self.next(features.view(features.size(0), -1))))


@CASES.add(VECTORS, "conv: 6", "stem: 8")
class ViewedAsImage(nn.Module):
    """A linear layer makes an image, as generators do."""

    def __init__(self):
        super().__init__()
        self.channels = 8
        self.stem = nn.Linear(5, 72)
        self.conv = nn.ConvTranspose2d(8, 6, 3)
        self.head = nn.Conv2d(6, 3, 1)

    def forward(self, values):
        features = self.stem(values).view(-1, self.channels, 3, 3)
        return self.head(torch.relu(self.conv(torch.relu(features))))


@CASES.add(IMAGES, "next: 6", "stem: 8")
class Tokens(nn.Module):
    """Positions become tokens."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 2, stride=2)
        self.next = nn.Linear(8, 6)
        self.head = nn.Linear(6, 3)

    def forward(self, images):
        features = self.stem(images)
        batch, channels, height, width = features.shape
        tokens = features.reshape(batch, channels, height * width).permute(0, 2, 1)
        return self.head(torch.relu(self.next(tokens)).mean(1))


@CASES.add(IMAGES, "next: 6", "stem: 8")
class Reorganized(Between):
    """As YOLOv2 does: positions become channels."""

    width = 32

    def between(self, features):
        batch, channels, height, width = features.shape
        moved = features.view(batch, channels, height // 2, 2, width // 2, 2)
        moved = moved.permute(0, 3, 5, 1, 2, 4)
        return moved.reshape(batch, channels * 4, height // 2, width // 2)


@CASES.add(IMAGES, "next: 6", "stem: 8")
class Unfolded(Between):
    """Windows, as convolutions by hand take them."""

    width = 72

    def between(self, features):
        windows = functional.unfold(features, 3, padding=1)
        return windows.view(len(features), -1, *features.shape[2:])


@CASES.add(IMAGES, "body.0: 8", "body.5: 6")
def resized():
    return Pooled(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.ZeroPad2d(1),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 6, 1),
        nn.AdaptiveAvgPool2d(2),
        outputs=6,
    )
