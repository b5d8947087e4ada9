"""Single layers with fewer channels, where only the numbers of channels matter."""

from __future__ import annotations

from typing import TypeGuard

from torch import Tensor, nn

WeightedLayer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


def is_resizable(layer: nn.Module) -> TypeGuard[WeightedLayer]:
    """Whether a layer is one that :func:`resize` can shrink.

    Examples
    --------
    >>> is_resizable(nn.Linear(2, 3)), is_resizable(nn.ConvTranspose2d(2, 3, 1))
    (True, False)
    """
    return isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d))


def depthwise(layer: nn.Module) -> bool:
    """Whether a layer is a depthwise convolution, with one filter for each of its channels.

    Examples
    --------
    >>> depthwise(nn.Conv2d(8, 8, 3, groups=8)), depthwise(nn.Conv2d(8, 8, 3, groups=4))
    (True, False)
    """
    return (
        isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d))
        and layer.groups > 1
        and layer.groups == layer.in_channels == layer.out_channels
    )


def resize(layer: nn.Module, inputs: int, outputs: int) -> None:
    """Shrink a linear or convolution layer in place to its first input and output channels.

    Parameters
    ----------
    layer
        The layer. Weights and biases are replaced by new parameters.
    inputs, outputs
        Numbers of channels that stay. A depthwise convolution keeps one group per output.

    Raises
    ------
    TypeError
        If the layer is neither linear nor a convolution.

    Examples
    --------
    >>> layer = nn.Linear(8, 4)
    >>> resize(layer, 5, 2)
    >>> layer
    Linear(in_features=5, out_features=2, bias=True)
    >>> layer.weight.shape
    torch.Size([2, 5])
    """
    weight_inputs = inputs
    if not is_resizable(layer):
        raise TypeError(f"a linear or convolution layer expected, but got {type(layer).__name__}")
    if isinstance(layer, nn.Linear):
        layer.in_features = inputs
        layer.out_features = outputs
    else:
        if depthwise(layer):
            layer.groups = outputs
        weight_inputs = inputs // layer.groups
        layer.in_channels = inputs
        layer.out_channels = outputs
    _replace(layer, "weight", layer.weight[:outputs, :weight_inputs])
    if layer.bias is not None:
        _replace(layer, "bias", layer.bias[:outputs])


def _replace(module: nn.Module, name: str, tensor: Tensor) -> None:
    """Set a parameter, keeping whether it is trained."""
    old = module.get_parameter(name)
    setattr(module, name, nn.Parameter(tensor.detach().clone(), old.requires_grad))
