"""Pruners under the Trainer of transformers."""

import nni
import pytest
import torch
from nni.compression.pruning import TaylorPruner
from nni.compression.utils.evaluator import TransformersEvaluator
from torch import nn
from torch.nn import functional

from nni_stress import StressPruner

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
pytestmark = pytest.mark.filterwarnings(
    "ignore"
)  # transformers and accelerate warn about each other


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(6, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, features, labels):
        logits = self.head(torch.relu(self.hidden(features)))
        return {"loss": functional.cross_entropy(logits, labels), "logits": logits}


def evaluator_of(model, folder, own_optimizer):
    examples = [{"features": torch.rand(6), "labels": index % 3} for index in range(24)]
    settings = transformers.TrainingArguments(
        str(folder),
        max_steps=5,
        per_device_train_batch_size=4,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        learning_rate=0.01,
    )
    optimizer = nni.trace(torch.optim.SGD)(model.parameters(), lr=0.01) if own_optimizer else None
    return TransformersEvaluator(
        nni.trace(transformers.Trainer)(
            model=model, args=settings, train_dataset=examples, optimizers=(optimizer, None)
        )
    )


@pytest.mark.parametrize("own_optimizer", [True, False])
@pytest.mark.parametrize("pruner_class", [TaylorPruner, StressPruner])
def test_pruners_train_with_it(pruner_class, own_optimizer, tmp_path):
    torch.manual_seed(0)
    model = Classifier()
    before = model.hidden.weight.detach().clone()
    pruner = pruner_class(
        model,
        [{"op_names": ["hidden"], "sparse_ratio": 0.5}],
        evaluator_of(model, tmp_path, own_optimizer),
        training_steps=5,
    )
    _, masks = pruner.compress()
    pruner.unwrap_model()
    assert int(masks["hidden"]["weight"].any(1).sum()) == 8
    assert not torch.equal(model.hidden.weight, before)
    if pruner_class is StressPruner:
        assert pruner._ancestor.phase.step == 5


def test_a_patched_loss_is_the_one_trained_on(tmp_path):
    """Distillers patch the loss in this way."""
    torch.manual_seed(0)
    model = Classifier()
    seen = []
    before = model.hidden.weight.detach().clone()
    evaluator = evaluator_of(model, tmp_path, True)
    evaluator._init_optimizer_helpers(model)
    evaluator.bind_model(model)
    evaluator.patch_loss(lambda loss, batch: seen.append(float(loss)) or 0 * loss)
    evaluator.train(max_steps=5)
    assert len(seen) == 5 and min(seen) > 0
    assert torch.equal(model.hidden.weight, before)  # the patched loss has no gradient
