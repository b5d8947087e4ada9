"""The Trainer of transformers with StressCallback does what a loop in a block of stress does."""

import copy

import pytest
import torch

from nni_stress import StressPruner
from tests.unit.pruning.test_own_loop import hooks_of, same_state, state_of
from tests.unit.pruning.test_pruner import same_masks
from tests.unit.pruning.test_transformers import Classifier

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
pytestmark = pytest.mark.filterwarnings("ignore")

from nni_stress.callbacks.transformers import StressCallback  # noqa: E402

FEATURES = torch.rand(24, 6)


class Failing(transformers.TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == self.step:
            raise KeyboardInterrupt


class InOrder(transformers.Trainer):
    """Its batches are always the same ones."""

    def _get_train_sampler(self, *args):
        return torch.utils.data.SequentialSampler(self.train_dataset)


def trainer_of(model, folder, *callbacks):
    settings = transformers.TrainingArguments(
        str(folder),
        num_train_epochs=2,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        max_grad_norm=0.0,
        learning_rate=0.01,
        lr_scheduler_type="constant",
        optim="adamw_torch",
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
    )
    examples = [{"features": row, "labels": index % 3} for index, row in enumerate(FEATURES)]
    return InOrder(model, settings, train_dataset=examples, callbacks=list(callbacks))


def pruner_of(model):
    return StressPruner(
        model,
        [{"op_names": ["hidden"], "sparse_ratio": 0.5}],
        seed=3,
        strength="taylor",
        stressor="nested_silence",
        stress_onset=0.2,
    )


def in_a_block(model):
    pruner = pruner_of(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.0)
    with pruner.stress(optimizer, 12):
        for index in range(24):
            rows = [(2 * index + offset) % 24 for offset in (0, 1)]
            labels = torch.tensor([row % 3 for row in rows])
            (model(features=FEATURES[rows], labels=labels)["loss"] / 2).backward()
            if index % 2:
                optimizer.step()
                optimizer.zero_grad()
    return pruner


def test_it_is_bit_for_bit_a_block_of_stress(tmp_path):
    torch.manual_seed(0)
    model = Classifier()
    own = copy.deepcopy(model)
    expected = in_a_block(own)
    pruner = pruner_of(model)
    trainer = trainer_of(model, tmp_path, StressCallback(pruner))
    trainer.train()
    assert same_masks(expected.get_masks(), pruner.get_masks())
    assert same_state(state_of(own), state_of(model))
    assert hooks_of(trainer.optimizer.optimizer) == []
    small = pruner.synthesize((FEATURES, torch.zeros(24, dtype=torch.long)))
    assert small.hidden.out_features == 8


def test_an_interrupted_training_can_be_cleaned_up_and_run_again(tmp_path):
    model = Classifier()
    names = list(model.state_dict())
    pruner = pruner_of(model)
    callback = StressCallback(pruner)
    trainer = trainer_of(model, tmp_path, callback, Failing(3))
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    pruner.unwrap_model()
    assert hooks_of(trainer.optimizer.optimizer) == [] and list(model.state_dict()) == names
    with pytest.raises(KeyboardInterrupt):
        trainer_of(model, tmp_path, callback, Failing(3)).train()
    trainer_of(model, tmp_path, callback).train()  # though nobody cleaned up
    small = pruner.synthesize((FEATURES, torch.zeros(24, dtype=torch.long)))
    assert small.hidden.out_features == 8
