"""What a loss checks before its formula runs: kinds, shapes, domains and hyper-parameters.

`@checked(...)` declares the domain of every argument that has one, so that the body below it is the formula alone.
Checking a domain reads the values: a pass or two over one argument and, on a GPU, a wait for the device.
`huber.__wrapped__` is the bare formula, which checks nothing: for `torch.compile`, or where the data are known good.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from math import inf
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeVar

Formula = TypeVar("Formula", bound=Callable[..., Any])


class Domain(Protocol):
    """What an argument of a loss may be."""

    def check(self, loss: str, name: str, given: Mapping[str, Any]) -> None:
        """Raise unless `given[name]` belongs to the domain; the first of `given` is what the model computed."""


class Interval(NamedTuple):
    """The numbers between two ends; `ends`, such as "[)", says which of the two belong to it."""

    low: float = -inf
    high: float = inf
    ends: str = "()"

    def outside(self, x: Any) -> list[Any]:
        """Where x is too small, where too large; NaN is neither, so that it runs through a loss and is seen."""
        sides = []
        if self.low > -inf:
            sides.append(x < self.low if self.ends[0] == "[" else x <= self.low)
        if self.high < inf:
            sides.append(x > self.high if self.ends[1] == "]" else x >= self.high)
        return sides

    def check(self, loss: str, name: str, given: Mapping[str, Any]) -> None:
        """Raise unless one number for each of the model's lies in the interval."""
        same_shape(loss, name, given)
        self.check_values(f"{loss}: {name}", given[name])

    def check_values(self, what: str, x: Any) -> None:
        """Raise unless every element lies in the interval."""
        for bad in self.outside(x):
            none_of(bad, x, f"{what} must lie in {self}")

    def check_number(self, what: str, x: Any) -> None:
        """Raise unless a hyper-parameter is one finite number of the interval."""
        number = x.item() if getattr(x, "shape", None) == () else x
        if not isinstance(number, (int, float)):
            raise TypeError(f"{what} must be a number, got {x!r}")
        if not math.isfinite(number) or any(self.outside(number)):
            raise ValueError(f"{what} must lie in {self}, got {number}")

    def __str__(self) -> str:
        return f"{self.ends[0]}{self.low:g}, {self.high:g}{self.ends[1]}"


class Choice(NamedTuple):
    """One of two numbers, for each number of the model or (`per_row`) for each of its rows."""

    one: float
    other: float
    per_row: bool = False

    def check(self, loss: str, name: str, given: Mapping[str, Any]) -> None:
        """Raise unless every element is one of the two."""
        (one_per_row if self.per_row else same_shape)(loss, name, given)
        x = given[name]
        none_of((x != self.one) & (x != self.other), x, f"{loss}: {name} must be {self.one:g} or {self.other:g}")


class Labels(NamedTuple):
    """One class number per row of scores or, if `or_probabilities`, one probability per score."""

    or_probabilities: bool = False

    def check(self, loss: str, name: str, given: Mapping[str, Any]) -> None:
        """Raise unless every row has a label among its classes, or its probabilities."""
        (first, scores), labels = next(iter(given.items())), given[name]
        if not scores.ndim or not scores.shape[-1]:
            raise ValueError(f"{loss}: {first} must have a last axis of classes, got shape {tuple(scores.shape)}")
        if self.or_probabilities and floating(labels) and labels.ndim >= scores.ndim:
            UNIT.check(loss, name, given)
            return
        one_per_row(loss, name, given)
        if "int" not in str(labels.dtype):
            raise TypeError(f"{loss}: {name} must hold labels of an integer dtype, got {labels.dtype}")
        labels, last, ignored = labels.long(), scores.shape[-1] - 1, given.get("ignore_index")
        must = f"{loss}: {name} must lie in [0, {last}]" + ("" if ignored is None else f" or be ignored as {ignored}")
        for bad in Interval(0, last, "[]").outside(labels):
            none_of(bad & (labels != ignored), labels, must)


class Boxes(NamedTuple):
    """Rows x1, y1, x2, y2 with x1 <= x2 and y1 <= y2."""

    def check(self, loss: str, name: str, given: Mapping[str, Any]) -> None:
        """Raise unless every row is such a box."""
        same_shape(loss, name, given)
        boxes = given[name]
        if not boxes.ndim or boxes.shape[-1] != 4:
            raise ValueError(f"{loss}: {name} must have a last axis x1, y1, x2, y2, got shape {tuple(boxes.shape)}")
        inverted = (boxes[..., 2:] < boxes[..., :2]).any(-1)
        none_of(inverted, boxes, f"{loss}: {name} must have x1 <= x2 and y1 <= y2 in every box")


class Rows(NamedTuple):
    """Rows that are compared with one another: a matrix, or a stack of them."""

    def check(self, loss: str, name: str, given: Mapping[str, Any]) -> None:
        """Raise unless there are two axes or more."""
        if given[name].ndim < 2:
            raise ValueError(f"{loss}: {name} must have shape (..., N, d), got {tuple(given[name].shape)}")


