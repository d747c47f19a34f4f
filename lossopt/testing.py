"""The laws that every rule, loss and landscape of this package keeps, to hold your own to.

With this module you can

- check a rule: `check_rule(my_rule)`;
- check a loss: `check_loss(my_loss)`;
- check a landscape: `check_landscape(my_landscape)`.

Each runs what it is given on small examples, the same ones every time, and returns a `Report`.
If laws are broken it raises a `LawError`, with one sentence for each of them.

A law holds for all rules, so it knows nothing of the one you read about: whether `eps` stands where the paper puts it,
only steps worked by hand can tell.

NumPy is enough. What needs PyTorch or SymPy is checked where they are installed; the report says what was not checked.
"""

from __future__ import annotations

import importlib
import inspect
import itertools
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .gradcheck import GradientError, gradcheck
from .landscapes import Landscape
from .losses import checks
from .losses.registry import Loss
from .losses.registry import describe as describe_loss
from .optim import Optimizer
from .rules.registry import Rule, describe, validate
from .tensor import Tensor, tensor

__all__ = ["LawError", "Report", "check_landscape", "check_loss", "check_rule"]

Array: TypeAlias = NDArray[Any]
Complaints: TypeAlias = Iterator[str]  # each goes on after the name of what is checked: "returns ..."


# Laws --------------------------------------------------------------------------------------------------------------


class LawError(AssertionError):
    """Laws are broken.

    Parameters
    ----------
    name : str
        What broke them.
    broken : dict of str to str
        For each broken law the sentence that says how; the message is all of them.
    """

    def __init__(self, name: str, broken: dict[str, str]) -> None:
        super().__init__(name, broken)  # as they are, so that the error survives pickling
        self.name = name
        self.broken = broken

    def __str__(self) -> str:
        laws = "a law" if len(self.broken) == 1 else f"{len(self.broken)} laws"
        return "\n- ".join([f"{self.name} breaks {laws}:", *self.broken.values()])


@dataclass(frozen=True)
class Report:
    """Which laws were found to hold; prints as a list of them.

    Parameters
    ----------
    name : str
        What was checked.
    held : tuple of str
        The laws that hold.
    skipped : mapping of str to str
        The laws that were not checked, and why.
    """

    name: str
    held: tuple[str, ...]
    skipped: Mapping[str, str]

    def __repr__(self) -> str:
        lines = [f"{self.name} keeps {len(self.held)} laws:", *(f"- {law}" for law in self.held)]
        if self.skipped:
            lines += ["not checked:", *(f"- {law}\n  ({why})" for law, why in self.skipped.items())]
        return "\n".join(lines)


class _NotCheckedError(Exception):
    """A law does not apply, or what it needs is not installed."""


class _Law(NamedTuple):
    statement: str
    check: Callable[[Any], Complaints]
    decisive: bool  # nothing more can be said of what breaks it


Check = TypeVar("Check", bound=Callable[[Any], Complaints])


def _law(laws: list[_Law], statement: str, decisive: bool = False) -> Callable[[Check], Check]:
    def add(check: Check) -> Check:
        laws.append(_Law(statement, check, decisive))
        return check

    return add


def _judge(name: str, laws: Sequence[_Law], subject: Any) -> Report:
    held: list[str] = []
    skipped: dict[str, str] = {}
    broken: dict[str, str] = {}
    for law in laws:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")  # a verdict does not hang on which warnings are errors here
                complaint = next(law.check(subject), None)
        except _NotCheckedError as reason:
            skipped[law.statement] = str(reason)
            continue
        except Exception as error:  # another's code may raise anything
            said = (str(error).splitlines() or [""])[0]
            complaint = f"raises {type(error).__name__} while it is checked that {law.statement}: {said}"
        if complaint is None:
            held.append(law.statement)
            continue
        broken[law.statement] = f"{name} {complaint}"
        if law.decisive:
            break
    if broken:
        raise LawError(name, broken)
    return Report(name, tuple(held), skipped)


