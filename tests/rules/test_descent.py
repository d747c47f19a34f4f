import numpy as np
import pytest

from lossopt.rules import RULES

PRECISION = [(np.float64, 1e-12), (np.float32, 1e-5)]


def test_sgd_by_hand(by_hand):
    by_hand(RULES["sgd"], [0.5, -2.0], [1 - 0.05, 0.95 + 0.2], lr=0.1)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISION)
def test_sgd_goes_with_torch(beside_torch, problem, dtype, tolerance):
    from torch.optim import SGD

    beside_torch(RULES["sgd"], SGD, problem, dtype, tolerance, lr=0.05)


def test_its_default_rate_is_that_of_torch():
    torch = pytest.importorskip("torch")
    assert RULES["sgd"].hyper["lr"] == torch.optim.SGD([torch.zeros(1, requires_grad=True)]).defaults["lr"]