class PerClass(NamedTuple):
    """A tensor of one weight per class, or what stands for equal weights: None, or one number if `or_number`."""

    or_number: bool = False

    def check(self, loss: str, name: str, given: Mapping[str, Any]) -> None:
        """Raise unless the weights are not negative and as many as the last axis of what the model computed."""
        what, weights, classes = f"{loss}: {name}", given[name], tuple(next(iter(given.values())).shape[-1:])
        if not hasattr(weights, "detach"):
            if self.or_number:
                NOT_NEGATIVE.check_number(what, weights)
            elif weights is not None:
                raise TypeError(f"{what} must be None or a tensor of shape {classes}, got {weights!r}")
            return
        if tuple(weights.shape) != classes:
            raise ValueError(f"{what} must have shape {classes}, got {tuple(weights.shape)}")
        NOT_NEGATIVE.check_values(what, weights)


REAL = Interval()
UNIT = Interval(0, 1, "[]")
POSITIVE = Interval(0, inf)
NOT_NEGATIVE = Interval(0, inf, "[)")
NOT_POSITIVE = Interval(-inf, 0, "(]")

RANGES: Mapping[str, Interval] = {
    "delta": POSITIVE,
    "beta": POSITIVE,
    "q": Interval(0, 1),
    "label_smoothing": UNIT,
    "gamma": NOT_NEGATIVE,
    "alpha": UNIT,
    "margin": REAL,
    "temperature": POSITIVE,
}


def checked(**domains: Domain) -> Callable[[Formula], Formula]:
    """Check the arguments of a loss before its formula runs.

    Arguments without a default are data: floating tensors of one shape unless their domain says otherwise; integers
    and booleans among them are read in the dtype of the first. Arguments with a default are numbers in their interval,
    the declared one or that of `RANGES`.

    Parameters
    ----------
    **domains : Domain
        The domain of each argument that may not be any real number.

    Returns
    -------
    callable
        The decorator; what it returns raises TypeError or ValueError for bad arguments, saying which and why.
    """

    def decorate(formula: Formula) -> Formula:
        loss, signature = formula.__name__, inspect.signature(formula)
        data = [p.name for p in signature.parameters.values() if p.default is p.empty]

        @functools.wraps(formula)
        def checked_loss(*args: Any, **kwargs: Any) -> Any:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{loss}: {error}") from None
            bound.apply_defaults()
            given = bound.arguments
            for name in data:
                given[name] = _tensor(f"{loss}: {name}", given[name], given[data[0]], domains.get(name))
            for name, value in given.items():
                domain = domains.get(name, REAL if name in data else RANGES.get(name))
                if isinstance(domain, Interval) and name not in data:
                    if value is not signature.parameters[name].default:
                        domain.check_number(f"{loss}: {name}", value)
                elif domain is not None:
                    domain.check(loss, name, given)
            return formula(**given)

        checked_loss.domains = MappingProxyType(domains)  # type: ignore[attr-defined]  # read by `describe`
        return checked_loss  # type: ignore[return-value]  # the same signature, through functools.wraps

    return decorate


def same_shape(loss: str, name: str, given: Mapping[str, Any]) -> None:
    """Raise unless an argument has the shape of the first: nothing is broadcast, since (3,) - (3, 1) is (3, 3)."""
    _shaped(loss, name, given, tuple(next(iter(given.values())).shape))


def one_per_row(loss: str, name: str, given: Mapping[str, Any]) -> None:
    """Raise unless an argument has one element per row of the first."""
    _shaped(loss, name, given, tuple(next(iter(given.values())).shape[:-1]))


def none_of(bad: Any, x: Any, must: str) -> None:
    """Raise, with the first culprit, if any element (or row) of x is marked as bad."""
    if bool(bad.any()):
        raise ValueError(f"{must}, got {x[bad][0].tolist()}")


def floating(x: Any) -> bool:
    """Whether a tensor holds real (or complex) numbers rather than integers or booleans."""
    return _floating(x.dtype)


@functools.cache  # NumPy takes longer to name a dtype than to add up a mini-batch
def _floating(dtype: Any) -> bool:
    return any(kind in str(dtype) for kind in ("float", "complex"))


def _tensor(what: str, x: Any, first: Any, domain: Domain | None) -> Any:
    if not hasattr(x, "detach"):
        raise TypeError(f"{what} must be a tensor, got {type(x).__name__}")
    if floating(x) or isinstance(domain, Labels):
        return x
    if x is first:
        raise TypeError(f"{what} must be floating, got {x.dtype}")
    return x.to(first.dtype)


def _shaped(loss: str, name: str, given: Mapping[str, Any], shape: tuple[int, ...]) -> None:
    if tuple(given[name].shape) != shape:
        first, x = next(iter(given.items()))
        raise ValueError(
            f"{loss}: {name} must have shape {shape} beside {first} of shape {tuple(x.shape)}, "
            f"got {tuple(given[name].shape)}"
        )