def _library(name: str) -> Any:
    """A library that is never required; it is imported here, where it is used."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise _NotCheckedError(f"{name} is not installed") from None


def _formula_of(function: Callable[..., Any], thing: Rule | Landscape) -> Complaints:
    _library("sympy")
    from .formula import latex

    try:
        inspect.getsource(function)
    except (OSError, TypeError):  # made by exec, or typed at a prompt
        raise _NotCheckedError("its source cannot be read") from None
    try:
        latex(thing)
    except ValueError as error:
        yield f"has no formula that can be printed: {str(error).removeprefix(f'{function.__name__}: ')}"


def _documented(function: Callable[..., Any]) -> str:
    """A docstring that has sections."""
    text = inspect.getdoc(function) or ""
    if "Parameters\n---" not in text:
        raise _NotCheckedError("its docstring has no section Parameters")
    return text


def _same(a: Any, b: Any) -> bool:
    return np.array_equal(a, b, equal_nan=True)


def _apart(a: Any, b: Any) -> float:
    """The largest difference between two arrays; NaN in one place of both is none, in one of them it is infinite."""
    difference = np.abs(np.asarray(a) - np.asarray(b))
    alone = np.isnan(a) != np.isnan(b)
    return float(np.max(np.where(alone, np.inf, np.where(np.isnan(difference), 0.0, difference)), initial=0.0))


# Rules -------------------------------------------------------------------------------------------------------------

_SHAPE = (4, 3)
_STEPS = 10  # RAdam divides from step 6 on, SOAP turns its axes at 3, 5, 7 and 9
# Values at which a few steps move the weights clearly; a hyper-parameter that is not here keeps its default.
_LIVELY = {"lr": 0.1, "eps": 1e-3, "momentum": 0.8, "beta1": 0.7, "beta2": 0.8, "weight_decay": 0.05}
_LIVELY |= {"frequency": 2, "trust_coefficient": 0.1}
_DTYPES = ("float32", "float64")

_RULE: list[_Law] = []


def check_rule(rule: Rule | Callable[..., Any], **hyper: float) -> Report:
    """Hold a rule to the laws of all rules.

    Parameters
    ----------
    rule : function or Rule
        `(w, g, t, <state without default>, <hyper-parameters with default>)`, one of yours or of this package.
    **hyper : float
        Hyper-parameters to run it with, where it should not run with its defaults or with those of the checks.

    Returns
    -------
    Report

    Raises
    ------
    LawError
        If it breaks a law; the sentences say which, and how.
    TypeError, ValueError
        If it is no rule, or cannot be told these hyper-parameters.
    """
    described = describe(rule)
    validate(described, hyper)
    for name, value in hyper.items():
        if callable(value) or np.ndim(value):
            raise TypeError(f"{described.name}: {name} must be one number here, got {value!r}")
    return _judge(described.name, _RULE, _Trial(described, hyper))


@dataclass(frozen=True)
class _Trial:
    """A rule and what the caller wants it to be run with."""

    rule: Rule
    given: Mapping[str, float]

    def lively(self, **changed: float) -> dict[str, Any]:
        """All hyper-parameters, at values that show what the rule does."""
        return self.default(**{**_LIVELY, **self.given, **changed})

    def default(self, **changed: float) -> dict[str, Any]:
        """All hyper-parameters, at the rule's own values."""
        values = {**self.rule.hyper, **self.given, **changed}
        return {name: values[name] for name in self.rule.hyper}

    def step(self, *arguments: Any, **hyper: Any) -> list[Any]:
        new = self.rule.rule(*arguments, **hyper)
        return list(new) if self.rule.state else [new]

    def run(self, w: Any, gradients: Sequence[Any], hyper: Mapping[str, Any]) -> list[Any]:
        """The weights after the last step, then the state."""
        values = [w, *self.zeros()]
        for t, g in enumerate(gradients, start=1):
            values = self.step(values[0], g, t, *values[1:], **hyper)
        return values

    def end(self, part: Any = ..., **changed: float) -> Any:
        """The weights after ten lively steps of all weights, or of a part of them by itself."""
        return self.run(_start()[part], [g[part] for g in _gradients()], self.lively(**changed))[0]

    def zeros(self) -> list[float]:
        return [0.0] * len(self.rule.state)

    def names(self) -> str:
        return ", ".join(("w", *self.rule.state))

    def elementwise_only(self) -> None:
        if not self.rule.elementwise:
            raise _NotCheckedError("it needs whole tensors")


def _start(shape: tuple[int, ...] = _SHAPE, dtype: str = "float64") -> Array:
    return np.random.default_rng(8).normal(size=shape).astype(dtype)


def _gradients(shape: tuple[int, ...] = _SHAPE, dtype: str = "float64") -> list[Array]:
    """Other arrays at every call, so that a rule which changes them breaks no law but the one on that."""
    rng = np.random.default_rng(7)
    return [rng.normal(size=shape).astype(dtype) for _ in range(_STEPS)]


@_law(_RULE, "it returns its weights, then its state", decisive=True)
def _returns(trial: _Trial) -> Complaints:
    new = trial.rule.rule(_start(), _gradients()[0], 1, *trial.zeros(), **trial.lively())
    states = len(trial.rule.state)
    if states and not (isinstance(new, tuple) and len(new) == 1 + states):
        got = f"{len(new)} values" if isinstance(new, tuple) else f"one {type(new).__name__}"
        yield f"must return {trial.names()}, and returns {got}"
    if not states and not isinstance(new, np.ndarray):
        yield f"must return its weights alone, and returns a {type(new).__name__}"


@_law(_RULE, "the same call gives the same result", decisive=True)
def _pure(trial: _Trial) -> Complaints:
    first, second = (trial.run(_start(), _gradients(), trial.lively()) for _ in range(2))
    if not all(map(_same, first, second)):
        yield (
            "gives another result when it is run again from the same start: it remembers something that is not in its "
            "state, or draws random numbers"
        )


@_law(_RULE, "nothing it is given is changed")
def _changes_nothing(trial: _Trial) -> Complaints:
    names = ["weights", "gradient", *(f"state {name}" for name in trial.rule.state)]
    w, state = _start(), trial.zeros()
    for t, g in enumerate(_gradients(), start=1):
        given = [w, g, *state]
        before = [np.asarray(value).tobytes() for value in given]
        w, *state = trial.step(w, g, t, *state, **trial.lively())
        after = [np.asarray(value).tobytes() for value in given]
        changed = [name for name, b, a in zip(names, before, after, strict=True) if a != b]
        if changed:
            what = " and the ".join(changed)
            yield f"changes the {what} it was given, at step {t}: x = x + y makes a new x, x += y changes the old"


@_law(_RULE, "its state is never the gradient itself")
def _keeps_no_gradient(trial: _Trial) -> Complaints:
    for hyper in (trial.lively(), trial.lively(beta1=0.0, beta2=0.0, momentum=0.0)):
        w, state = _start(), trial.zeros()
        for t, g in enumerate(_gradients(), start=1):
            w, *state = trial.step(w, g, t, *state, **hyper)
            for name, value in zip(("w", *trial.rule.state), (w, *state), strict=True):
                if np.shares_memory(value, g):
                    yield f"returns the gradient it was given as its {name}, where a copy such as 1 * g is safe"


