"""One training loop, written once: run with lossopt and with torch by changing what is imported."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import lossopt.torch
from lossopt import losses, nn
from lossopt.optim import Optimizer
from lossopt.rules import adam, momentum, sgd
from lossopt.tensor import tensor

random = np.random.default_rng(11)
LABELS = random.integers(0, 3, 60)
POINTS = random.normal(size=(60, 5)) + 1.5 * np.eye(3, 5)[LABELS]
IMAGES = random.normal(size=(60, 1, 8, 8)) + 3 * np.eye(3, 64)[LABELS].reshape(60, 1, 8, 8)


def mlp(nn):
    return nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 8), nn.GELU(), nn.Linear(8, 3))


def cnn(nn):
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24, 3),
    )


def train(net, tensor, Optimizer, loss, x, labels, rule, steps=40, batch=20, **hyper):
    """The loop a reader would write; nothing in it says which library runs it."""
    optimizer = Optimizer(net.parameters(), rule, **hyper)
    x, labels = tensor(x), tensor(labels)
    curve = []
    net.train()
    for step in range(steps):
        start = step * batch % len(labels)
        value = loss(net(x[start : start + batch]), labels[start : start + batch]).mean()
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        curve.append(value.item())
    net.eval()
    hits = net(x).argmax(-1) == labels
    return np.array(curve), hits.double().mean().item()


@pytest.mark.parametrize(("build", "x"), [(mlp, POINTS), (cnn, IMAGES)])
@pytest.mark.parametrize(("rule", "hyper"), [(sgd, {"lr": 0.3}), (momentum, {"lr": 0.05}), (adam, {"lr": 0.01})])
def test_the_same_loop_gives_the_same_curve_in_both_libraries(build, x, rule, hyper):
    torch.manual_seed(0)
    net, twin = build(nn).double(), build(torch.nn).double()
    net.load_state_dict(twin.state_dict())
    curve, accuracy = train(net, tensor, Optimizer, losses.cross_entropy, x, LABELS, rule, **hyper)
    other, expected = train(twin, torch.tensor, lossopt.torch.Optimizer, losses.cross_entropy, x, LABELS, rule, **hyper)
    np.testing.assert_allclose(curve, other, rtol=1e-10, atol=1e-10)
    assert accuracy == expected
    assert curve[-3:].mean() < curve[:3].mean() / 1.5
    for name, value in twin.state_dict().items():
        np.testing.assert_allclose(net.state_dict()[name], value.numpy(), rtol=1e-8, atol=1e-9, err_msg=name)


def test_a_network_with_a_run_axis_trains_as_its_runs_one_by_one():
    def build(rng, runs=None):
        return nn.Sequential(
            nn.Linear(5, 16, rng=rng, runs=runs),
            nn.BatchNorm1d(16, runs=runs),
            nn.ReLU(),
            nn.Linear(16, 3, rng=rng, runs=runs),
        ).double()

    def generators():
        return [np.random.default_rng(seed) for seed in range(3)]

    rates = [0.003, 0.01, 0.03]
    x, labels = tensor(POINTS), tensor(LABELS)

    def train_all(net, target, **hyper):
        optimizer = Optimizer(net.parameters(), adam, **hyper)
        for _ in range(30):
            value = losses.cross_entropy(net(x), target).mean(-1)
            optimizer.zero_grad()
            value.sum().backward()
            optimizer.step()
        return value.detach().data

    together = train_all(build(generators(), 3), labels.unsqueeze(0).expand(3, -1), lr=np.array(rates), runs=3)
    alone = [train_all(build(rng), labels, lr=lr) for rng, lr in zip(generators(), rates, strict=True)]
    np.testing.assert_allclose(together, alone, rtol=1e-11)
    assert len(set(together)) == 3
