import numpy as np
import pytest

from lossopt.rules import RULES

PRECISION = pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])


def test_adagrad_by_hand(by_hand):
    # G: 0.25, then 0.25 + 4 = 4.25
    w1 = 1 - 0.1 * 0.5 / (0.5 + 0.25)
    w2 = w1 + 0.1 * 2 / (4.25**0.5 + 0.25)
    by_hand(RULES["adagrad"], [0.5, -2.0], [w1, w2], lr=0.1, eps=0.25)


def test_adadelta_by_hand(by_hand):
    # v: 0.4 * 0.25 = 0.1, then 0.6 * 0.1 + 0.4 * 4 = 1.66; D holds the squares of steps that know no learning rate
    step1 = 0.25**0.5 / 0.35**0.5 * 0.5
    step2 = (0.4 * step1**2 + 0.25) ** 0.5 / 1.91**0.5 * -2.0
    w1 = 1 - 0.1 * step1
    by_hand(RULES["adadelta"], [0.5, -2.0], [w1, w1 - 0.1 * step2], lr=0.1, rho=0.6, eps=0.25)


def test_rmsprop_by_hand(by_hand):
    # v: 0.1, then 1.66, as above
    w1 = 1 - 0.1 * 0.5 / (0.1**0.5 + 0.25)
    w2 = w1 + 0.1 * 2 / (1.66**0.5 + 0.25)
    by_hand(RULES["rmsprop"], [0.5, -2.0], [w1, w2], lr=0.1, alpha=0.6, eps=0.25)


def test_rmsprop_centered_by_hand(by_hand):
    # v: 0.1, then 1.66; m: 0.2, then 0.12 - 0.8 = -0.68
    w1 = 1 - 0.1 * 0.5 / ((0.1 - 0.04) ** 0.5 + 0.25)
    w2 = w1 + 0.1 * 2 / ((1.66 - 0.68**2) ** 0.5 + 0.25)
    by_hand(RULES["rmsprop_centered"], [0.5, -2.0], [w1, w2], lr=0.1, alpha=0.6, eps=0.25)


def test_its_defaults_are_those_of_torch():
    torch = pytest.importorskip("torch")
    parameter = [torch.zeros(1, requires_grad=True)]
    for name, theirs in [("adagrad", "Adagrad"), ("adadelta", "Adadelta"), ("rmsprop", "RMSprop")]:
        defaults = getattr(torch.optim, theirs)(parameter).defaults
        assert dict(RULES[name].hyper) == {key: defaults[key] for key in RULES[name].hyper}
    assert RULES["rmsprop_centered"].hyper == RULES["rmsprop"].hyper


@PRECISION
@pytest.mark.parametrize(
    ("name", "theirs", "extra", "hyper"),
    [
        ("adagrad", "Adagrad", {}, {"lr": 0.1, "eps": 1e-6}),
        ("adadelta", "Adadelta", {}, {"lr": 0.1, "rho": 0.8, "eps": 1e-3}),
        ("rmsprop", "RMSprop", {}, {"lr": 0.001, "alpha": 0.95, "eps": 1e-2}),
        ("rmsprop_centered", "RMSprop", {"centered": True}, {"lr": 0.002, "alpha": 0.95, "eps": 1e-2}),
    ],
)
def test_it_goes_with_torch(beside_torch, problem, name, theirs, extra, hyper, dtype, tolerance):
    import torch

    optimizer = getattr(torch.optim, theirs)
    beside_torch(RULES[name], optimizer, problem, dtype, tolerance, theirs=hyper | extra, **hyper)


def test_a_variance_that_rounding_made_negative_counts_as_zero():
    """Under a constant gradient v and m * m meet, and rounding may leave v the smaller: no root of that, no NaN."""
    g = np.array([0.3])
    w, _, _ = RULES["rmsprop_centered"].rule(np.ones(1), g, 9, g * g * (1 - 1e-15), g, lr=1e-9, eps=1e-8)
    assert w == pytest.approx(1 - 1e-9 * 0.3 / 1e-8, rel=1e-12)