@_law(_RULE, "ten ordinary steps stay finite")
def _finite(trial: _Trial) -> Complaints:
    values: list[Any] = [_start(), *trial.zeros()]
    for t, g in enumerate(_gradients(), start=1):
        values = trial.step(values[0], g, t, *values[1:], **trial.lively())
        for name, value in zip(("w", *trial.rule.state), values, strict=True):
            if not np.isfinite(value).all():
                bad = np.asarray(value)[~np.isfinite(value)].flat[0]
                yield f"makes {name} {bad} at step t = {t}, with ordinary gradients"


@_law(_RULE, "shape and precision are kept")
def _keeps_kind(trial: _Trial) -> Complaints:
    shapes: list[tuple[int, ...]] = [_SHAPE, (3, 1)] if trial.rule.matrices_only else [_SHAPE, (5,), (2, 2, 2), (1,)]
    for dtype, shape in itertools.product(_DTYPES, shapes):
        w, *state = trial.run(_start(shape, dtype), _gradients(shape, dtype), trial.lively())
        if w.dtype != dtype or w.shape != shape:
            yield f"makes {w.dtype} weights of shape {w.shape} of {dtype} weights of shape {shape}"
        for name, value in zip(trial.rule.state, state, strict=True):
            if getattr(value, "dtype", dtype) != dtype:
                yield f"keeps its {name} as {value.dtype} beside {dtype} weights"
            if trial.rule.elementwise and np.shape(value) not in (shape, ()):
                yield f"keeps {name} of shape {np.shape(value)} for weights of shape {shape}"


@_law(_RULE, "no weights at all can be stepped")
def _empty(trial: _Trial) -> Complaints:
    trial.elementwise_only()
    w, *_ = trial.run(np.zeros(0), [np.zeros(0)] * 3, trial.default())
    if w.shape != (0,):
        yield f"makes weights of shape {w.shape} of none"


@_law(_RULE, "the layout in memory does not matter")
def _layout(trial: _Trial) -> Complaints:
    strided = [np.repeat(g, 2, axis=1)[:, ::2] for g in _gradients()]
    other = trial.run(np.asfortranarray(_start()), strided, trial.lively())[0]
    if _apart(other, trial.end()) > (0 if trial.rule.elementwise else 1e-13):
        yield "takes other steps where the same numbers lie otherwise in memory (transposed, or with gaps)"


@_law(_RULE, "a gradient of zero leaves fresh weights alone")
def _zero_gradient(trial: _Trial) -> Complaints:
    for dtype in _DTYPES:
        zeros = [np.zeros(_SHAPE, dtype)] * 3
        w, *state = trial.run(_start(dtype=dtype), zeros, trial.default(weight_decay=0.0))
        if not all(np.isfinite(value).all() for value in (w, *state)):
            yield "makes NaN of a gradient of zero: is eps added to what it divides by?"
        elif not _same(w, _start(dtype=dtype)):
            yield "moves weights whose gradient has always been zero"


@_law(_RULE, "a rate of zero leaves the weights alone")
def _zero_rate(trial: _Trial) -> Complaints:
    if "lr" not in trial.rule.hyper:
        raise _NotCheckedError("it has no hyper-parameter lr")
    if not _same(trial.end(lr=0.0, weight_decay=0.0), _start()):
        yield "does not leave the weights as they are when lr is 0"


@_law(_RULE, "five default steps go downhill on a bowl")
def _downhill(trial: _Trial) -> Complaints:
    w = np.array([[1.0, -0.5], [0.25, 2.0]])
    values: list[Any] = [w, *trial.zeros()]
    for t in range(1, 6):
        values = trial.step(values[0], 0.5 * values[0], t, *values[1:], **trial.default())
    before, after = np.sum(w * w), np.sum(values[0] * values[0])
    if not after < before:
        yield f"does not go downhill: its first five steps take a bowl from {before:.6g} to {after:.6g}"


@_law(_RULE, "floats are stepped as arrays are")
def _floats(trial: _Trial) -> Complaints:
    trial.elementwise_only()
    whole = trial.end()
    for index in np.ndindex(_SHAPE):
        alone = trial.run(float(_start()[index]), [float(g[index]) for g in _gradients()], trial.lively())[0]
        if type(alone) is not float:
            yield f"makes a {type(alone).__name__} of a float: use arithmetic, or what lossopt.primitives has"
        if _apart(alone, whole[index]) > 1e-13 * abs(whole[index]) + 1e-14:
            yield f"steps a float to {alone:.6g} and an array of it to {whole[index]:.6g}"


@_law(_RULE, "torch steps as NumPy does")
def _torch(trial: _Trial) -> Complaints:
    torch = _library("torch")
    for dtype, tolerance in zip(_DTYPES, (1e-5, 1e-12), strict=True):
        ours = trial.run(_start(dtype=dtype), _gradients(dtype=dtype), trial.lively())[0]
        tensors = [torch.from_numpy(g) for g in _gradients(dtype=dtype)]
        theirs = trial.run(torch.from_numpy(_start(dtype=dtype)), tensors, trial.lively())[0]
        if theirs.dtype != getattr(torch, dtype):
            yield f"makes {theirs.dtype} of {dtype} tensors of torch"
        if (apart := _apart(theirs.numpy(), ours)) > tolerance:
            yield f"ends up to {apart:.1e} apart in torch and in NumPy, in {dtype}"


