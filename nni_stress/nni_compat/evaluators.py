"""Patches of NNI's evaluators for current Lightning and transformers."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

from .attributes import replace_attribute

_Method = Callable[..., Any]


def patch_lightning_steps(evaluator: ModuleType) -> None:
    """Let LightningEvaluator.train set the fit loop's `max_steps`.

    Defect: Lightning 2 made the property read-only, so that every pruner that trains fails.
    """
    if not evaluator.LIGHTNING_INSTALLED:
        return
    for loop in vars(evaluator.pl.loops).values():
        steps = getattr(loop, "max_steps", None)
        is_fit_loop = getattr(loop, "__name__", "").endswith("FitLoop")
        if is_fit_loop and isinstance(steps, property) and steps.fset is None:
            loop.max_steps = steps.setter(_set_max_steps)


def _set_max_steps(loop: Any, value: int) -> None:
    loop.epoch_loop.max_steps = value


def patch_transformers(evaluator: ModuleType) -> None:
    """Let TransformersEvaluator find the optimizer and take part in the loss.

    Defect: it relies on functions and attributes of the Trainer that transformers has changed:
    `get_optimizer_cls_and_kwargs`, `compute_loss`, `deepspeed` and `callback_handler.optimizer`.
    """
    if not evaluator.TRANSFORMERS_INSTALLED:
        return
    evaluator_class = evaluator.TransformersEvaluator
    trainer_class = evaluator.HFTrainer
    choose_optimizer = inspect.signature(trainer_class.get_optimizer_cls_and_kwargs)
    if list(choose_optimizer.parameters) != ["args"]:
        replace_attribute(
            evaluator_class,
            "_init_optimizer_helpers",
            functools.partial(_with_default_optimizer, evaluator=evaluator),
        )
    if "num_items_in_batch" in inspect.signature(trainer_class.compute_loss).parameters:
        replace_attribute(evaluator_class, "patch_loss", _with_items_in_batch)
    replace_attribute(
        evaluator_class,
        "patch_optimizer_step",
        functools.partial(_with_late_optimizer, callback=evaluator.PatchCallback),
    )


def _with_default_optimizer(initialize: _Method, evaluator: Any) -> _Method:
    """Create the trainer's default optimizer before NNI looks for it.

    NNI would replace `get_optimizer_cls_and_kwargs` by a function with its former parameters.
    """

    @functools.wraps(initialize)
    def init_optimizer_helpers(self: Any, pure_model: Any) -> Any:
        trainer = self.traced_trainer
        if trainer.optimizer is None or not evaluator.is_traceable(trainer.optimizer):
            _create_traceable_optimizer(trainer, evaluator)
        return initialize(self, pure_model)

    return init_optimizer_helpers


def _create_traceable_optimizer(trainer: Any, evaluator: Any) -> None:
    trainer_class = evaluator.HFTrainer
    choose = trainer_class.get_optimizer_cls_and_kwargs

    def choose_traceable(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        optimizer_class, settings = choose(*args, **kwargs)
        return evaluator.nni.trace(optimizer_class), settings

    trainer.optimizer = None
    trainer_class.get_optimizer_cls_and_kwargs = staticmethod(choose_traceable)
    try:
        trainer.optimizer = trainer.create_optimizer()
    finally:
        trainer_class.get_optimizer_cls_and_kwargs = staticmethod(choose)


def _with_items_in_batch(patch_loss: _Method) -> _Method:
    """Ignore the argument by which trainers tell the loss how many items a batch has."""

    @functools.wraps(patch_loss)
    def patched(self: Any, patch: Any) -> None:
        patch_loss(self, patch)
        compute_loss = self.trainer.compute_loss
        self.trainer.compute_loss = lambda model, inputs, return_outputs=False, **_: compute_loss(
            model, inputs, return_outputs
        )

    return patched


def _with_late_optimizer(patch_optimizer_step: _Method, callback: Any) -> _Method:
    """Give the callback handler the trainer's optimizer when training begins.

    NNI takes the optimizer from the trainer's DeepSpeed engine if the trainer has the attribute
    `deepspeed`, even if it is None, and from the callback handler otherwise. Current trainers keep
    the optimizer themselves, and do not tell the handler.
    """

    @functools.wraps(patch_optimizer_step)
    def patched(self: Any, before_step_tasks: Any, after_step_tasks: Any) -> None:
        patch_optimizer_step(self, before_step_tasks, after_step_tasks)
        begin = callback.on_train_begin
        trainer = self.trainer

        def on_train_begin(*args: Any, **kwargs: Any) -> Any:
            # `self` stands for a trainer without the attribute.
            without_engine = vars(trainer).get("deepspeed", self) is None
            if without_engine:
                del trainer.deepspeed
            if getattr(trainer.callback_handler, "optimizer", None) is None:
                trainer.callback_handler.optimizer = trainer.optimizer
            try:
                return begin(*args, **kwargs)
            finally:
                if without_engine:
                    trainer.deepspeed = None

        callback.on_train_begin = staticmethod(on_train_begin)

    return patched
