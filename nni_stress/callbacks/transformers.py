"""Training under stress by the Trainer of Hugging Face; needs the extra ``transformers``."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from ..pruning.pruner import StressPruner
from .block import StressBlock


class StressCallback(TrainerCallback):
    """Puts a network under stress while the Trainer of Hugging Face's transformers trains it.

    It does what a block of :meth:`nni_stress.StressPruner.stress` around your own loop does: at the
    end of ``Trainer.train`` the offspring is drawn, and ``pruner.synthesize`` then makes the
    network small. The pruner is made with the Trainer's model, and without an evaluator.

    Parameters
    ----------
    pruner
        The pruner.
    steps
        Length of the stress phase in optimizer steps. None: the pruner's ``training_steps``, or as
        long as the Trainer trains.

    Notes
    -----
    The Trainer does not tell its callbacks of exceptions. After one, or Ctrl-C, call
    ``pruner.unwrap_model()``: the network is then unwrapped, with its weights as trained. Another
    ``Trainer.train`` with this callback does so by itself. Checkpoints that are written while it
    trains have the names and masks of NNI's wrappers.

    Examples
    --------
    >>> import tempfile
    >>> import torch
    >>> from transformers import Trainer, TrainingArguments
    >>> from nni_stress import StressPruner
    >>> class Network(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layers = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))
    ...
    ...     def forward(self, features, labels):
    ...         logits = self.layers(features)
    ...         return {"loss": torch.nn.functional.cross_entropy(logits, labels)}
    >>> model = Network()
    >>> pruner = StressPruner(model.layers, [{"op_names": ["0"], "sparse_ratio": 0.5}])
    >>> trainer = Trainer(
    ...     model,
    ...     TrainingArguments(
    ...         tempfile.mkdtemp(), max_steps=10, report_to=[], save_strategy="no",
    ...         disable_tqdm=True, use_cpu=True, logging_strategy="no",
    ...     ),
    ...     train_dataset=[{"features": torch.rand(4), "labels": 0} for _ in range(20)],
    ...     callbacks=[StressCallback(pruner)],
    ... )
    >>> done = trainer.train()  # doctest: +ELLIPSIS
    {'train_runtime': ...
    >>> pruner.synthesize(torch.rand(1, 4))[0]
    Linear(in_features=4, out_features=4, bias=True)
    """

    def __init__(self, pruner: StressPruner, steps: int | None = None):
        self._block = StressBlock(pruner, steps)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin, once the optimizer is made."""
        self._block.begin([kwargs["optimizer"]], state.max_steps - state.global_step)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Draw the offspring."""
        self._block.end()