@_law(_RULE, "a grid of runs equals its runs one by one")
def _grid(trial: _Trial) -> Complaints:
    trial.elementwise_only()
    names = list(trial.rule.hyper)
    if not names:
        raise _NotCheckedError("it has no hyper-parameters")
    values = trial.lively()
    factors = np.array([0.5, 0.75, 1.0])
    for first, second in zip(names, names[1:] or names, strict=False):
        grid = {first: values[first] * factors[:, None], second: values[second] * factors[None, :]}
        in_grid = [g[:, None, None] for g in _gradients((3,))]
        together = trial.run(_start((3,))[:, None, None], in_grid, {**values, **grid})[0]
        for i, j in np.ndindex(3, 3):
            alone = {name: np.broadcast_to(value, (3, 3))[i, j, None] for name, value in grid.items()}
            expected = trial.run(_start((3,)), _gradients((3,)), {**values, **alone})[0]
            if not _same(np.broadcast_to(together, (3, 3, 3))[:, i, j], expected):
                where = ", ".join(f"{name}={value.item():g}" for name, value in alone.items())
                yield f"takes other steps in a grid of runs than in the same run by itself, at {where}"


@_law(_RULE, "every weight is stepped by itself, or marked")
def _marked(trial: _Trial) -> Complaints:
    whole, rows = trial.end(), np.s_[:2]
    if not trial.rule.elementwise and _apart(trial.end(rows), whole[rows]) < 1e-3:
        yield "is marked as a rule for whole tensors, and steps a part of one as it steps the whole"
    columns: list[Any] = [np.s_[:, j] for j in range(_SHAPE[1])]
    for part in [rows, *columns] if trial.rule.elementwise else []:
        if not _same(trial.end(part), whole[part]):
            yield "looks at several weights at once: mark it with lossopt.primitives.whole_tensor"


@_law(_RULE, "renamed coordinates give renamed results")
def _renamed(trial: _Trial) -> Complaints:
    places = np.ix_([2, 0, 3, 1], [1, 2, 0])
    if _apart(trial.end(places), trial.end()[places]) > (0 if trial.rule.elementwise else 1e-12):
        yield "takes other steps where the weights come in another order"


@_law(_RULE, "SymPy's symbols pass through it")
def _symbols(trial: _Trial) -> Complaints:
    trial.elementwise_only()
    sympy = _library("sympy")
    numbers: dict[str, Any] = {"w": 1.5, "g": -0.5, "t": 2} | dict.fromkeys(trial.rule.state, 0.25) | trial.lively()
    symbols = dict(zip(numbers, sympy.symbols(list(numbers), real=True), strict=True))
    new, expected = trial.step(**symbols), trial.step(**numbers)
    for name, expression, value in zip(("w", *trial.rule.state), new, expected, strict=True):
        number = float(sympy.sympify(expression).subs({symbols[name]: numbers[name] for name in numbers}))
        if not abs(number - value) <= 1e-12 * max(1.0, abs(value)):
            yield f"makes {name} {number:.6g} by way of symbols, and {value:.6g} of the numbers themselves"


@_law(_RULE, "its formula can be printed")
def _printed(trial: _Trial) -> Complaints:
    return _formula_of(trial.rule.rule, trial.rule)


@_law(_RULE, "its defaults lie in their ranges")
def _ranges(trial: _Trial) -> Complaints:
    try:
        validate(trial.rule, trial.rule.hyper)
    except (TypeError, ValueError) as error:
        yield f"has a default that no driver accepts: {str(error).partition(': ')[2]}"


