"""Where a task's networks train."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from nni_stress import Task
from nni_stress.trial.errors import InputError
from nni_stress.trial.placement import device_of, placed

INPUTS = torch.rand(8, 4)
TASK = Task(
    network=lambda: nn.Linear(4, 2),
    example_input=(INPUTS[:2],),
    loader=lambda generator: [((INPUTS,), {"labels": [torch.zeros(2)] * 8})],
    loss=nn.functional.mse_loss,
    fidelity=lambda network, split: 0.0,
    founder_epochs=1,
    founder_learning_rate=0.1,
    screening=(INPUTS, torch.zeros(8)),
)


@pytest.mark.parametrize("device", ["cud", "cuda:77", 3.5])
def test_a_device_that_is_not_there_is_one_line(device):
    with pytest.raises(InputError, match=f"^Task.device must be .*{device}") as raised:
        placed(replace(TASK, device=device))
    assert "\n" not in str(raised.value)


def test_on_the_cpu_a_task_stays_as_it_is():
    task = replace(TASK, device="cpu")
    assert placed(task) is task


def test_a_task_that_is_on_its_device_looks_after_itself():
    task = replace(TASK, example_input=INPUTS.to("meta"))
    assert device_of(task).type == "meta" and placed(task) is task


def test_network_batches_screening_and_example_are_moved():
    task = placed(replace(TASK, device="meta"))
    batches = task.loader(torch.Generator())
    [(inputs, targets)] = batches
    there = [*inputs, *targets["labels"], *task.screening, *task.example_input]
    assert len(batches) == 1 and all(one.is_meta for one in there) and len(there) == 12
    assert all(weight.is_meta for weight in task.network().parameters())


def test_a_loader_without_length_is_named_as_it_is():
    task = placed(replace(TASK, device="meta", loader=lambda generator: iter([])))
    assert type(task.loader(torch.Generator())).__name__ == "list_iterator"
