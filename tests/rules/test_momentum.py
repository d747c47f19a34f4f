import numpy as np
import pytest

from lossopt.rules import RULES

PRECISION = pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])


def test_momentum_by_hand(by_hand):
    # b: 0.5, then 0.6 * 0.5 - 2 = -1.7
    by_hand(RULES["momentum"], [0.5, -2.0], [1 - 0.05, 0.95 + 0.17], lr=0.1, momentum=0.6)


def test_nesterov_by_hand(by_hand):
    # b: 0.5, then -1.7; the step is along g + 0.6 * b: 0.8, then -3.02
    by_hand(RULES["nesterov"], [0.5, -2.0], [1 - 0.08, 0.92 + 0.302], lr=0.1, momentum=0.6)


def test_their_defaults_are_the_rate_of_torch_and_the_usual_momentum():
    torch = pytest.importorskip("torch")
    lr = torch.optim.SGD([torch.zeros(1, requires_grad=True)]).defaults["lr"]
    for name in ["momentum", "nesterov"]:
        assert dict(RULES[name].hyper) == {"lr": lr, "momentum": 0.9}


@PRECISION
def test_momentum_goes_with_torch(beside_torch, problem, dtype, tolerance):
    from torch.optim import SGD

    beside_torch(RULES["momentum"], SGD, problem, dtype, tolerance, lr=0.02, momentum=0.8)


@PRECISION
def test_nesterov_goes_with_torch(beside_torch, problem, dtype, tolerance):
    from torch.optim import SGD

    theirs = {"lr": 0.02, "momentum": 0.8, "nesterov": True}
    beside_torch(RULES["nesterov"], SGD, problem, dtype, tolerance, theirs=theirs, lr=0.02, momentum=0.8)


def test_momentum_on_a_parabola_follows_its_closed_form(path):
    """On a w^2 / 2 the points obey w(t+1) = (1 + momentum - lr a) w(t) - momentum w(t-1)."""
    lr, mu, a = 0.3, 0.5, 2.0

    class Parabola:
        start = np.array([1.0])

        def gradient(self, w, t):
            return a * w

    points = path(RULES["momentum"], Parabola(), steps=20, lr=lr, momentum=mu)[:, 0]
    p, q = np.roots([1, -(1 + mu - lr * a), mu])
    # The first two points fix the two weights of the roots.
    weights = np.linalg.solve([[1, 1], [p, q]], [1.0, 1 - lr * a])
    np.testing.assert_allclose(points, [(weights @ [p**k, q**k]).real for k in range(1, 21)], atol=1e-14)