@_law(_RULE, "an Optimizer, saved and loaded, goes on as a loop")
def _optimizer(trial: _Trial) -> Complaints:
    weights, saved = _start(), None
    for half in (slice(0, _STEPS // 2), slice(_STEPS // 2, None)):
        parameter = Tensor(weights.copy(), requires_grad=True)
        optimizer = Optimizer([parameter], trial.rule, **trial.lively())
        if saved is not None:
            optimizer.load_state_dict(saved)
        for g in _gradients()[half]:
            parameter.grad = Tensor(g)
            optimizer.step()
        weights, saved = parameter.data, optimizer.state_dict()
    if (apart := _apart(weights, trial.end())) > 1e-12:
        yield (
            f"ends {apart:.1e} away from a plain loop where lossopt.Optimizer runs it and is saved and loaded halfway: "
            "a state must be a number, or an array of numbers"
        )


@_law(_RULE, "its docstring describes every argument")
def _docstring(trial: _Trial) -> Complaints:
    text = _documented(trial.rule.rule)
    for section in ("Parameters", "Returns", "Raises", "Notes", "Source"):
        if not re.search(rf"^{section}\n-{{{len(section)}}}$", text, re.MULTILINE):
            yield f"has no section {section} in its docstring"
    parameters = text.split("Parameters\n----------\n")[1].split("\n\nReturns")[0]
    entries = re.findall(r"^(\w[\w, ]*) : (\S.*)\n    \S.*", parameters, re.MULTILINE)
    kinds = {name: kind for names, kind in entries for name in names.split(", ")}
    arguments = ["w", "g", "t", *trial.rule.state, *trial.rule.hyper]
    if missing := [name for name in arguments if name not in kinds]:
        yield f"does not describe its argument {missing[0]} in its docstring"
    if extra := [name for name in kinds if name not in arguments]:
        yield f"describes an argument {extra[0]} in its docstring that it does not have"
    for name, interval in trial.rule.ranges.items():
        if not kinds[name].endswith(f" in {interval}"):
            yield f"does not say in its docstring that {name} lies in {interval}"
    if text.split("Returns\n-------\n")[1].splitlines()[0] != trial.names():
        yield f"does not say in its docstring that it returns {trial.names()}"


# Losses ------------------------------------------------------------------------------------------------------------

_BATCH, _ROWS, _LAST = 6, 3, 4
_FAR = 1e4  # where exp has long overflown, and a square has not

_LOSS: list[_Law] = []


def check_loss(loss: Loss | Callable[..., Any], *example: ArrayLike, **hyper: Any) -> Report:
    """Hold a loss to the laws of all losses.

    Parameters
    ----------
    loss : function or Loss
        `(<data without default>, <hyper-parameters with default>)`, one of yours or of this package.
    *example : array_like, each with a first axis of as many examples
        Data to run it on, in the order of its arguments: floats, or integers for labels; no value at which it has a
        kink. Left out, random numbers of the domains it declares by `lossopt.losses.checks.checked`, or any numbers.
    **hyper : number or array
        Hyper-parameters to run it with; arrays are handed over as tensors of the precision of the data.

    Returns
    -------
    Report

    Raises
    ------
    LawError
        If it breaks a law; the sentences say which, and how.
    TypeError, ValueError
        If it is no loss, has no such hyper-parameter, or the example does not fit it.
    """
    described = loss if isinstance(loss, Loss) else describe_loss(loss)
    name, arguments = described.name, ", ".join(described.arguments)
    if unknown := [key for key in hyper if key not in described.hyper]:
        raise TypeError(
            f"{name}: unknown hyper-parameter {unknown[0]!r}, it has {', '.join(described.hyper) or 'none'}"
        )
    arrays = [np.asarray(a) for a in example] or _drawn(described)
    if len(arrays) != len(described.arguments):
        raise ValueError(f"{name}: an example has an array for each of {arguments}, got {len(arrays)}")
    rows = {a.shape[0] if a.ndim else 0 for a in arrays}
    if len(rows) > 1 or min(rows) < 2:
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise ValueError(f"{name}: an example has two rows or more, equally many in each array, got shapes {shapes}")
    if arrays[0].dtype.kind != "f":
        raise TypeError(f"{name}: {described.arguments[0]} must be floating, got {arrays[0].dtype}")
    arrays = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays]
    return _judge(name, _LOSS, _Case(described, arrays, hyper, drawn=not example))


def _drawn(loss: Loss) -> list[Array]:
    """Random values of the domains of a loss, for a model that computed BATCH x ROWS x LAST numbers."""
    rng = np.random.default_rng(3)
    return [_values(loss.domains.get(name, checks.REAL), rng) for name in loss.arguments]


def _values(domain: Any, rng: np.random.Generator) -> Array:
    shape = (_BATCH, _ROWS, _LAST)
    match domain:
        case checks.Interval():
            return rng.uniform(max(domain.low, -5) + 0.05, min(domain.high, 5) - 0.05, shape)
        case checks.Choice():
            return rng.choice([domain.one, domain.other], shape[:-1] if domain.per_row else shape) * 1.0
        case checks.Labels():
            return rng.integers(0, _LAST, shape[:-1])
        case checks.Boxes():
            low = rng.normal(size=(_BATCH, _ROWS, 2))
            return np.concatenate([low, low + rng.uniform(0.5, 3, low.shape)], axis=-1)
    return rng.normal(size=shape)


def _extreme(domain: Any, values: Array, rng: np.random.Generator) -> Array:
    """Some of the values replaced by the ends of their domain, or by numbers far out where it has no end."""
    match domain:
        case checks.Interval():
            ends = [-_FAR] if domain.low == -np.inf else [domain.low] if domain.ends[0] == "[" else []
            ends += [_FAR] if domain.high == np.inf else [domain.high] if domain.ends[1] == "]" else []
            some = rng.random(values.shape) < 0.7
            return np.where(some, rng.choice(ends, values.shape), values) if ends else values
        case checks.Boxes():
            corner = values[..., :2]
            flat = np.where(rng.random(corner.shape) < 0.5, corner, values[..., 2:])
            return np.round(np.concatenate([corner, flat], axis=-1))  # rounded, so that boxes touch and coincide
    return values


class _Kind(NamedTuple):
    """One library's tensors."""

    name: str
    make: Callable[..., Any]

    def inputs(self, arrays: Sequence[Array]) -> list[Any]:
        return [self.make(a, requires_grad=a.dtype.kind == "f") for a in arrays]


@dataclass(frozen=True)
class _Case:
    """A loss, an example, and what the caller wants it to be run with."""

    loss: Loss
    example: list[Array]
    given: Mapping[str, Any]
    drawn: bool

    def kinds(self) -> list[_Kind]:
        """Both kinds of tensors, or one where torch is not installed."""
        try:
            return [_Kind("lossopt", tensor), _Kind("torch", _library("torch").tensor)]
        except _NotCheckedError:
            return [_Kind("lossopt", tensor)]

    def call(self, kind: _Kind, inputs: Sequence[Any]) -> Any:
        dtype = inputs[0].dtype
        hyper = {name: kind.make(h).to(dtype) if isinstance(h, np.ndarray) else h for name, h in self.given.items()}
        return self.loss.loss(*inputs, **hyper)

    def value(self, kind: _Kind, arrays: Sequence[Array]) -> Array:
        return np.asarray(self.call(kind, kind.inputs(arrays)).detach().numpy())

    def value_and_gradients(self, kind: _Kind, arrays: Sequence[Array]) -> tuple[Array, list[Any]]:
        """The loss of every example, and the gradient of their sum (None for integers)."""
        inputs = kind.inputs(arrays)
        result = self.call(kind, inputs)
        result.sum().backward()
        return np.asarray(result.detach().numpy()), [_gradient(x) if x.requires_grad else None for x in inputs]

    def domain(self, i: int) -> Any:
        return self.loss.domains.get(self.loss.arguments[i], checks.REAL)


def _gradient(x: Any) -> Array:
    return np.zeros(tuple(x.shape)) if x.grad is None else np.asarray(x.grad.detach().numpy())


@_law(_LOSS, "it gives finite numbers", decisive=True)
def _gives_numbers(case: _Case) -> Complaints:
    kind = case.kinds()[0]
    on, hint = "the example", ""
    if case.drawn:
        on, hint = "random numbers", "; give it an example, or declare its domains with lossopt.losses.checks.checked"
    try:
        result = case.call(kind, kind.inputs(case.example))
    except Exception as error:  # another's code may raise anything
        yield f"raises {type(error).__name__} on {on}: {error}{hint}"
        return
    if not isinstance(result, Tensor):
        yield f"must return a tensor, and returns a {type(result).__name__}"
    elif not np.isfinite(result.detach().numpy()).all():
        yield f"is not finite on {on}{hint}"


@_law(_LOSS, "it is one number an example, never an average", decisive=True)
def _per_example(case: _Case) -> Complaints:
    for kind in case.kinds():
        together = case.value(kind, case.example)
        if not together.ndim:
            yield "gives one number for the whole batch: leave .mean() to its caller"
        elif together.shape != case.example[0].shape[: together.ndim]:
            yield f"gives losses of shape {together.shape} for an input of shape {case.example[0].shape}"
        else:
            for i, loss in enumerate(together):
                alone = case.value(kind, [a[i] for a in case.example])
                if not np.allclose(alone, loss, rtol=1e-12, atol=1e-14):
                    yield "gives an example another loss in its batch than by itself"


@_law(_LOSS, "nothing it is given is changed")
def _loss_changes_nothing(case: _Case) -> Complaints:
    for kind in case.kinds():
        inputs = kind.inputs(case.example)
        case.call(kind, inputs).sum().backward()
        for name, array, x in zip(case.loss.arguments, case.example, inputs, strict=True):
            if x.detach().numpy().tobytes() != array.tobytes():
                yield f"changes the {name} it was given"


@_law(_LOSS, "its tape gives its derivative")
def _derivative(case: _Case) -> Complaints:
    if "detach" in inspect.unwrap(case.loss.loss).__code__.co_names:
        raise _NotCheckedError("it calls detach, and so gives another gradient on purpose")
    kind, arrays = case.kinds()[0], [a[:2] for a in case.example]
    # Labels, and targets of two values, cannot be moved: they have no derivative.
    moved = [
        i
        for i, a in enumerate(arrays)
        if a.dtype.kind == "f" and not isinstance(case.domain(i), (checks.Labels, checks.Choice))
    ]

    def of_the_moved(*values: Tensor) -> Any:
        inputs = kind.inputs(arrays)
        for i, value in zip(moved, values, strict=True):
            inputs[i] = value
        return case.call(kind, inputs)

    try:
        gradcheck(of_the_moved, *[arrays[i] for i in moved], complex_tolerance=1e-13)
    except GradientError as error:
        names = [case.loss.arguments[i] for i in moved]
        where = re.sub(r"^gradcheck: input (\d+)", lambda found: names[int(found[1])], str(error))
        yield f"has another slope than its tape gives, or a kink in the example: {where}"


@_law(_LOSS, "precision is kept")
def _loss_keeps_precision(case: _Case) -> Complaints:
    for kind, dtype in itertools.product(case.kinds(), _DTYPES):
        arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in case.example]
        inputs = kind.inputs(arrays)
        result = case.call(kind, inputs)
        result.sum().backward()
        value = result.detach().numpy()
        if value.dtype != dtype or (inputs[0].grad is not None and inputs[0].grad.dtype != inputs[0].dtype):
            yield f"makes {value.dtype} losses of {dtype} inputs"
        exact = case.value(kind, case.example)
        if not np.allclose(value, exact, rtol=1e-4, atol=1e-5):
            yield f"loses its digits in {dtype}: its losses are up to {_apart(value, exact):.1e} off"


