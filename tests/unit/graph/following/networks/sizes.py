"""Sizes that a program holds in attributes, or that are written in it as numbers."""

import torch
from torch import nn

from ..case import VECTORS, Cases

CASES = Cases()


class Sized(nn.Module):
    """The features of a layer are viewed as 4 x 2, and flattened again."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(5, 8)
        self.head = nn.Linear(8, 3)
        self.dim = 8
        self.heads = 4

    def forward(self, values):
        return self.head(self.between(torch.relu(self.stem(values))))


@CASES.add(VECTORS, "stem: 4")
class Held(Sized):
    def between(self, features):
        return features.view(len(features), self.heads, 2).softmax(2).flatten(1)


@CASES.add(VECTORS, "stem: 4")
class Derived(Sized):
    def between(self, features):
        first, second = features.split(self.dim // 2, 1)
        return torch.cat([first * second, second], 1)


@CASES.add(VECTORS, frozen={"stem": ""})
class Numbers(Sized):
    def between(self, features):
        return features.view(len(features), 4, 2).softmax(2).flatten(1)


@CASES.add(VECTORS, "stem: 8")
class ViewedByAttribute(Sized):
    def between(self, features):
        return features.reshape(-1, self.dim)


@CASES.add(VECTORS, frozen={"stem": ""})
class ViewedByNumber(Sized):
    def between(self, features):
        return features.reshape(-1, 8)


@CASES.add(VECTORS, "stem: 8")
class Compared(Sized):
    """A check that the size is right."""

    def between(self, features):
        if features.shape[1] != self.dim:
            raise ValueError("wrong size")
        return features


@CASES.add(VECTORS, frozen={"stem": ""})
class ComparedWithNumber(Sized):
    def between(self, features):
        assert features.shape[1] == 8
        return features


@CASES.add(VECTORS, frozen={"stem": ""})
class ScaledBySize(Sized):
    """The scale would change with the size, and the output with it."""

    def between(self, features):
        return features / features.shape[1] ** 0.5


@CASES.add(VECTORS, "stem: 8")
class ScaledByStoredNumber(Sized):
    def __init__(self):
        super().__init__()
        self.scale = 8**-0.5

    def between(self, features):
        return features * self.scale


class Config:
    """As those of language models."""

    def __init__(self):
        self.hidden = 8
        self.heads = 4


@CASES.add(VECTORS, "stem: 4")
class Configured(Sized):
    def __init__(self):
        super().__init__()
        self.config = Config()

    def between(self, features):
        width = self.config.hidden // self.config.heads
        return (
            features.view(-1, self.config.heads, width).softmax(2).reshape(-1, self.config.hidden)
        )


@CASES.add(VECTORS, "one two: 4")
class TwoUses(nn.Module):
    """One attribute is used for two layers, which must keep as many."""

    def __init__(self):
        super().__init__()
        self.heads = 4
        self.one, self.two, self.head = nn.Linear(5, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, values):
        hidden = torch.relu(self.one(values)).view(len(values), self.heads, 2).softmax(2)
        hidden = self.two(hidden.flatten(1)).view(len(values), self.heads, 2).softmax(2)
        return self.head(hidden.flatten(1))


@CASES.add(VECTORS, frozen={"stem": "network is wrong"})
class NewTensor(Sized):
    """A tensor is made in the size of the attribute."""

    def between(self, features):
        return features + torch.ones(self.dim)
