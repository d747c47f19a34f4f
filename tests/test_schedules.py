"""Schedules against PyTorch's and optax's schedulers, by hand, and under laws that hold for all of them."""

import inspect
import math
from functools import partial

import numpy as np
import pytest
import torch

from lossopt import schedules
from lossopt.schedules import SCHEDULES, after

STEPS = 60
T = np.arange(1, STEPS + 1)
LR = 0.3

# One setting for each argument without a default; a schedule with a new one fails until it is named here.
SETTINGS = {
    "step_size": 7,
    "milestones": (5, 20, 20, 41),
    "gamma": 0.9,
    "total_steps": 40,
    "period": 5,
    "warmup_steps": 8,
    "decay_steps": 12,
}


def bound(name):
    """Return the schedule as a function of `t` and `lr`, with a setting for every argument that needs one."""
    needed = list(inspect.signature(SCHEDULES[name]).parameters.values())[2:]
    return partial(SCHEDULES[name], **{p.name: SETTINGS[p.name] for p in needed if p.default is p.empty})


def torch_rates(make, steps=STEPS, lr=LR):
    """Return the rate PyTorch uses at each of the first steps."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler = make(optimizer)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(rates)


TORCH = {
    "constant": ({}, lambda o, s: s.ConstantLR(o, factor=1.0)),
    "step": ({"step_size": 7, "gamma": 0.5}, lambda o, s: s.StepLR(o, 7, 0.5)),
    "multistep": ({"milestones": (5, 20, 20, 41)}, lambda o, s: s.MultiStepLR(o, [5, 20, 20, 41])),
    "exponential": ({"gamma": 0.9}, lambda o, s: s.ExponentialLR(o, 0.9)),
    "polynomial": ({"total_steps": 40, "power": 2.5}, lambda o, s: s.PolynomialLR(o, 40, 2.5)),
    "cosine_restarts": (
        {"period": 5, "growth": 2, "final_lr": 0.01},
        lambda o, s: s.CosineAnnealingWarmRestarts(o, 5, 2, 0.01),
    ),
    "linear_warmup": ({"warmup_steps": 8}, lambda o, s: s.LinearLR(o, start_factor=1 / 8, total_iters=7)),
}


@pytest.mark.parametrize("name", TORCH)
def test_a_schedule_gives_the_rates_of_its_pytorch_scheduler(name):
    arguments, make = TORCH[name]
    expected = torch_rates(lambda o: make(o, torch.optim.lr_scheduler))
    np.testing.assert_allclose(SCHEDULES[name](T, LR, **arguments), expected, rtol=1e-12, atol=1e-14)


def test_restarts_without_growth_come_every_period_as_in_pytorch():
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 6))
    np.testing.assert_allclose(schedules.cosine_restarts(T, LR, 6), expected, rtol=1e-12, atol=1e-14)


def test_restarts_with_growth_three_come_on_the_exact_step():
    # Lengths 5, 15, 45, ...: starts after 5, 20, 65, 200 steps.
    rates = schedules.cosine_restarts(np.arange(1, 300), LR, 5, growth=3)
    assert [int(t) for t in np.flatnonzero(rates == LR) + 1] == [1, 6, 21, 66, 201]


def test_cosine_is_pytorchs_until_its_end_and_then_stays_where_pytorch_climbs():
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 40, 0.01))
    ours = schedules.cosine(T, LR, 40, final_lr=0.01)
    np.testing.assert_allclose(ours[:41], expected[:41], rtol=1e-12, atol=1e-14)
    assert np.all(ours[41:] == 0.01)
    assert np.all(np.diff(expected[40:]) > 0)


def test_one_cycle_is_pytorchs_and_stays_at_its_final_rate():
    def make(optimizer):
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, LR, total_steps=41, pct_start=0.35, div_factor=10, final_div_factor=100
        )

    ours = partial(schedules.one_cycle, lr=LR, total_steps=41, pct_start=0.35, div_factor=10, final_div_factor=100)
    # PyTorch refuses the call after the last step.
    np.testing.assert_allclose(ours(T[:40]), torch_rates(make, 40), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(ours(T[40:]), LR / 1000, rtol=1e-10)


def test_one_cycle_takes_pytorchs_defaults():
    expected = torch_rates(lambda o: torch.optim.lr_scheduler.OneCycleLR(o, LR, total_steps=STEPS + 1))
    np.testing.assert_allclose(schedules.one_cycle(T, LR, STEPS + 1), expected, rtol=1e-12, atol=1e-14)
    assert schedules.one_cycle(30, LR, 100) == LR


def test_schedules_are_optaxs_one_step_later():
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    with jax.enable_x64(True):
        pairs = [
            (
                partial(schedules.cosine, lr=LR, total_steps=40, final_lr=0.1 * LR),
                optax.cosine_decay_schedule(LR, 40, alpha=0.1),
            ),
            (
                partial(schedules.polynomial, lr=LR, total_steps=40, power=3.0, final_lr=0.05),
                optax.polynomial_schedule(LR, 0.05, 3.0, 40),
            ),
            (partial(schedules.exponential, lr=LR, gamma=0.9), optax.exponential_decay(LR, 1, 0.9)),
            (partial(schedules.step, lr=LR, step_size=7), optax.exponential_decay(LR, 7, 0.1, staircase=True)),
            (partial(schedules.linear_warmup, lr=LR, warmup_steps=8), optax.linear_schedule(LR / 8, LR, 7)),
            (
                partial(schedules.wsd, lr=LR, total_steps=50, warmup_steps=8, decay_steps=12, final_lr=0.02),
                optax.join_schedules(
                    [
                        optax.linear_schedule(LR / 8, LR, 7),
                        optax.constant_schedule(LR),
                        optax.linear_schedule(LR, 0.02, 12),
                    ],
                    [8, 38],
                ),
            ),
            (
                lambda t: schedules.linear_warmup(t, schedules.cosine(after(t, 8), LR, 40), 8),
                optax.join_schedules([optax.linear_schedule(LR / 8, LR, 7), optax.cosine_decay_schedule(LR, 40)], [8]),
            ),
        ]
        for ours, theirs in pairs:
            expected = np.array([float(theirs(np.float64(k))) for k in range(STEPS)])
            np.testing.assert_allclose(ours(T), expected, rtol=1e-12, atol=1e-14, err_msg=str(ours))


def test_optaxs_one_cycle_peaks_a_step_later_as_our_docstring_says():
    jax = pytest.importorskip("jax")
    optax = pytest.importorskip("optax")
    with jax.enable_x64(True):
        theirs = np.array([float(optax.cosine_onecycle_schedule(40, LR)(np.float64(k))) for k in range(STEPS)])
    ours = schedules.one_cycle(T, LR, 40)
    assert int(T[np.argmax(ours)]) == 12
    assert int(T[np.argmax(theirs)]) == 13
    np.testing.assert_allclose([ours[39], theirs[40]], LR / 25e4, rtol=1e-9)


def test_inverse_square_root_is_the_transformers_formula():
    d_model, warmup = 512, 16
    paper = d_model**-0.5 * np.minimum(T**-0.5, T * warmup**-1.5)
    np.testing.assert_allclose(schedules.inverse_square_root(T, (d_model * warmup) ** -0.5, warmup), paper, rtol=1e-12)


def test_wsd_by_hand():
    rates = schedules.wsd(np.arange(1, 13), 1.0, total_steps=10, warmup_steps=4, decay_steps=2, final_lr=0.5)
    np.testing.assert_allclose(rates, [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.5], rtol=1e-15)


def test_a_cut_shows_on_the_step_after_its_milestone():
    assert schedules.multistep(3, 1.0, (3,)) == 1.0
    assert schedules.multistep(4, 1.0, (3,)) == 0.1
    assert schedules.step(3, 1.0, 3) == 1.0
    assert schedules.step(4, 1.0, 3) == 0.1


def test_a_warm_up_wastes_no_step_and_may_be_absent():
    np.testing.assert_allclose(schedules.linear_warmup(np.arange(1, 6), 1.0, 4), [0.25, 0.5, 0.75, 1, 1])
    assert schedules.linear_warmup(1, LR, 0) == LR
    assert schedules.inverse_square_root(1, LR, 0) == LR


def test_after_counts_anew():
    np.testing.assert_array_equal(after(np.arange(1, 7), 3), [1, 1, 1, 1, 2, 3])
    assert after(2, 3) == 1.0
    assert isinstance(after(2, 3), float)


@pytest.mark.parametrize("name", SCHEDULES)
def test_one_step_gives_a_float_equal_to_the_arrays_entry(name):
    rates = bound(name)(T, LR)
    assert rates.shape == T.shape
    for t in T:
        rate = bound(name)(int(t), LR)
        assert type(rate) is float
        assert rate == pytest.approx(rates[t - 1], rel=1e-15, abs=1e-18)


@pytest.mark.parametrize("name", SCHEDULES)
def test_one_rate_a_run_gives_one_rate_a_run(name):
    lr = np.array([0.1, 0.2, 0.4])
    at_once = bound(name)(T[:, None], lr)
    assert at_once.shape == (STEPS, 3)
    for run in range(3):
        np.testing.assert_allclose(at_once[:, run], bound(name)(T, float(lr[run])), rtol=1e-14, atol=1e-18)
    assert bound(name)(3, lr).shape == (3,)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_rate_scales_with_lr_and_never_exceeds_it(name):
    rates = bound(name)(T, LR)
    assert np.all(rates >= 0)
    assert np.max(rates) <= LR * (1 + 1e-15)
    np.testing.assert_allclose(bound(name)(T, 2 * LR), 2 * rates, rtol=1e-13, atol=1e-18)


@pytest.mark.parametrize("name", SCHEDULES)
def test_steps_are_left_as_they_were(name):
    steps = T.copy()
    bound(name)(steps, LR)
    np.testing.assert_array_equal(steps, T)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("t", [0, -1, math.nan, np.array([1, 0])])
def test_a_step_before_the_first_is_refused(name, t):
    with pytest.raises(ValueError, match=f"{name}: t counts the steps from 1"):
        bound(name)(t, LR)


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("lr", [-0.1, math.nan, math.inf, np.array([0.1, -0.1])])
def test_a_rate_that_is_none_is_refused(name, lr):
    with pytest.raises(ValueError, match=f"{name}: lr must be finite and not negative"):
        bound(name)(1, lr)


@pytest.mark.parametrize("name", SCHEDULES)
def test_every_other_argument_is_checked(name):
    for argument in list(inspect.signature(SCHEDULES[name]).parameters)[2:]:
        for bad in [-1, math.nan]:
            value = (bad,) if argument == "milestones" else bad
            with pytest.raises(ValueError, match=f"^{name}: {argument} must"):
                bound(name)(1, LR, **{argument: value})


def test_lengths_are_whole_numbers_of_steps():
    with pytest.raises(ValueError, match=r"cosine: total_steps must be a whole number of at least 1, got 10.5"):
        schedules.cosine(1, LR, 10.5)
    with pytest.raises(ValueError, match="step: step_size must be a whole number of at least 1, got 0"):
        schedules.step(1, LR, 0)


def test_a_wsd_whose_parts_exceed_the_whole_is_refused():
    with pytest.raises(
        ValueError, match=r"wsd: warmup_steps \+ decay_steps must not exceed total_steps, got 6 \+ 5 > 10"
    ):
        schedules.wsd(1, LR, 10, 6, 5)


def test_a_one_cycle_without_a_way_up_is_refused():
    with pytest.raises(ValueError, match="one_cycle: pct_start must lie in"):
        schedules.one_cycle(1, LR, 3, pct_start=0.3)
    assert schedules.one_cycle(1, LR, 4, pct_start=0.3) == LR / 25


def test_schedules_are_found_and_read_only():
    assert set(SCHEDULES) == {
        "constant", "step", "multistep", "exponential", "polynomial", "cosine", "cosine_restarts", "linear_warmup",
        "one_cycle", "wsd", "inverse_square_root",
    }  # fmt: skip
    with pytest.raises(TypeError):
        SCHEDULES["mine"] = schedules.cosine