@_law(_LOSS, "torch computes the same")
def _loss_in_torch(case: _Case) -> Complaints:
    _library("torch")
    (ours, our_gradients), (theirs, their_gradients) = (
        case.value_and_gradients(kind, case.example) for kind in case.kinds()
    )
    if not np.allclose(ours, theirs, rtol=1e-12, atol=1e-12):
        yield f"is up to {_apart(ours, theirs):.1e} apart on tensors of torch and of lossopt"
    for name, a, b in zip(case.loss.arguments, our_gradients, their_gradients, strict=True):
        if a is not None and not np.allclose(a, b, rtol=1e-12, atol=1e-12):
            yield f"has gradients of {name} that are up to {_apart(a, b):.1e} apart in torch and in lossopt"


@_law(_LOSS, "an empty batch gives an empty result")
def _empty_batch(case: _Case) -> Complaints:
    for kind in case.kinds():
        value, gradients = case.value_and_gradients(kind, [a[:0] for a in case.example])
        wanted = (0, *case.value(kind, case.example).shape[1:])
        if value.shape != wanted:
            yield f"gives losses of shape {value.shape} for an empty batch, where {wanted} is right"
        if gradients[0] is not None and gradients[0].shape != (0, *case.example[0].shape[1:]):
            yield f"has a gradient of shape {gradients[0].shape} for an empty batch"


@_law(_LOSS, "NaN is seen, in its own example alone")
def _not_a_number(case: _Case) -> Complaints:
    first, *others = case.example
    for kind in case.kinds():
        spoilt = first.copy()
        spoilt[0] = np.nan
        value = case.value(kind, [spoilt, *others])
        if not np.isnan(value[0]).any():
            yield f"hides a NaN in its {case.loss.arguments[0]}"
        if not np.isfinite(value[1:]).all():
            yield "lets a NaN in one example spread to the others"


