"""Mends of NNI 3.0's evaluators on today's Lightning and transformers, each guarded by what it finds broken."""

import functools
import inspect


def mend_lightning_steps(evaluator):
    """Let LightningEvaluator.train set the fit loop's `max_steps`, which Lightning made read-only."""
    if not evaluator.LIGHTNING_INSTALLED:
        return
    for loop in vars(evaluator.pl.loops).values():
        steps = getattr(loop, "max_steps", None)
        if (
            getattr(loop, "__name__", "").endswith("FitLoop")
            and isinstance(steps, property)
            and steps.fset is None
        ):
            loop.max_steps = steps.setter(
                lambda self, value: setattr(self.epoch_loop, "max_steps", value)
            )


def mend_transformers(evaluator):
    """Let TransformersEvaluator find the optimizer, and take its part in the loss, where transformers has moved on."""
    if not evaluator.TRANSFORMERS_INSTALLED:
        return
    kind, trainer_class, callback = (
        evaluator.TransformersEvaluator,
        evaluator.HFTrainer,
        evaluator.PatchCallback,
    )
    if list(inspect.signature(trainer_class.get_optimizer_cls_and_kwargs).parameters) != ["args"]:
        kind._init_optimizer_helpers = _with_default_optimizer(
            kind._init_optimizer_helpers, evaluator
        )
    if "num_items_in_batch" in inspect.signature(trainer_class.compute_loss).parameters:
        kind.patch_loss = _with_items_in_batch(kind.patch_loss)
    kind.patch_optimizer_step = _with_late_optimizer(kind.patch_optimizer_step, callback)


def _with_default_optimizer(initialize, evaluator):
    """NNI replaces the function that chooses the optimizer by one that takes the arguments of old: hand it the optimizer."""

    @functools.wraps(initialize)
    def init_optimizer_helpers(self, pure_model):
        trainer = self.traced_trainer
        if trainer.optimizer is None or not evaluator.is_traceable(trainer.optimizer):
            choose = evaluator.HFTrainer.get_optimizer_cls_and_kwargs

            def traced(*args, **kwargs):
                optimizer_class, settings = choose(*args, **kwargs)
                return evaluator.nni.trace(optimizer_class), settings

            trainer.optimizer = None
            evaluator.HFTrainer.get_optimizer_cls_and_kwargs = staticmethod(traced)
            try:
                trainer.optimizer = trainer.create_optimizer()
            finally:
                evaluator.HFTrainer.get_optimizer_cls_and_kwargs = staticmethod(choose)
        return initialize(self, pure_model)

    return init_optimizer_helpers


def _with_items_in_batch(patch_loss):
    """Trainers tell the loss how many items a batch has, which NNI's patch of the loss does not take."""

    @functools.wraps(patch_loss)
    def patched(self, patch):
        patch_loss(self, patch)
        compute_loss = self.trainer.compute_loss
        self.trainer.compute_loss = lambda model, inputs, return_outputs=False, **_: compute_loss(
            model, inputs, return_outputs
        )

    return patched


def _with_late_optimizer(patch_optimizer_step, callback):
    """NNI takes a trainer's DeepSpeed engine where the trainer has a name for one, though there is none, or else asks the
    callback handler, which today's trainers tell nothing: they keep the optimizer themselves.
    """

    @functools.wraps(patch_optimizer_step)
    def patched(self, before_step_tasks, after_step_tasks):
        patch_optimizer_step(self, before_step_tasks, after_step_tasks)
        begin, trainer = callback.on_train_begin, self.trainer

        def on_train_begin(*args, **kwargs):
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
