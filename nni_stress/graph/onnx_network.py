"""An ONNX file that is called like the network it was written from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from ..utils.batches import answer, examples_in, tensors_in
from .tracing import Traced

Arrays = dict[str, NDArray[Any]]


class OnnxNetwork(nn.Module):
    """An ONNX file, run by ONNX Runtime on one thread of the CPU.

    It takes the inputs of the network that it was written from, on any device, and returns outputs
    of the same structure where the inputs are.

    Parameters
    ----------
    path
        The file.
    traced
        The network that it was written from. If the file takes batches of one size only, other
        batches are cut into such.

    Examples
    --------
    >>> from nni_stress.graph.tracing import trace
    >>> traced = trace(nn.Linear(2, 1), torch.rand(4, 2))
    >>> OnnxNetwork("network.onnx", traced)(torch.rand(7, 2)).shape  # doctest: +SKIP
    torch.Size([7, 1])
    """

    def __init__(self, path: str | Path, traced: Traced):
        import onnxruntime

        super().__init__()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors are raised; printed, too, they would be said twice
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = [entry.name for entry in self._session.get_inputs()]
        self._signature = inspect.signature(traced.network.forward)
        example = traced.batches[0]
        self._arguments = list(example if isinstance(example, dict) else self._named(*example))
        self._size = None if traced.dynamic_batch else examples_in(example)
        self._leaves, self._structure = tree_flatten(traced.outputs(example))
        # Judges of networks ask for the device and type of their parameters.
        self.place = nn.Parameter(torch.empty(0), requires_grad=False)

    def forward(self, *inputs: Any, **keywords: Any) -> Any:
        """Outputs for a batch."""
        tensors = self._tensors(*inputs, **keywords)
        device = tensors[0].device if tensors else torch.device("cpu")
        found = iter(self._run(self._arrays(tensors)))
        leaves = [
            torch.from_numpy(next(found)).to(device) if isinstance(leaf, torch.Tensor) else leaf
            for leaf in self._leaves
        ]
        return tree_unflatten(leaves, self._structure)

    def answer(self, inputs: Any) -> Any:
        """Outputs for a batch: an input, several in a tuple, or keywords in a mapping."""
        return answer(self, inputs)

    def arrays(self, inputs: Any) -> Arrays:
        """What ONNX Runtime is given for a batch, by the names of the file's inputs."""
        tensors = self._tensors(**inputs) if isinstance(inputs, dict) else self._tensors(*inputs)
        return self._arrays(tensors)

    def prepared(self, inputs: Any) -> Callable[[], object]:
        """A function that runs the file for this batch, without conversion of the inputs."""
        arrays = self.arrays(inputs)
        return lambda: self._session.run(None, arrays)

    def _named(self, *inputs: Any, **keywords: Any) -> dict[str, Any]:
        bound = self._signature.bind(*inputs, **keywords)
        return {**bound.arguments, **bound.kwargs}

    def _tensors(self, *inputs: Any, **keywords: Any) -> list[torch.Tensor]:
        given = self._named(*inputs, **keywords)
        return tensors_in([given[name] for name in self._arguments])

    def _arrays(self, tensors: list[torch.Tensor]) -> Arrays:
        arrays = [tensor.detach().cpu().numpy() for tensor in tensors]
        return dict(zip(self._inputs, arrays, strict=True))

    def _run(self, arrays: Arrays) -> list[NDArray[Any]]:
        length = next((len(array) for array in arrays.values() if array.ndim), 1)
        size = self._size
        if size in (None, length):
            return self._session.run(None, arrays)
        parts = []
        for start in range(0, length, size):
            chosen = np.minimum(np.arange(start, start + size), length - 1)  # the last one fills up
            part = {
                name: array[chosen] if array.ndim and len(array) == length else array
                for name, array in arrays.items()
            }
            parts.append(self._session.run(None, part))
        return [np.concatenate(outputs)[:length] for outputs in zip(*parts)]
