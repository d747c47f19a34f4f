"""Learning rates as pure functions of the step.

Every schedule is `schedule(t, lr, ...)`: `t` is the step counted from 1, as in the rules, and `lr` the peak rate.
Plain numbers give a float; arrays (steps to draw, or one `lr` a run) broadcast.
A driver takes a function of the step, so hand it `lr=lambda t: cosine(t, 0.1, 1000)`.

`lr` may itself be what another schedule returned, which is how schedules are composed::

    lr=lambda t: linear_warmup(t, cosine(after(t, 100), 0.1, 900), 100)

The schedulers of PyTorch and optax count finished steps `k` from 0, so theirs at `k` is ours at `t = k + 1`.
A schedule that runs over `total_steps` therefore reaches `final_lr` at `t = total_steps + 1`, as theirs do, unless it
says otherwise, and stays there.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

# A number or an array of them; a schedule returns whichever it was given.
Number = Any


def _check_steps(name: str, t: Number, **lengths: Number) -> None:
    """Raise unless `t` counts from 1 and every length is a whole number of at least 1 (a warm-up: of at least 0)."""
    if not np.all(np.greater_equal(t, 1)):
        raise ValueError(f"{name}: t counts the steps from 1, got {t}")
    for argument, value in lengths.items():
        least = 0 if argument == "warmup_steps" else 1
        if not (isinstance(value, (int, np.integer)) and value >= least):
            raise ValueError(f"{name}: {argument} must be a whole number of at least {least}, got {value!r}")


def _check_rates(name: str, **rates: Number) -> None:
    """Raise unless every rate is finite and not negative."""
    for argument, value in rates.items():
        if not np.all(np.isfinite(value) & np.greater_equal(value, 0)):
            raise ValueError(f"{name}: {argument} must be finite and not negative, got {value}")


def _check_positive(name: str, **numbers: Number) -> None:
    """Raise unless every number is finite and above zero."""
    for argument, value in numbers.items():
        if not np.all(np.isfinite(value) & np.greater(value, 0)):
            raise ValueError(f"{name}: {argument} must be finite and above 0, got {value}")


def _clip(x: Number, low: float, high: float) -> Number:
    """Return `x` kept between `low` and `high`: a float for a number, an array for an array."""
    clipped = np.clip(x, low, high)
    return clipped if np.ndim(clipped) else float(clipped)


def _cos(x: Number) -> Number:
    """Return the cosine: a float for a number, an array for an array."""
    return np.cos(x) if np.ndim(x) else math.cos(x)


def after(t: Number, steps: int) -> Number:
    """Return the step counted anew once `steps` steps are over, and 1 until then.

    It starts a schedule after another one: `linear_warmup(t, cosine(after(t, 100), 0.1, 900), 100)`.

    Parameters
    ----------
    t : int, float or array
        The step, counted from 1.
    steps : int, at least 1
        How many steps come first.

    Returns
    -------
    float or array
        `max(t - steps, 1)`.

    Raises
    ------
    ValueError
        If `t` is below 1 or `steps` is not a whole number of at least 1.
    """
    _check_steps("after", t, steps=steps)
    return _clip(t - steps, 1, math.inf)


def constant(t: Number, lr: Number) -> Number:
    """Return `lr` at every step.

    Parameters
    ----------
    t : int, float or array
        The step, counted from 1.
    lr : float or array
        The rate, not negative.

    Returns
    -------
    float or array
        The rate at step `t`.

    Raises
    ------
    ValueError
        If `t` is below 1 or `lr` is negative or not finite.

    Source
    ------
    Robbins and Monro, A stochastic approximation method, Annals of Mathematical Statistics (1951),
    doi:10.1214/aoms/1177729586, explain why it cannot settle on a noisy gradient.
    """
    _check_steps("constant", t)
    _check_rates("constant", lr=lr)
    return lr + 0.0 * t


def step(t: Number, lr: Number, step_size: int, gamma: float = 0.1) -> Number:
    """Multiply the rate by `gamma` after every `step_size` steps.

    As `torch.optim.lr_scheduler.StepLR`: the first cut shows at `t = step_size + 1`.

    Parameters
    ----------
    t : int, float or array
        The step, counted from 1.
    lr : float or array
        The first rate, not negative.
    step_size : int, at least 1
        Steps between two cuts.
    gamma : float, above 0
        The factor of a cut.

    Returns
    -------
    float or array
        The rate at step `t`.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Source
    ------
    Krizhevsky, Sutskever and Hinton, ImageNet classification with deep convolutional neural networks (2012),
    doi:10.1145/3065386, cut the rate by ten whenever progress stopped.
    """
    _check_steps("step", t, step_size=step_size)
    _check_rates("step", lr=lr)
    _check_positive("step", gamma=gamma)
    return lr * gamma ** ((t - 1) // step_size)


def multistep(t: Number, lr: Number, milestones: tuple[int, ...], gamma: float = 0.1) -> Number:
    """Multiply the rate by `gamma` after each of the steps in `milestones`.

    As `torch.optim.lr_scheduler.MultiStepLR` and optax's `piecewise_constant_schedule`: a cut shows at `milestone + 1`.
    Keras' `PiecewiseConstantDecay` counts the steps from 0 and cuts one step later.

    Parameters
    ----------
    t : int, float or array
        The step, counted from 1.
    lr : float or array
        The first rate, not negative.
    milestones : sequence of int, each at least 1
        The steps after which the rate is cut; one given twice cuts twice.
    gamma : float, above 0
        The factor of a cut.

    Returns
    -------
    float or array
        The rate at step `t`.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Source
    ------
    He, Zhang, Ren and Sun, Deep residual learning for image recognition (2016), arXiv:1512.03385, section 4.2.
    """
    _check_steps("multistep", t)
    for milestone in milestones:
        _check_steps("multistep", t, milestones=milestone)
    _check_rates("multistep", lr=lr)
    _check_positive("multistep", gamma=gamma)
    cuts = 0 * t
    for milestone in milestones:
        cuts = cuts + (t > milestone)
    return lr * gamma**cuts


def exponential(t: Number, lr: Number, gamma: float) -> Number:
    """Multiply the rate by `gamma` after every step.

    As `torch.optim.lr_scheduler.ExponentialLR`; with `gamma` above 1 the rate grows, as in a range test.

    Parameters
    ----------
    t : int, float or array
        The step, counted from 1.
    lr : float or array
        The first rate, not negative.
    gamma : float, above 0
        The factor of a step.

    Returns
    -------
    float or array
        The rate at step `t`.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Source
    ------
    Smith, Cyclical learning rates for training neural networks (2017), arXiv:1506.01186, for the range test.
    """
    _check_steps("exponential", t)
    _check_rates("exponential", lr=lr)
    _check_positive("exponential", gamma=gamma)
    return lr * gamma ** (t - 1)


def polynomial(t: Number, lr: Number, total_steps: int, power: float = 1.0, final_lr: float = 0.0) -> Number:
    """Go from `lr` to `final_lr` along a power of the part of the way that is left; with `power=1` in a straight line.

    As optax's `polynomial_schedule`, and with `final_lr=0` as `torch.optim.lr_scheduler.PolynomialLR`.

    Parameters
    ----------
    t : int, float or array
        The step, counted from 1.
    lr : float or array
        The first rate, not negative.
    total_steps : int, at least 1
        Steps from `lr` to `final_lr`, where the rate then stays.
    power : float, above 0
        1 is linear; more falls faster at first.
    final_lr : float, not negative
        The last rate.

    Returns
    -------
    float or array
        The rate at step `t`.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Source
    ------
    Chen et al., DeepLab, IEEE Transactions on Pattern Analysis and Machine Intelligence (2018), arXiv:1606.00915.
    """
    _check_steps("polynomial", t, total_steps=total_steps)
    _check_rates("polynomial", lr=lr, final_lr=final_lr)
    _check_positive("polynomial", power=power)
    left = 1 - _clip((t - 1) / total_steps, 0, 1)
    return final_lr + (lr - final_lr) * left**power


def cosine(t: Number, lr: Number, total_steps: int, final_lr: float = 0.0) -> Number:
    """Go from `lr` to `final_lr` along half a cosine, and stay there.

    As optax's `cosine_decay_schedule`. `torch.optim.lr_scheduler.CosineAnnealingLR` is equal up to `T_max` steps, but
    then climbs back to `lr`, which it reaches after `2 * T_max` steps; this one stays at `final_lr`.

    Parameters
    ----------
    t : int, float or array
        The step, counted from 1.
    lr : float or array
        The first rate, not negative.
    total_steps : int, at least 1
        Steps from `lr` to `final_lr` (torch: `T_max`).
    final_lr : float, not negative
        The last rate (torch: `eta_min`).

    Returns
    -------
    float or array
        The rate at step `t`.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Source
    ------
    Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts (2017), arXiv:1608.03983, equation 5.
    """
    _check_steps("cosine", t, total_steps=total_steps)
    _check_rates("cosine", lr=lr, final_lr=final_lr)
    done = _clip((t - 1) / total_steps, 0, 1)
    return final_lr + (lr - final_lr) * (1 + _cos(math.pi * done)) / 2


def cosine_restarts(t: Number, lr: Number, period: int, growth: int = 1, final_lr: float = 0.0) -> Number:
    """Fall along half a cosine again and again, back to `lr` after `period` steps, each period `growth` times the last.

    As `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`; `final_lr` is never reached, since that step is the
    restart.

    Parameters
    ----------
    t : int, float or array
        The step, counted from 1.
    lr : float or array
        The rate at each start, not negative.
    period : int, at least 1
        Steps in the first period (torch: `T_0`).
    growth : int, at least 1
        Each period's length divided by the one before (torch: `T_mult`).
    final_lr : float, not negative
        The rate towards which each period falls (torch: `eta_min`).

    Returns
    -------
    float or array
        The rate at step `t`.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Source
    ------
    Loshchilov and Hutter, SGDR: stochastic gradient descent with warm restarts (2017), arXiv:1608.03983.
    """
    _check_steps("cosine_restarts", t, period=period, growth=growth)
    _check_rates("cosine_restarts", lr=lr, final_lr=final_lr)
    k, length = t - 1, period + 0 * t
    if growth == 1:
        k = k % period
    # Counted rather than taken from a logarithm, whose rounding would move a restart by a step.
    while np.any(over := k >= length):
        k, length = k - over * length, length * (1 + over * (growth - 1))
    return final_lr + (lr - final_lr) * (1 + _cos(math.pi * k / length)) / 2


def linear_warmup(t: Number, lr: Number, warmup_steps: int) -> Number:
    """Rise to `lr` in equal steps, from `lr / warmup_steps` at the first step to `lr` from step `warmup_steps` on.

    `lr` may be what another schedule returned, for this one only multiplies it.
    As `torch.optim.lr_scheduler.LinearLR(start_factor=1 / warmup_steps, total_iters=warmup_steps - 1)`, whose own
    default starts at a third of the rate. A warm-up from 0, as in transformers, wastes its first step.

    Parameters
    ----------
    t : int, float or array
        The step, counted from 1.
    lr : float or array
        The rate to rise to, not negative.
    warmup_steps : int, at least 0
        Steps of the rise; 0 is no warm-up.

    Returns
    -------
    float or array
        The rate at step `t`.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Source
    ------
    Goyal et al., Accurate, large minibatch SGD: training ImageNet in 1 hour (2017), arXiv:1706.02677, section 2.2.
    """
    _check_steps("linear_warmup", t, warmup_steps=warmup_steps)
    _check_rates("linear_warmup", lr=lr)
    return lr * _clip(t / max(warmup_steps, 1), 0, 1)


def one_cycle(
    t: Number,
    lr: Number,
    total_steps: int,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Number:
    """Rise from `lr / div_factor` to `lr` along half a cosine, then fall along another one far below the start.

    As `torch.optim.lr_scheduler.OneCycleLR` with its default cosine and two phases: the peak is at `pct_start *
    total_steps`, and the last step, `t = total_steps`, has the final rate `lr / (div_factor * final_div_factor)`.
    Three departures:

    - torch also cycles the momentum between 0.85 and 0.95; a schedule here is the rate's alone (any hyper-parameter
      of a driver may be a function of the step).
    - torch raises an error after `total_steps`; this one stays at the final rate.
    - optax's `cosine_onecycle_schedule` rounds the peak down to a whole step and is one step later there and at the
      end.

    Parameters
    ----------
    t : int, float or array
        The step, counted from 1.
    lr : float or array
        The peak rate, not negative (torch: `max_lr`).
    total_steps : int, at least 1
        The length of the cycle.
    pct_start : float in (0, 1)
        The part of the cycle that rises; it must hold more than one step.
    div_factor : float, above 0
        The peak divided by the first rate.
    final_div_factor : float, above 0
        The first rate divided by the last one.

    Returns
    -------
    float or array
        The rate at step `t`.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Source
    ------
    Smith and Topin, Super-convergence: very fast training of neural networks using large learning rates (2018),
    arXiv:1708.07120.
    """
    _check_steps("one_cycle", t, total_steps=total_steps)
    _check_rates("one_cycle", lr=lr)
    _check_positive("one_cycle", div_factor=div_factor, final_div_factor=final_div_factor)
    if not 1 / total_steps < pct_start < 1:
        raise ValueError(
            f"one_cycle: pct_start must lie in (1 / total_steps, 1), got {pct_start} of {total_steps} steps"
        )
    first = lr / div_factor
    final = first / final_div_factor
    up = pct_start * total_steps - 1
    risen = _clip((t - 1) / up, 0, 1)
    fallen = _clip((t - 1 - up) / (total_steps - 1 - up), 0, 1)
    return first + (lr - first) * (1 - _cos(math.pi * risen)) / 2 - (lr - final) * (1 - _cos(math.pi * fallen)) / 2


def wsd(t: Number, lr: Number, total_steps: int, warmup_steps: int, decay_steps: int, final_lr: float = 0.0) -> Number:
    """Warm up, stay, decay: rise as `linear_warmup`, keep `lr`, and fall in a straight line over the last steps.

    The warm-up is one step ahead of the one in transformers, which starts at 0; the decay is theirs with `linear`.
    The paper leaves the form of the decay open; that a line does well is found by Hägele et al. (arXiv:2405.18392).

    Parameters
    ----------
    t : int, float or array
        The step, counted from 1.
    lr : float or array
        The rate of the long middle, not negative.
    total_steps : int
        All steps; at least `warmup_steps + decay_steps`.
    warmup_steps : int, at least 0
        Steps of the rise.
    decay_steps : int, at least 1
        Steps of the fall to `final_lr`, where the rate then stays.
    final_lr : float, not negative
        The last rate.

    Returns
    -------
    float or array
        The rate at step `t`.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Source
    ------
    Hu et al., MiniCPM: unveiling the potential of small language models with scalable training strategies (2024),
    arXiv:2404.06395.
    """
    _check_steps("wsd", t, total_steps=total_steps, warmup_steps=warmup_steps, decay_steps=decay_steps)
    _check_rates("wsd", lr=lr, final_lr=final_lr)
    if warmup_steps + decay_steps > total_steps:
        raise ValueError(
            f"wsd: warmup_steps + decay_steps must not exceed total_steps, "
            f"got {warmup_steps} + {decay_steps} > {total_steps}"
        )
    fallen = _clip((t - 1 - (total_steps - decay_steps)) / decay_steps, 0, 1)
    return linear_warmup(t, lr, warmup_steps) - (lr - final_lr) * fallen


def inverse_square_root(t: Number, lr: Number, warmup_steps: int) -> Number:
    """Rise to `lr` in `warmup_steps` equal steps, then fall as `sqrt(warmup_steps / t)`.

    The schedule of the Transformer: its `d_model^-0.5 * min(t^-0.5, t * warmup_steps^-1.5)` is this one with
    `lr = (d_model * warmup_steps)^-0.5`. transformers counts from 0: its rate after `t` steps is ours at step `t`.

    Parameters
    ----------
    t : int, float or array
        The step, counted from 1.
    lr : float or array
        The peak rate, reached at `t = warmup_steps`; not negative.
    warmup_steps : int, at least 0
        Steps of the rise; 0 and 1 both start at the peak.

    Returns
    -------
    float or array
        The rate at step `t`.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Source
    ------
    Vaswani et al., Attention is all you need (2017), arXiv:1706.03762, section 5.3.
    """
    _check_steps("inverse_square_root", t, warmup_steps=warmup_steps)
    _check_rates("inverse_square_root", lr=lr)
    scale = max(warmup_steps, 1)
    return lr * _clip(t / scale, 0, 1) * _clip(scale / t, 0, 1) ** 0.5


def _find() -> dict[str, Callable[..., Number]]:
    """Return every public function of this module that begins with `(t, lr, ...)`."""
    functions = {name: value for name, value in globals().items() if inspect.isfunction(value) and name[0] != "_"}
    return {name: f for name, f in functions.items() if list(inspect.signature(f).parameters)[:2] == ["t", "lr"]}


SCHEDULES: Mapping[str, Callable[..., Number]] = MappingProxyType(_find())