@_law(_LOSS, "finite numbers never make NaN")
def _extremes(case: _Case) -> Complaints:
    if not case.drawn:
        raise _NotCheckedError("the domain of the given example is not known")
    rng = np.random.default_rng(5)
    for kind, _ in itertools.product(case.kinds(), range(5)):
        arrays = [_extreme(case.domain(i), a, rng) for i, a in enumerate(case.example)]
        arrays = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]
        value, gradients = case.value_and_gradients(kind, arrays)
        if np.isnan(value).any():
            yield f"{_where(case, arrays, np.isnan(value))}, where it should have its limit"
        for name, gradient in zip(case.loss.arguments, gradients, strict=True):
            if gradient is not None and np.isnan(gradient).any():
                yield f"has NaN in the gradient of its {name} where its inputs are finite"


def _where(case: _Case, arrays: Sequence[Array], bad: NDArray[np.bool_]) -> str:
    place = tuple(np.argwhere(bad)[0])
    inputs = ", ".join(f"{name}={a[place].tolist()}" for name, a in zip(case.loss.arguments, arrays, strict=True))
    return f"is NaN at {inputs}"


@_law(_LOSS, "its docstring describes every argument")
def _loss_docstring(case: _Case) -> Complaints:
    text = _documented(case.loss.loss)
    order = ["Domain: ", "Activation: ", ".. math:: ", "Remark: "]
    order += [f"{section}\n---" for section in ("Parameters", "Returns", "Raises", "Source")]
    places = [text.find(part) for part in order]
    for part, place in zip(order, places, strict=True):
        if place < 0:
            yield f"has no {part.split()[0].rstrip(':')} in its docstring"
    if places != sorted(places):
        yield f"has the parts of its docstring in another order than {', '.join(part.split()[0] for part in order)}"
    section = text.split("Parameters\n----------\n")[1].split("\n\nReturns")[0]
    described = [name for line in re.findall(r"^(\w.*?) : ", section, re.MULTILINE) for name in line.split(", ")]
    arguments = [*case.loss.arguments, *case.loss.hyper]
    if described != arguments:
        yield f"describes {', '.join(described)} in its docstring, and its arguments are {', '.join(arguments)}"


# Landscapes --------------------------------------------------------------------------------------------------------

_LANDSCAPE: list[_Law] = []


def check_landscape(landscape: Landscape) -> Report:
    """Hold a landscape to the laws of all landscapes.

    Parameters
    ----------
    landscape : Landscape
        One of yours or of this package.

    Returns
    -------
    Report

    Raises
    ------
    LawError
        If it breaks a law; the sentences say which, and how.
    TypeError
        If it is no landscape.
    """
    if not isinstance(landscape, Landscape):
        raise TypeError(f"a landscape is a lossopt.landscapes.Landscape, got {landscape!r}")
    return _judge(landscape.name, _LANDSCAPE, landscape)


def _points(f: Landscape, dtype: str = "float64") -> tuple[Array, Array]:
    """Forty points of the window; other arrays at every call, as for the rules."""
    rng = np.random.default_rng(7)
    x, y = (rng.uniform(low, high, 40).astype(dtype) for low, high in f.window)
    return x, y


def _surface(f: Landscape, x: Any, y: Any) -> dict[str, Any]:
    height = f(x, y)
    along_x, along_y = f.gradient(x, y)
    return {"height": height, "slope along x": along_x, "slope along y": along_y}


def _slopes(f: Landscape) -> list[Array]:
    """The gradient at the points; a slope that is the same everywhere may be one number."""
    return [np.broadcast_to(np.asarray(part), (40,)) for part in f.gradient(*_points(f))]


def _steepness(f: Landscape) -> float:
    return max(1.0, *(float(np.abs(part).max()) for part in _slopes(f)))


@_law(_LANDSCAPE, "it has a height and two slopes", decisive=True)
def _heights(f: Landscape) -> Complaints:
    for what, number in _surface(f, *map(float, f.start)).items():
        if not isinstance(number, (int, float)):
            yield f"has a {type(number).__name__} for its {what} at its start, where floats should give a float"
        elif not np.isfinite(number):
            yield f"has {number} for its {what} at its start"


@_law(_LANDSCAPE, "its gradient is its slope")
def _gradient_is_slope(f: Landscape) -> Complaints:
    x, y = _points(f)
    h = np.cbrt(np.finfo(float).eps) * np.maximum(1, np.abs([x, y]))
    measured = (f(x + h[0], y) - f(x - h[0], y)) / (2 * h[0]), (f(x, y + h[1]) - f(x, y - h[1])) / (2 * h[1])
    for name, stated, slope in zip("xy", _slopes(f), measured, strict=True):
        error = np.abs(stated - slope)
        worst = int(np.nanargmax(error))
        if not error[worst] <= 1e-6 * _steepness(f):
            yield (
                f"has the slope {slope[worst]:.6g} along {name} at ({x[worst]:.3f}, {y[worst]:.3f}), "
                f"and its gradient says {stated[worst]:.6g}"
            )


@_law(_LANDSCAPE, "the tape gives its gradient")
def _landscape_tape(f: Landscape) -> Complaints:
    leaves = [tensor(part, requires_grad=True) for part in _points(f)]
    f(*leaves).sum().backward()
    for name, leaf, stated in zip("xy", leaves, _slopes(f), strict=True):
        if (apart := _apart(_gradient(leaf), stated)) > 1e-11 * _steepness(f):
            yield f"has a gradient along {name} that is up to {apart:.1e} away from that of lossopt.Tensor"


