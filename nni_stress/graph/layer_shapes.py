"""What the shapes of a layer's tensors must be, judged before any of them exists."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn
from torch.nn.modules.batchnorm import _NormBase as ChannelNorm
from torch.nn.modules.conv import _ConvNd as Convolution

# The attributes in which torch's layers store their shape.
SHAPE_ATTRIBUTES = (
    "in_channels",
    "out_channels",
    "groups",
    "in_features",
    "out_features",
    "num_features",
    "num_channels",
    "num_groups",
)

Shape = tuple[int, ...]


def attributes_of(module: nn.Module) -> dict[str, int]:
    """The attributes in which a module stores its shape.

    Examples
    --------
    >>> attributes_of(nn.Linear(3, 2))
    {'in_features': 3, 'out_features': 2}
    """
    found = {name: getattr(module, name, None) for name in SHAPE_ATTRIBUTES}
    return {name: value for name, value in found.items() if isinstance(value, int)}


def check_shapes(
    module: nn.Module,
    attributes: Mapping[str, int],
    tensors: Mapping[str, Shape],
    most: int = 2**31,
) -> None:
    """Check that a module's attributes agree with the shapes of its tensors.

    Parameters
    ----------
    module
        The module, of any shape.
    attributes
        The integers that it is to have. Those that do not store the shape of one of torch's layers
        must be positive.
    tensors
        Shapes of the tensors that it is to have, by name.
    most
        Highest value of an attribute that can be right.

    Raises
    ------
    ValueError
        If they do not agree.

    Examples
    --------
    >>> check_shapes(nn.Linear(3, 2), {"in_features": 3, "out_features": 5}, {"weight": (2, 3)})
    Traceback (most recent call last):
        ...
    ValueError: weight must have the shape [5, 3] by in_features 3, out_features 5, but has [2, 3]
    """
    own = attributes_of(module)
    for name, value in attributes.items():
        largest = max(most, own.get(name, 0)) if name in SHAPE_ATTRIBUTES else None
        unknown = name in SHAPE_ATTRIBUTES and name not in own
        if unknown or type(value) is not int or value < 1 or (largest and value > largest):
            raise ValueError(f"it cannot have {name} = {value!r}")
    parameters, buffers = module.named_parameters("", False), module.named_buffers("", False)
    there = {name: tuple(tensor.shape) for name, tensor in [*parameters, *buffers]}
    if not _agree(_expected(module, own, there), there):
        return  # a layer of the user's, with its own idea of these attributes
    wanted = {name: attributes.get(name, value) for name, value in own.items()}
    words = ", ".join(f"{name} {value}" for name, value in wanted.items())
    expected = _expected(module, wanted, there)
    if expected is None:
        raise ValueError(f"its channels must be a multiple of its groups, but are {words}")
    for name, shape in expected.items():
        if name in tensors and tensors[name] != shape:
            raise ValueError(
                f"{name} must have the shape {list(shape)} by {words}, but has "
                f"{list(tensors[name])}"
            )


def _agree(expected: Mapping[str, Shape] | None, found: Mapping[str, Shape]) -> bool:
    return expected is not None and all(
        found[name] == shape for name, shape in expected.items() if name in found
    )


def _expected(
    module: nn.Module, attributes: Mapping[str, int], there: Mapping[str, Shape]
) -> dict[str, Shape] | None:
    """Shapes of a torch layer's tensors; None if there cannot be any."""
    if isinstance(module, Convolution):
        inputs, outputs = attributes["in_channels"], attributes["out_channels"]
        groups = attributes["groups"]
        if inputs % groups or outputs % groups:
            return None
        first, second = (inputs, outputs) if module.transposed else (outputs, inputs)
        kernel = there.get("weight", ())[2:]
        return {"weight": (first, second // groups, *kernel), "bias": (outputs,)}
    if isinstance(module, nn.Linear):
        outputs = attributes["out_features"]
        return {"weight": (outputs, attributes["in_features"]), "bias": (outputs,)}
    if isinstance(module, ChannelNorm):
        names = ("weight", "bias", "running_mean", "running_var")
        return dict.fromkeys(names, (attributes["num_features"],))
    if isinstance(module, nn.GroupNorm):
        channels = attributes["num_channels"]
        if channels % attributes["num_groups"]:
            return None
        return dict.fromkeys(("weight", "bias"), (channels,))
    return {}
