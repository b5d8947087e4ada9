import pytest
import torch
from torch import nn
from torch.nn import functional

from nni_stress.pruning import screening


def test_a_screen_judges_on_its_own_statistics_and_leaves_the_network_as_it_was():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(144, 3),
    )
    network[1].running_mean.fill_(50.0)  # statistics of another network
    network.train()
    network[3].eval()
    inputs = torch.randn(16, 1, 8, 8)
    targets = torch.randint(3, (16,))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    loss = screening.Screen(inputs, targets, functional.cross_entropy)(network, 8)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert network[1].training and not network[3].training and network[1].momentum == 0.1
    reference = nn.Sequential(network[0], nn.BatchNorm2d(4), *network[2:]).eval()
    reference[1].train()
    with torch.no_grad():
        expected = functional.cross_entropy(reference(inputs[:8]), targets[:8])
    assert loss == pytest.approx(float(expected), rel=1e-5)


def test_a_screen_needs_examples():
    with pytest.raises(ValueError, match="as many targets as inputs, but got 2 and 3"):
        screening.Screen(torch.rand(3, 1), torch.zeros(2), functional.mse_loss)
    with pytest.raises(ValueError, match="but got 0 and 0"):
        screening.Screen(torch.rand(0, 1), torch.zeros(0), functional.mse_loss)