@_law(_LANDSCAPE, "torch computes the same")
def _landscape_torch(f: Landscape) -> Complaints:
    torch = _library("torch")
    leaves = [torch.tensor(part, requires_grad=True) for part in _points(f)]
    result = f(*leaves)
    result.sum().backward()
    value = f(*_points(f))
    if (apart := _apart(result.detach().numpy(), value)) > 1e-13 * max(1.0, np.abs(value).max()):
        yield f"is up to {apart:.1e} apart on tensors of torch and on arrays"
    by_torch = f.gradient(*[leaf.detach() for leaf in leaves])
    for name, stated, own, leaf in zip("xy", _slopes(f), by_torch, leaves, strict=True):
        apart = max(_apart(_gradient(leaf), stated), _apart(torch.as_tensor(own).numpy(), stated))
        if apart > 1e-11 * _steepness(f):
            yield f"has a gradient along {name} that is up to {apart:.1e} apart in torch and on arrays"


@_law(_LANDSCAPE, "a grid of points equals its points one by one")
def _points_alone(f: Landscape) -> Complaints:
    x, y = (part[:5] for part in _points(f))
    grid = _surface(f, x[:, None].copy(), y[None, :].copy())
    if np.shape(grid["height"]) != (5, 5):
        yield f"has heights of shape {np.shape(grid['height'])} for a grid of 5 by 5 points"
    for i, j in np.ndindex(5, 5):
        for what, number in _surface(f, float(x[i]), float(y[j])).items():
            in_grid = np.broadcast_to(grid[what], (5, 5))[i, j]
            if not isinstance(number, (int, float)) or abs(number - in_grid) > 1e-12 * max(1.0, abs(number)):
                yield f"has the {what} {in_grid:.6g} at a point of a grid, and {number!r} at the two floats"


@_law(_LANDSCAPE, "nothing it is given is changed")
def _landscape_changes_nothing(f: Landscape) -> Complaints:
    given = _points(f)
    _surface(f, *given)
    if not all(map(_same, given, _points(f))):
        yield "changes the coordinates it was given"


@_law(_LANDSCAPE, "precision is kept")
def _landscape_precision(f: Landscape) -> Complaints:
    for dtype in _DTYPES:
        for what, numbers in _surface(f, *_points(f, dtype)).items():
            if getattr(numbers, "dtype", dtype) != dtype:
                yield f"has a {what} in {numbers.dtype} at points in {dtype}"


@_law(_LANDSCAPE, "its minima are right to the last digits")
def _minima(f: Landscape) -> Complaints:
    if not f.minima:
        raise _NotCheckedError("it states no minima")
    for x, y, value in f.minima:
        if not abs(f(x, y) - value) <= max(1e-12, 1e-14 * abs(value)):
            yield f"has the height {f(x, y)!r} at its minimum ({x}, {y}), and states {value!r}"
        slope = max(abs(part) for part in f.gradient(x, y))
        if not slope <= 1e-12 * _steepness(f):
            yield f"has a slope of {slope:.1e} at ({x}, {y}), which it states as a minimum"
    if len({value for _, _, value in f.minima}) > 1:
        yield "states minima of different heights; its global minima have one"


@_law(_LANDSCAPE, "nothing in its window lies lower")
def _lowest(f: Landscape) -> Complaints:
    x, y = (np.linspace(low, high, 301) for low, high in f.window)
    grid = f(x[:, None], y[None, :])
    i, j = np.unravel_index(np.nanargmin(grid), grid.shape)
    where = f"{grid[i, j]:.6g} at ({x[i]:.3f}, {y[j]:.3f})"
    if f.minima:
        value = min(value for _, _, value in f.minima)
        if grid[i, j] < value - 1e-12 * max(1.0, abs(value)):
            yield f"is lower than its minimum {value:.6g}: {where}"
    elif 0 < i < 300 and 0 < j < 300:
        yield f"states no minima, and the lowest point of its window lies inside: {where}"


@_law(_LANDSCAPE, "its minima and its start lie in its window")
def _inside(f: Landscape) -> Complaints:
    (left, right), (bottom, top) = f.window
    for what, (x, y, *_) in [*(("minimum", minimum) for minimum in f.minima), ("start", f.start)]:
        if not (left < x < right and bottom < y < top):
            yield f"has its {what} ({x}, {y}) outside its window {f.window}"


@_law(_LANDSCAPE, "its start has somewhere to go")
def _goes_somewhere(f: Landscape) -> Complaints:
    if not np.hypot(*f.gradient(*f.start)) > 0.01:
        yield f"is flat at its start {f.start}"
    if not all(f(*f.start) > value for _, _, value in f.minima):
        yield f"starts no higher than its minimum, at {f.start}"


@_law(_LANDSCAPE, "SymPy's symbols pass through it")
def _landscape_symbols(f: Landscape) -> Complaints:
    sympy = _library("sympy")
    x, y = sympy.symbols("x y", real=True)
    numbers = _surface(f, 0.7, -0.3)
    for what, expression in _surface(f, x, y).items():
        by_symbols = float(sympy.sympify(expression).subs({x: 0.7, y: -0.3}))
        if not abs(by_symbols - numbers[what]) <= 1e-12 * max(1.0, abs(numbers[what])):
            yield f"has the {what} {by_symbols:.6g} by way of symbols, and {numbers[what]:.6g} of floats"


@_law(_LANDSCAPE, "its formula can be printed")
def _landscape_printed(f: Landscape) -> Complaints:
    return _formula_of(f.value, f)
