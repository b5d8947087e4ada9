"""Layers with fewer channels, where only the numbers of channels matter and not which ones stay."""

from __future__ import annotations

from torch import Tensor, nn

from .label_propagation import ChannelNorm, Convolution, depthwise


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
    if isinstance(layer, Convolution):
        if depthwise(layer):
            layer.groups = outputs
        weight_inputs = inputs // layer.groups
        layer.in_channels = inputs
        layer.out_channels = outputs
    elif isinstance(layer, nn.Linear):
        layer.in_features = inputs
        layer.out_features = outputs
    else:
        raise TypeError(f"a linear or convolution layer expected, but got {type(layer).__name__}")
    _replace(layer, "weight", layer.weight[:outputs, :weight_inputs])
    if layer.bias is not None:
        _replace(layer, "bias", layer.bias[:outputs])


def resize_norm(norm: nn.Module, features: int) -> None:
    """Shrink a batch or instance norm in place to its first channels.

    Raises
    ------
    TypeError
        If the module is no batch or instance norm.

    Examples
    --------
    >>> norm = nn.BatchNorm2d(8)
    >>> resize_norm(norm, 3)
    >>> norm.num_features, norm.weight.shape, norm.running_mean.shape
    (3, torch.Size([3]), torch.Size([3]))
    """
    if not isinstance(norm, ChannelNorm):
        raise TypeError(f"a batch or instance norm expected, but got {type(norm).__name__}")
    norm.num_features = features
    tensors = [*norm.named_parameters(recurse=False), *norm.named_buffers(recurse=False)]
    for name, tensor in tensors:
        if tensor.dim() > 0:
            _replace(norm, name, tensor[:features])


def _replace(module: nn.Module, name: str, tensor: Tensor) -> None:
    """Set a parameter, keeping whether it is trained, or a buffer."""
    old = dict(module.named_parameters(recurse=False)).get(name)
    new = tensor.detach().clone()
    setattr(module, name, new if old is None else nn.Parameter(new, old.requires_grad))
