"""Problems to compare rules on, for `lossopt.compare.compare`: landscapes, networks and linear models.

A problem runs many trainings at once, one for each rate and seed, and says how well each went; it knows nothing of
grids or of tuning.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data import Data, Examples, batches, digits
from .losses import cross_entropy
from .nn import Linear, Module, ReLU, Sequential
from .optim import Optimizer, minimize
from .tensor import no_grad, tensor

__all__ = ["Classifier", "LandscapeProblem", "digits_mlp"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LandscapeProblem:
    """A landscape as a problem: how far above its minimum a run ends that starts near the landscape's start.

    There are no data, so what is measured for choosing and for reporting differs by the seeds alone.

    Parameters
    ----------
    landscape : Landscape
        A landscape with a minimum.
    jitter : float
        Standard deviation of the starting points, in units of the window's width and height.
    """

    landscape: Any
    jitter: float = 0.05
    metric: str = "f - min f"

    @property
    def name(self) -> str:
        """The landscape's name."""
        return str(self.landscape.name)

    def run(
        self, rule: Callable[..., Any], hyper: Mapping[str, Any], seeds: NDArray[np.int64], steps: int
    ) -> tuple[Floats, Floats]:
        """Run R descents at once, see `Problem.run`.

        Parameters
        ----------
        rule : callable
            The rule.
        hyper : mapping
            Its hyper-parameters.
        seeds : int64 array, shape (R,)
            Seeds of the starting points.
        steps : int
            Number of steps.

        Returns
        -------
        validation, test : float64 arrays, shape (R,)
            The same numbers twice.

        Raises
        ------
        ValueError
            When the landscape has no minimum.
        """
        if not self.landscape.minima:
            raise ValueError(f"{self.name}: has no minimum, so there is nothing to compare with")
        size = np.ptp(self.landscape.window, axis=1)
        spread = np.stack([np.random.default_rng(seed).standard_normal(2) for seed in seeds], axis=1)
        start = np.array(self.landscape.start)[:, None] + self.jitter * size[:, None] * spread
        path = minimize(rule, self.landscape, start, steps, **hyper)
        gap = np.where(path.diverged < 0, path.loss[-1] - self.landscape.minima[0][2], np.inf)
        return gap, gap


@dataclass(frozen=True)
class Classifier:
    """Training a network to classify, as a problem: the percentage it gets wrong after the last step.

    A seed decides where a run starts and in which order it sees the training data; the data are the same for all.
    All parameters are stepped by the one rule, so a rule for matrices alone needs a network without biases.

    Parameters
    ----------
    name : str
        What is trained.
    data : Data
        What it is trained, tuned and tested on.
    network : callable
        `network(rngs, runs)` returns a module of `runs` networks, the r-th drawn from the r-th generator.
    batch : int
        Examples in a mini-batch; every epoch is shuffled.
    loss : callable
        `loss(logits, labels)`, one number an example; a step follows the gradient of its mean over the mini-batch.
    """

    name: str
    data: Data
    network: Callable[[Sequence[np.random.Generator], int], Module]
    batch: int = 32
    loss: Callable[..., Any] = cross_entropy
    metric: str = "error (%)"

    def run(
        self, rule: Callable[..., Any], hyper: Mapping[str, Any], seeds: NDArray[np.int64], steps: int
    ) -> tuple[Floats, Floats]:
        """Train R networks at once, see `Problem.run`.

        Parameters
        ----------
        rule : callable
            The rule.
        hyper : mapping
            Its hyper-parameters.
        seeds : int64 array, shape (R,)
            Seeds of the networks and of the mini-batches.
        steps : int
            Number of steps.

        Returns
        -------
        validation, test : float64 arrays, shape (R,)
            Percentage of wrong classes; NaN where the network's output is no longer finite.
        """
        rngs = [np.random.default_rng(seed) for seed in seeds]
        net = self.network(rngs, len(seeds))
        optimizer = Optimizer(net.parameters(), rule, runs=len(seeds), **hyper)
        for index in itertools.islice(self._epochs(rngs), steps):
            logits = net(tensor(self.data.train.x[index]))
            loss = self.loss(logits, tensor(self.data.train.y[index])).mean(-1)
            optimizer.zero_grad()
            loss.sum().backward()  # a sum over runs gives each run the gradient of its own mean
            optimizer.step()
        net.eval()
        return _percent_wrong(net, self.data.validation), _percent_wrong(net, self.data.test)

    def _epochs(self, rngs: Sequence[np.random.Generator]) -> Iterator[NDArray[np.int64]]:
        while True:
            yield from batches(len(self.data.train.y), self.batch, rngs)


def digits_mlp(hidden: int = 32, batch: int = 32) -> Classifier:
    """Return the problem of training a network with one hidden layer on scikit-learn's digits.

    Parameters
    ----------
    hidden : int
        Width of the hidden layer of ReLUs, >= 1.
    batch : int
        Examples in a mini-batch.

    Returns
    -------
    Classifier
        64 inputs, `hidden` units, 10 classes, in float32; 34 steps of 32 examples are one epoch.

    Raises
    ------
    ImportError
        When scikit-learn is not installed.
    """

    def network(rngs: Sequence[np.random.Generator], runs: int) -> Module:
        return Sequential(Linear(64, hidden, rng=rngs, runs=runs), ReLU(), Linear(hidden, 10, rng=rngs, runs=runs))

    return Classifier(f"digits 64-{hidden}-10", digits(), network, batch)


@no_grad()
def _percent_wrong(net: Module, examples: Examples) -> Floats:
    """Return the percentage that each run gets wrong, a thousand examples at a time."""
    wrong = []
    for start in range(0, len(examples.y), 1000):
        logits = net(tensor(examples.x[start : start + 1000])).data
        miss = logits.argmax(-1) != examples.y[start : start + 1000]
        wrong.append(np.where(np.isfinite(logits).all(-1), miss, np.nan))
    percent: Floats = 100 * np.concatenate(wrong, axis=-1).mean(-1)
    return percent
