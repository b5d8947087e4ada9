"""Whether a file computes what the network does that it was written from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ..utils.batches import tensors_in
from .tracing import Traced

TOLERANCE = 1e-4  # largest difference of a float32 file, as a share of the largest magnitude


def difference(expected: Sequence[torch.Tensor], outputs: Sequence[torch.Tensor]) -> float:
    """The largest difference between outputs, as a share of the output's largest magnitude.

    Parameters
    ----------
    expected
        The network's outputs.
    outputs
        Those to compare, in the same order.

    Returns
    -------
    float
        Infinite where number or shapes of the outputs differ, or an output is NaN where the
        network's is not.

    Examples
    --------
    >>> difference([torch.tensor([1.0, 4.0])], [torch.tensor([1.0, 3.0])])
    0.25
    >>> difference([torch.ones(2)], [torch.ones(3)])
    inf
    """
    shapes = [[output.shape for output in found] for found in (expected, outputs)]
    if shapes[0] != shapes[1]:
        return math.inf
    return max((_share(*pair) for pair in zip(expected, outputs)), default=0.0)


def _share(expected: torch.Tensor, output: torch.Tensor) -> float:
    wanted, found = expected.detach().cpu().double(), output.detach().cpu().double()
    differing = ~torch.isclose(wanted, found, rtol=0, atol=0, equal_nan=True)
    if not differing.any():
        return 0.0
    finite = wanted[wanted.isfinite()]
    largest = max(float(finite.abs().max()) if len(finite) else 0.0, 1e-6)
    gap = float((wanted - found)[differing].abs().max())
    return math.inf if math.isnan(gap) else gap / largest


def check_agreement(
    traced: Traced, run: Callable[[Any], Any], runtime: str, tolerance: float = TOLERANCE
) -> float:
    """Compare a file that was loaded again with its network, on the batches for that.

    Parameters
    ----------
    traced
        The network and the batches.
    run
        Computes the file's outputs for a batch.
    runtime
        Name of what runs the file, for the message.
    tolerance
        Largest difference allowed, as a share of the output's largest magnitude.

    Returns
    -------
    float
        The largest difference.

    Raises
    ------
    ValueError
        If it exceeds the tolerance.

    Examples
    --------
    >>> from nni_stress.graph.tracing import trace
    >>> network = torch.nn.Linear(2, 1)
    >>> check_agreement(trace(network, torch.rand(4, 2)), lambda inputs: network(*inputs), "itself")
    0.0
    """
    largest = max(
        difference(tensors_in(traced.outputs(inputs)), tensors_in(run(inputs)))
        for inputs in traced.batches
    )
    if largest > tolerance:
        raise ValueError(
            f"{runtime} disagrees with the network: outputs differ by {largest:.2g} of the largest "
            f"magnitude, and {tolerance:g} is tolerated"
        )
    return largest
