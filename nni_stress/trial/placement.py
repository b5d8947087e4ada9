"""The device on which a task's networks train, and the way there of all that they meet."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_map

from ..utils.batches import MappedBatches, tensors_in
from ..utils.devices import on_device
from .contract import fidelity_of, network_of
from .errors import InputError
from .task import Task


def device_of(task: Task) -> torch.device:
    """The device on which a task's networks train.

    Parameters
    ----------
    task
        The task. Where it names no device, that of its example input if this is a GPU already, or
        else the first GPU that this process sees: the one that NNI gave the trial. Where there is
        none, the CPU.

    Raises
    ------
    InputError
        If there is no such device.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> device_of(SimpleNamespace(device="cpu"))  # in place of a Task
    device(type='cpu')
    """
    if task.device is None:
        given = [one.device for one in tensors_in(task.example_input) if one.device.type != "cpu"]
        found = "cuda" if torch.cuda.is_available() else "cpu"
        return given[0] if given else torch.device(found)
    try:
        device = torch.device(task.device)
        torch.empty(0, device=device)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"Task.device must be a device of PyTorch that this process sees, "
            f"but is {str(task.device)!r}: {type(error).__name__}"
        ) from error
    return device


def placed(task: Task) -> Task:
    """A task whose networks train on its device, with batches, screening and example input there.

    Random choices are those of the CPU: networks are made there, and moved. While `fidelity` runs,
    the network accepts inputs from any device, and its outputs are where the inputs were.

    Parameters
    ----------
    task
        The task. One on the CPU, or whose example input is on its device already, is returned as
        it is.

    Raises
    ------
    InputError
        If there is no such device.

    Examples
    --------
    >>> inputs, targets = torch.rand(8, 4), torch.rand(8, 1)
    >>> task = Task(
    ...     network=lambda: nn.Linear(4, 1), example_input=inputs,
    ...     loader=lambda generator: [(inputs, targets)], loss=nn.functional.mse_loss,
    ...     fidelity=lambda network, split: 0.0, founder_epochs=1, founder_learning_rate=0.1,
    ...     device="meta",
    ... )
    >>> placed(task).network().weight.device, placed(task).example_input.device
    (device(type='meta'), device(type='meta'))
    """
    device = device_of(task)
    example = tensors_in(task.example_input)
    if device.type == "cpu" or (example and all(one.device.type == device.type for one in example)):
        return task
    return dataclasses.replace(
        task,
        network=lambda: network_of(task).to(device),
        example_input=_moved(task.example_input, device),
        loader=lambda generator: _moving(task.loader(generator), device),
        fidelity=lambda network, split: _fidelity(task, network, split),
        screening=_moved(task.screening, device),
    )


def _moving(batches: Any, device: torch.device) -> Any:
    """The batches on a device; what is not fit for training stays, so that errors name it."""
    if not hasattr(batches, "__len__"):
        return batches
    return MappedBatches(batches, lambda batch: _moved(batch, device))


def _moved(values: Any, device: torch.device) -> Any:
    """A nested structure with its tensors, and what moves as they do, on a device."""

    def moved(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return on_device(value, device) if value.device.type == "cpu" else value.to(device)
        return value.to(device) if callable(getattr(value, "to", None)) else value

    return tree_map(moved, values)


def _fidelity(task: Task, network: nn.Module, split: str) -> float:
    """Fidelity by the user's function, whose data may be on the CPU while the network is not."""
    own = next((one.device for one in network.parameters()), torch.device("cpu"))
    origins: list[torch.device] = []

    def take(_: nn.Module, inputs: Any, keywords: Any) -> Any:
        tensors = tensors_in((inputs, keywords))
        origins.append(tensors[0].device if tensors else own)
        return _moved(inputs, own), _moved(keywords, own)

    def give_back(_: nn.Module, inputs: Any, outputs: Any) -> Any:
        origin = origins.pop()
        return outputs if origin == own else _moved(outputs, origin)

    taking = network.register_forward_pre_hook(take, with_kwargs=True)
    giving = network.register_forward_hook(give_back)
    try:
        return fidelity_of(task, network, split)
    finally:
        taking.remove()
        giving.remove()
