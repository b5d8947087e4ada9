"""Training under stress by Lightning's Trainer; needs the extra ``lightning``."""

from __future__ import annotations

import math
from typing import Any

try:
    from lightning.pytorch import Callback
except ImportError:
    from pytorch_lightning import Callback

from ..pruning.pruner import StressPruner
from .block import StressBlock


class StressCallback(Callback):
    """Puts a network under stress while Lightning's ``Trainer.fit`` trains it.

    It does what a block of :meth:`nni_stress.StressPruner.stress` around your own loop does: at the
    end of ``fit`` the offspring is drawn, and ``pruner.synthesize`` then makes the network small.
    The pruner is made with the LightningModule, or a module in it, and without an evaluator.

    Parameters
    ----------
    pruner
        The pruner.
    steps
        Length of the stress phase in optimizer steps. None: the pruner's ``training_steps``, or as
        long as ``fit`` trains.

    Notes
    -----
    Of several optimizers, those that train the pruner's network count. After an exception, or
    Ctrl-C, the network is unwrapped, with its weights as trained. Checkpoints that are written
    while it trains have the names and masks of NNI's wrappers.

    Examples
    --------
    >>> import torch
    >>> from pytorch_lightning import LightningModule, Trainer
    >>> from nni_stress import StressPruner
    >>> class Network(LightningModule):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layers = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))
    ...
    ...     def training_step(self, batch, index):
    ...         return self.layers(batch).square().mean()
    ...
    ...     def configure_optimizers(self):
    ...         return torch.optim.SGD(self.parameters(), lr=0.1)
    >>> module, inputs = Network(), torch.rand(20, 4)
    >>> pruner = StressPruner(module.layers, [{"op_names": ["0"], "sparse_ratio": 0.5}])
    >>> quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    >>> trainer = Trainer(
    ...     max_epochs=2, callbacks=[StressCallback(pruner)], accelerator="cpu",
    ...     enable_model_summary=False, **quiet,
    ... )
    >>> trainer.fit(module, torch.utils.data.DataLoader(inputs, batch_size=2))
    >>> pruner.synthesize(inputs)[0]
    Linear(in_features=4, out_features=4, bias=True)
    """

    def __init__(self, pruner: StressPruner, steps: int | None = None):
        self._block = StressBlock(pruner, steps)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Begin, once the optimizers are made."""
        planned = trainer.estimated_stepping_batches  # optimizer steps, whatever its name
        self._block.begin(trainer.optimizers, None if math.isinf(planned) else int(planned))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Draw the offspring."""
        self._block.end()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Leave the network as trained."""
        self._block.end(exception)
