"""Problems to compare rules on, for `lossopt.compare.compare`: landscapes, networks and linear models.

A problem runs many trainings at once, one for each rate and seed, and says how well each went; it knows nothing of
grids or of tuning.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .data import Data, Examples, batches, digits
from .losses import binary_cross_entropy_with_logits, cross_entropy, squared_error
from .nn import Linear, Module, ReLU, Sequential
from .optim import Optimizer, minimize
from .tensor import Tensor, no_grad, tensor

__all__ = ["Classifier", "LandscapeProblem", "LinearModel", "digits_mlp", "separable", "sparse_logistic"]

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
    It is measured at the weights that it trains; those of a schedule-free rule are not its average.

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


@dataclass(frozen=True)
class LinearModel:
    """Training a linear model from zero, as a problem: its mean loss on unseen examples after the last step.

    Each seed draws its own data, so an interval over seeds is one over data sets. A run goes through its training
    examples in the order in which they were drawn, and again from the first.

    Parameters
    ----------
    name : str
        What is trained.
    draw : callable
        `draw(rng)` returns a Data; `x` has shape (examples, features) and `y` (examples,), in float64.
    loss : callable
        `loss(score, target)`, one number an example, where a score is the product of features and weights.
    batch : int
        Examples in a mini-batch; it divides the number of training examples.
    """

    name: str
    draw: Callable[[np.random.Generator], Data]
    loss: Callable[..., Any]
    batch: int
    metric: str = "test loss"

    def run(
        self, rule: Callable[..., Any], hyper: Mapping[str, Any], seeds: NDArray[np.int64], steps: int
    ) -> tuple[Floats, Floats]:
        """Train R models at once, see `Problem.run`.

        Parameters
        ----------
        rule : callable
            The rule.
        hyper : mapping
            Its hyper-parameters.
        seeds : int64 array, shape (R,)
            Seeds of the data.
        steps : int
            Number of steps.

        Returns
        -------
        validation, test : float64 arrays, shape (R,)
            Mean loss; not finite where the weights are no longer finite.

        Raises
        ------
        ValueError
            When `batch` does not divide the number of training examples.
        """
        different, of_run = np.unique(seeds, return_inverse=True)
        data = [_drawn(self.draw, int(seed)) for seed in different]
        x, y = _stacked(part.train for part in data)
        examples, features = x.shape[1:]
        if examples % self.batch:
            raise ValueError(f"{self.name}: batch {self.batch} does not divide the {examples} training examples")
        w = tensor(np.zeros((len(seeds), features, 1)), requires_grad=True)
        optimizer = Optimizer([w], rule, runs=len(seeds), **hyper)
        shown = None
        for t in range(steps):
            start = t * self.batch % examples
            if start != shown:  # the whole data set is not copied anew in each step
                part, shown = slice(start, start + self.batch), start
                inputs, targets = tensor(x[:, part][of_run]), tensor(y[:, part][of_run])
            loss = self.loss((inputs @ w).reshape(len(seeds), -1), targets).mean(-1)
            optimizer.zero_grad()
            loss.sum().backward()  # a sum over runs gives each run the gradient of its own mean
            optimizer.step()
        unseen = (_stacked(part.validation for part in data), _stacked(part.test for part in data))
        validation, test = (self._mean_loss(w.detach(), x[of_run], y[of_run]) for x, y in unseen)
        return validation, test

    @no_grad()
    def _mean_loss(self, w: Tensor, x: Floats, y: Floats) -> Floats:
        with np.errstate(all="ignore"):  # weights that are not finite give a loss that is not
            loss: Floats = self.loss((tensor(x) @ w).reshape(len(x), -1), tensor(y)).mean(-1).numpy()
        return loss


def separable(examples: int = 50) -> LinearModel:
    """Return the problem of least squares on data that every rule can fit, and that adaptive rules learn by heart.

    The first feature is the label, the next two are always 1, and each training example has features that no other
    example has: one if its label is 1, five if it is -1. In 60 percent of all examples the label is 1.

    Parameters
    ----------
    examples : int
        Training examples, >= 1; there are 3 + 5 * `examples` features.

    Returns
    -------
    LinearModel
        The squared error; a step sees all training examples.

    Source
    ------
    Wilson, Roelofs, Stern, Srebro and Recht, The Marginal Value of Adaptive Gradient Methods in Machine Learning
    (2017), arXiv:1705.08292, section 3.3.
    """

    def some(rng: np.random.Generator, count: int, own: bool) -> Examples:
        y = np.where(rng.random(count) < 0.6, 1.0, -1.0)
        x = np.zeros((count, 3 + 5 * examples))
        x[:, 0], x[:, 1:3] = y, 1.0
        for i in range(count if own else 0):  # the own features of unseen examples have weights that are still 0
            x[i, 3 + 5 * i : 3 + 5 * i + (1 if y[i] > 0 else 5)] = 1.0
        return Examples(x, y)

    def draw(rng: np.random.Generator) -> Data:
        return Data(some(rng, examples, True), some(rng, 200, False), some(rng, 1000, False))

    return LinearModel("separable", draw, squared_error, examples)


def sparse_logistic(features: int = 200, examples: int = 4000, batch: int = 4) -> LinearModel:
    """Return the problem of logistic regression on features that are mostly absent, as words are in a text.

    The k-th feature is present in a share of the examples that falls as 1/k, about ten in an example; all have the
    same say in the label. A model that sees each example once takes `examples / batch` steps.

    Parameters
    ----------
    features, examples, batch : int
        Features, training examples, and examples in a mini-batch, each >= 1.

    Returns
    -------
    LinearModel
        Binary cross-entropy; labels are 0 and 1, drawn by the true model.

    Source
    ------
    Ours, after the online setting of Duchi, Hazan and Singer, Adaptive Subgradient Methods for Online Learning and
    Stochastic Optimization, Journal of Machine Learning Research 12 (2011), 2121-2159.
    """
    rarity = np.arange(1, features + 1)
    present = np.minimum(0.5, 10 / rarity / (1 / rarity).sum())
    truth = 2 * np.random.default_rng(0).standard_normal(features)

    def some(rng: np.random.Generator, count: int) -> Examples:
        x = (rng.random((count, features)) < present).astype(np.float64)
        y = (rng.random(count) < 1 / (1 + np.exp(-x @ truth))).astype(np.float64)
        return Examples(x, y)

    def draw(rng: np.random.Generator) -> Data:
        return Data(some(rng, examples), some(rng, 500), some(rng, 1500))

    return LinearModel("sparse logistic", draw, binary_cross_entropy_with_logits, batch)


@functools.lru_cache(maxsize=16)
def _drawn(draw: Callable[[np.random.Generator], Data], seed: int) -> Data:
    """Return a seed's data, kept for the next rule, which meets the same seeds."""
    return draw(np.random.default_rng(seed))


def _stacked(parts: Iterable[Examples]) -> tuple[Floats, Floats]:
    x, y = zip(*parts, strict=True)
    return np.stack(x), np.stack(y)


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
