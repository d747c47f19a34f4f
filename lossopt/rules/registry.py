"""What the drivers need to know about a rule, read from the rule itself.

A signature is the whole declaration: weights, gradient and step first, then state (no default), then hyper-parameters
(with one). So a new function in a family file is found here, and nothing lists it a second time.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import math
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, ModuleType
from typing import Any

__all__ = ["RANGES", "RULES", "Interval", "Rule", "at_step", "describe", "validate"]


@dataclass(frozen=True)
class Interval:
    """The numbers a hyper-parameter may be.

    Parameters
    ----------
    low, high : float
        The two ends; infinite where there is none.
    low_closed, high_closed : bool
        Whether the end itself belongs to the interval.
    """

    low: float = -math.inf
    high: float = math.inf
    low_closed: bool = False
    high_closed: bool = False

    def holds(self, value: Any) -> Any:
        """Where a number or array lies inside: a bool, or an array of them; NaN lies nowhere."""
        above = value >= self.low if self.low_closed else value > self.low
        below = value <= self.high if self.high_closed else value < self.high
        return above & below

    def __str__(self) -> str:
        return f"{'[' if self.low_closed else '('}{self.low:g}, {self.high:g}{']' if self.high_closed else ')'}"


_FROM_ZERO = Interval(0, low_closed=True)
_FRACTION = Interval(0, 1, low_closed=True)

RANGES: Mapping[str, Interval] = MappingProxyType(
    {
        "lr": _FROM_ZERO,
        "eta": _FROM_ZERO,
        "momentum": Interval(0, 1, low_closed=True, high_closed=True),
        "momentum_decay": _FROM_ZERO,
        "alpha": _FRACTION,
        "rho": _FRACTION,
        "beta": Interval(0, 1, high_closed=True),
        "beta1": _FRACTION,
        "beta2": _FRACTION,
        "eps": _FROM_ZERO,
        "weight_decay": _FROM_ZERO,
        "trust_coefficient": _FROM_ZERO,
        "initial_accumulator_value": _FROM_ZERO,
        "frequency": Interval(1, low_closed=True),
    }
)


@dataclass(frozen=True, eq=False)
class Rule:
    """A rule and what its signature and docstring say about it.

    Parameters
    ----------
    name : str
        The function's name.
    rule : callable
        The function itself, `(w, g, t, *state, **hyper) -> w` or `(w, *state)`.
    state : tuple of str
        Names of what it remembers, in order; each starts at 0.0.
    hyper : mapping of str to number
        Hyper-parameters and their defaults.
    ranges : mapping of str to Interval
        Where each hyper-parameter must lie.
    elementwise : bool
        Whether it may be applied to any part of a parameter alone.
    matrices_only : bool
        Whether it is defined for matrices alone.
    family : str
        The file it lives in; empty for a function that was made in none.
    year : int or None
        The year of its source; None where the docstring gives none.
    parents : tuple of str
        Names of the rules it was made from; empty for the first of them, and where the docstring gives none.
    adds : str
        What it adds to them, in a sentence.
    """

    name: str
    rule: Callable[..., Any]
    state: tuple[str, ...]
    hyper: Mapping[str, Any]
    ranges: Mapping[str, Interval]
    elementwise: bool
    matrices_only: bool
    family: str
    year: int | None
    parents: tuple[str, ...]
    adds: str

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only mapping can be neither copied nor saved; the function can, and says everything.
        return describe, (self.rule,)


@functools.cache
def describe(function: Callable[..., Any] | Rule) -> Rule:
    """Say what a rule remembers, what it can be told, and where it comes from.

    Parameters
    ----------
    function : callable
        Any function `(w, g, t, <state without default>, <hyper-parameters with default>)`; your own as well.
        A description is given back as it is.

    Returns
    -------
    Rule

    Raises
    ------
    TypeError
        If it is not such a function.
    """
    if isinstance(function, Rule):
        return function
    if not inspect.isroutine(function) and not hasattr(function, "__wrapped__"):
        raise TypeError(f"a rule is a function such as lossopt.rules.adam, got {function!r}")
    name = function.__name__
    parameters = list(inspect.signature(function).parameters.values())
    if [p.name for p in parameters[:3]] != ["w", "g", "t"]:
        raise TypeError(f"{name}: the first three arguments of a rule are w, g, t, got {_names(parameters)}")
    for parameter in parameters:
        if parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            raise TypeError(f"{name}: a rule has neither * nor ** nor keyword-only arguments, got {parameter}")
    state = tuple(p.name for p in parameters[3:] if p.default is p.empty)
    hyper = {p.name: p.default for p in parameters[3:] if p.default is not p.empty}
    doc = inspect.getdoc(function) or ""
    parents, adds = _lineage(doc)
    return Rule(
        name=name,
        rule=function,
        state=state,
        hyper=MappingProxyType(hyper),
        ranges=MappingProxyType({key: RANGES.get(key, Interval()) for key in hyper}),
        elementwise=not getattr(function, "whole_tensor", False),
        matrices_only=getattr(function, "matrices_only", False),
        family=(function.__module__ or "").rpartition(".")[2],
        year=_year(doc),
        parents=parents,
        adds=adds,
    )


def validate(rule: Rule | Callable[..., Any], hyper: Mapping[str, Any]) -> None:
    """Raise if a rule cannot be run with these hyper-parameters.

    Parameters
    ----------
    rule : Rule or callable
        The rule or its description.
    hyper : mapping of str to number, array or function of the step
        What it is to be run with. A function of the step is checked when it is called, see `at_step`.

    Raises
    ------
    TypeError
        If the rule has no hyper-parameter of that name, or a value is not a number.
    ValueError
        If a value, or one of an array of them, lies outside its range or is NaN.
    """
    rule = describe(rule)
    for name, value in hyper.items():
        if name not in rule.hyper:
            close = difflib.get_close_matches(name, rule.hyper)
            hint = f"did you mean {close[0]!r}?" if close else f"it has {', '.join(rule.hyper) or 'none'}"
            raise TypeError(f"{rule.name}: unknown hyper-parameter {name!r}, {hint}")
        if not callable(value):
            _check(f"{rule.name}: {name}", value, rule.ranges[name])


def at_step(hyper: Mapping[str, Any], t: int) -> dict[str, Any]:
    """The hyper-parameters of one step, with functions of the step evaluated.

    Parameters
    ----------
    hyper : mapping of str to number, array or function of the step
        Already validated, apart from what the functions will return.
    t : int
        The step, counted from 1.

    Returns
    -------
    dict of str to number or array

    Raises
    ------
    TypeError, ValueError
        If a function returned something that is not a number inside the range.
    """
    values = {}
    for name, value in hyper.items():
        if callable(value):
            value = value(t)
            _check(f"step {t}: {name}", value, RANGES.get(name, Interval()))
        values[name] = value
    return values


def _check(what: str, value: Any, interval: Interval) -> None:
    """Raise, in one sentence, unless a number or every element of an array lies in the interval."""
    try:
        inside = interval.holds(value)
    except TypeError:
        kinds = "a number, an array of numbers or a function of the step"
        raise TypeError(f"{what} must be {kinds}, got {value!r}") from None
    if hasattr(inside, "all"):
        if bool(inside.all()):
            return
        value = value.reshape(-1)[~inside.reshape(-1)][0].item()
    elif inside:
        return
    raise ValueError(f"{what} must lie in {interval}, got {value}")


def _names(parameters: list[inspect.Parameter]) -> str:
    return ", ".join(str(parameter) for parameter in parameters[:3]) or "none"


def _year(text: str) -> int | None:
    """The first year in parentheses of a docstring's Source paragraph."""
    found = re.search(r"\((\d{4})\)", text.rpartition("Source")[2])
    return int(found[1]) if found else None


def _lineage(text: str) -> tuple[tuple[str, ...], str]:
    """The names before the colon of a docstring's Extends section, and the sentence after it."""
    found = re.search(r"^Extends\n-------\n([\w, ]+): (.+?)(?:\n\n|\Z)", text, re.MULTILINE | re.DOTALL)
    return (tuple(re.findall(r"\w+", found[1])), " ".join(found[2].split())) if found else ((), "")


def _rules_in(module: ModuleType) -> list[Rule]:
    """The rules a family file defines: its own functions that begin with `(w, g, t`."""
    functions = [f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == module.__name__]
    return [describe(f) for f in functions if list(inspect.signature(f).parameters)[:3] == ["w", "g", "t"]]


def _find() -> dict[str, Rule]:
    """All rules of this package by name: oldest first, dialects last."""
    package = importlib.import_module(__package__)
    files = [name for _, name, _ in pkgutil.iter_modules(package.__path__) if name != "registry"]
    rules = [rule for name in files for rule in _rules_in(importlib.import_module(f"{__package__}.{name}"))]
    rules.sort(key=lambda rule: (rule.family == "dialects", rule.year, rule.name))
    return {rule.name: rule for rule in rules}


RULES: Mapping[str, Rule] = MappingProxyType(_find())
