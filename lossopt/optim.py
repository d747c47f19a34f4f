"""Drivers over NumPy: `minimize` walks over a landscape, `Optimizer` trains with `lossopt.Tensor`."""

from __future__ import annotations

import copy
import itertools
import math
import operator
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from . import engine as _engine
from .engine import PerRun, driven, settings
from .rules.registry import Rule, validate
from .tensor import Tensor

__all__ = ["Optimizer", "Path", "minimize"]

Array: TypeAlias = np.ndarray[Any, Any]

FAR = 1e6  # a run that is farther from 0 than this in any coordinate is said to have diverged
LONG = 3.0  # seconds after which a progress bar appears
VERSION = 1  # of the layout of `Optimizer.state_dict`


# Landscapes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Path:
    """Where the runs of a rule went, step by step.

    Parameters
    ----------
    points : array, shape (steps + 1, d, *runs)
        The start and the point after each step.
    loss : array, shape (steps + 1, *runs)
        The function's value there.
    left_window : array of int, shape (*runs)
        The first step after which a run was outside `f.window`; -1 where it never was, or `f` has no window.
    diverged : array of int, shape (*runs)
        The first step after which a coordinate or the loss was not finite, or a coordinate beyond a million; -1 where
        none was.
    rule : str
        The rule's name.
    hyper : dict
        All its hyper-parameters, defaults included.
    """

    points: Array
    loss: Array
    left_window: Array
    diverged: Array
    rule: str
    hyper: dict[str, Any]

    def __repr__(self) -> str:
        steps, (d, *runs) = len(self.points) - 1, self.points.shape[1:]
        return f"Path({self.rule}, {steps} steps in {d} coordinates, runs {tuple(runs)})"


def minimize(
    rule: Rule | Callable[..., Any],
    f: Callable[..., Any],
    w0: ArrayLike,
    steps: int,
    *,
    noise: float = 0.0,
    rng: np.random.Generator | np.random.RandomState | None = None,
    **hyper: Any,
) -> Path:
    """Walk downhill from a point with one rule, or from many points with many settings at once.

    Arrays of hyper-parameters and the starting points broadcast to one grid of runs: `lr=lr[:, None]` with
    `beta1=beta1[None, :]` runs every pair.
    A run of a grid is equal, bit for bit, to the same run by itself.
    A rule that needs whole tensors sees the point of each run as a vector, or as a column if it is for matrices alone.
    Work that takes longer than three seconds shows a progress bar, if tqdm is installed.

    Parameters
    ----------
    rule : function or Rule
        A rule, such as `lossopt.rules.adam` or `lossopt.RULES["adam"]`.
    f : Landscape or function
        Called with one array for each coordinate, `f(x, y)`; gives one value for each run.
        Without a method `gradient` it is called with tensors and differentiated.
    w0 : array, shape (d,) or (d, *runs)
        Where to start: coordinates first. Whatever is not float32 is taken as float64.
    steps : int, at least 1
        How many steps.
    noise : float, at least 0
        Standard deviation of the Gaussian noise added to each gradient.
    rng : numpy.random.Generator or numpy.random.RandomState, optional
        Where the noise comes from; `numpy.random.default_rng(0)` if not given.
    **hyper : number, array or function of the step
        Hyper-parameters of the rule; an array has one value a run, a function takes the step, counted from 1.
        `weight_decay` is an L2 penalty where the rule has none of its own.

    Returns
    -------
    Path

    Raises
    ------
    TypeError
        If the rule is not one, has no such hyper-parameter, or an argument is of the wrong kind.
    ValueError
        If a value is outside its range, or shapes do not fit together. Nothing has been run then.
    """
    described = driven(rule)
    validate(described, hyper)
    steps = _count("steps", steps)
    if not (noise >= 0 and math.isfinite(noise)):
        raise ValueError(f"noise must lie in [0, inf), got {noise}")
    if rng is None:
        rng = np.random.default_rng(0)
    hyper = {**described.hyper, **hyper}
    w, runs = _start(described, w0, settings(hyper, 1))

    log = _Log(steps, w, getattr(f, "window", None))
    move = _move_together if described.elementwise else _move_one_by_one
    state: Sequence[Any] = [0.0] * len(described.state)
    with np.errstate(all="ignore"):
        loss, g = _value_and_gradient(f, w)
        log.add(0, w, loss)
        for t in _long(steps):
            if noise:
                g += noise * rng.standard_normal(g.shape)
            w, *state = move(described, w, g, t, state, settings(hyper, t))
            loss, g = _value_and_gradient(f, w)
            log.add(t, w, loss)
    return Path(
        points=log.points.reshape(steps + 1, len(w), *runs),
        loss=log.loss.reshape(steps + 1, *runs),
        left_window=log.left_window.reshape(runs),
        diverged=log.diverged.reshape(runs),
        rule=described.name,
        hyper=hyper,
    )


def _count(name: str, value: Any) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, got {value!r}") from None
    if number < 1:
        raise ValueError(f"{name} must be at least 1, got {number}")
    return number


def _start(rule: Rule, w0: ArrayLike, hyper: Mapping[str, Any]) -> tuple[Array, tuple[int, ...]]:
    """The starting points of all runs, shape (d, *runs), and the shape of the runs: () for one, kept as (1,)."""
    w = np.asarray(w0)
    if w.dtype.kind not in "fiu":
        raise TypeError(f"w0 must hold real numbers, got {w.dtype}")
    if w.ndim == 0 or w.size == 0:
        raise ValueError(f"w0 must have shape (d,) or (d, *runs), got {w.shape}")
    if not np.isfinite(w).all():
        raise ValueError("w0 must be finite")
    w = w.astype(np.float32 if w.dtype == np.float32 else np.float64)
    shapes = {name: value.shape for name, value in hyper.items() if isinstance(value, PerRun)}
    try:
        runs = np.broadcast_shapes(w.shape[1:], *shapes.values())
    except ValueError:
        found = ", ".join(f"{name} {shape}" for name, shape in {"w0": w.shape[1:], **shapes}.items())
        raise ValueError(f"{rule.name}: these runs do not broadcast: {found}") from None
    inner = runs or (1,)
    w = w.reshape(len(w), *[1] * (len(inner) - w.ndim + 1), *w.shape[1:])
    return np.broadcast_to(w, (len(w), *inner)), runs


def _value_and_gradient(f: Callable[..., Any], w: Array) -> tuple[Array, Array]:
    g: Array = np.empty(w.shape, dtype=w.dtype)
    if hasattr(f, "gradient"):
        for row, part in zip(g, f.gradient(*w), strict=True):
            row[...] = part
        return f(*w), g
    coordinates = [Tensor(row, requires_grad=True) for row in w]
    value = f(*coordinates)
    if not isinstance(value, Tensor) or value.shape != w.shape[1:]:
        got = f"shape {value.shape}" if isinstance(value, Tensor) else repr(value)
        raise ValueError(f"f must give one value a run, a Tensor of shape {w.shape[1:]}, got {got}")
    if value.requires_grad:
        value.backward(np.ones_like(value.data))
    for row, coordinate in zip(g, coordinates, strict=True):
        row[...] = 0.0 if coordinate.grad is None else coordinate.grad.data
    return value.data, g


def _move_together(rule: Rule, w: Array, g: Array, t: int, state: Any, hyper: Mapping[str, Any]) -> list[Any]:
    return _engine.call(rule, w, g, t, state, hyper)


def _move_one_by_one(rule: Rule, w: Array, g: Array, t: int, state: Any, hyper: Mapping[str, Any]) -> list[Any]:
    """Step each run of a rule that needs whole tensors; a state is then an array of the states of the runs."""
    runs = w.shape[1:]
    new = np.empty(w.shape, dtype=w.dtype)
    states = [s if isinstance(s, np.ndarray) else np.full(runs, s, dtype=object) for s in state]
    for run in np.ndindex(runs):
        own = {
            name: np.broadcast_to(value, runs)[run].item() if isinstance(value, PerRun) else value
            for name, value in hyper.items()
        }
        column = (slice(None), *run)
        shape = (len(w), 1) if rule.matrices_only else (len(w),)
        before = [s[run] for s in states]
        moved, *after = _engine.call(rule, w[column].reshape(shape), g[column].reshape(shape), t, before, own)
        new[column] = moved.reshape(-1)
        for s, value in zip(states, after, strict=True):
            s[run] = value
    return [new, *states]


class _Log:
    """What `minimize` writes down after each step."""

    def __init__(self, steps: int, w: Array, window: Any) -> None:
        runs = w.shape[1:]
        self.points = np.empty((steps + 1, *w.shape), dtype=w.dtype)
        self.loss = np.empty((steps + 1, *runs), dtype=w.dtype)
        self.left_window = np.full(runs, -1)
        self.diverged = np.full(runs, -1)
        bounds = [(-np.inf, np.inf)] * len(w) if window is None else window
        self._low, self._high = np.array(bounds, dtype=w.dtype).T.reshape(2, len(w), *[1] * len(runs))
        self._has_window = window is not None
        self._in_window = np.ones(runs, dtype=bool)
        self._near = np.ones(runs, dtype=bool)

    def add(self, t: int, w: Array, loss: Array) -> None:
        self.points[t] = w
        self.loss[t] = loss
        if self._has_window:
            inside = ((w >= self._low) & (w <= self._high)).all(axis=0)
            _note(self.left_window, self._in_window, inside, t)
        near = (abs(w) <= FAR).all(axis=0) & np.isfinite(self.loss[t])
        _note(self.diverged, self._near, near, t)


def _note(step: Array, before: Array, now: Array, t: int) -> None:
    """Note the step at which what held before, in every run, holds no longer."""
    ended = before & ~now
    if ended.any():
        step[ended] = t
        before &= now


def _long(steps: int) -> Iterator[int]:
    """1, 2 ... steps; work that turns out to be long gets a progress bar, if tqdm is installed."""
    begun, bar = time.monotonic(), None
    for t in range(1, steps + 1):
        yield t
        if bar is not None:
            bar.update()
        elif time.monotonic() - begun > LONG:
            bar, begun = _bar(t, steps), math.inf
    if bar is not None:
        bar.close()


def _bar(done: int, steps: int) -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm(total=steps, initial=done, unit="step")


# Training ----------------------------------------------------------------------------------------------------------


class Optimizer:
    """Train `lossopt.Tensor` parameters with any rule.

    The parameters of a group lie in one flat buffer, and the `data` of each becomes a view of it.
    A parameter whose `grad` is None is skipped: its state and its step `t` stay as they are.
    Non-finite gradients go where arithmetic takes them, as in PyTorch; none is dropped.
    Float16 parameters are stepped in float32 and keep float32 state.
    A rule that needs whole tensors steps one parameter after the other, always in NumPy.

    Parameters
    ----------
    params : iterable of Tensor, or of dict
        The parameters, or groups of them: a group is a dict with "params" and any hyper-parameters of its own.
        A group with a "rule" of its own takes its hyper-parameters from the group and that rule's defaults alone.
    rule : function or Rule
        A rule, such as `lossopt.rules.adam` or `lossopt.RULES["adam"]`.
    runs : int, optional
        Train that many runs at once: each parameter has a leading axis of that length.
    engine : {"numpy", "numba"}
        What runs rules of arithmetic; the results are equal bit for bit. numba is the extra `lossopt[fast]`.
    **hyper : number, array of shape (runs,) or function of the step
        Hyper-parameters of the rule. A function takes the number of the call of `step`, counted from 1.
        `weight_decay` is an L2 penalty where the rule has none of its own: `weight_decay * w` added to the gradient.

    Attributes
    ----------
    param_groups : list of dict
        For each group "params", "rule" and the hyper-parameters, which may be changed between steps.

    Raises
    ------
    TypeError
        If parameters are not tensors of floating-point numbers, the rule is not one, or a hyper-parameter is unknown.
    ValueError
        If a parameter does not require a gradient or is there twice, a value is outside its range, the rule is for
        matrices and a parameter is none, or there is no such engine. Nothing has been changed then.
    ImportError
        If the engine is not installed.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        rule: Rule | Callable[..., Any],
        *,
        runs: int | None = None,
        engine: str = "numpy",
        **hyper: Any,
    ) -> None:
        described = driven(rule)
        validate(described, hyper)
        self.rule = rule
        self.defaults = {**described.hyper, **hyper}
        self.runs = None if runs is None else _count("runs", runs)
        self.engine = engine
        self.steps = 0
        self.param_groups: list[dict[str, Any]] = []
        self._memories: list[_Flat | _Whole] = []
        if isinstance(params, Tensor):
            raise TypeError("params must be an iterable of tensors or of groups, got one Tensor; write [tensor]")
        entries: list[Any] = list(params)
        if not entries:
            raise ValueError("params is empty: there is nothing to train")
        if not isinstance(entries[0], dict):
            entries = [{"params": entries}]
        groups: list[dict[str, Any]] = []
        for entry in entries:
            groups.append(self._checked(entry, groups))
        for group in groups:
            self._take(group)

    def add_param_group(self, group: dict[str, Any]) -> None:
        """Train more parameters from now on.

        Parameters
        ----------
        group : dict
            With "params", and possibly a "rule" and hyper-parameters of its own.

        Raises
        ------
        TypeError, ValueError
            As the constructor; nothing has been changed then.
        """
        self._take(self._checked(group, self.param_groups))

    def zero_grad(self) -> None:
        """Forget all gradients: each parameter's `grad` becomes None."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient by one step of its group's rule.

        Raises
        ------
        TypeError, ValueError
            If a hyper-parameter is not valid now, or a gradient's shape is not its parameter's. Nothing has been
            changed then.
        """
        t = self.steps + 1
        ready = [(driven(group["rule"]), self._hyper(group, t)) for group in self.param_groups]
        for k, group in enumerate(self.param_groups):
            for i, parameter in enumerate(group["params"]):
                if parameter.grad is not None and parameter.grad.shape != parameter.shape:
                    shapes = f"the gradient has shape {parameter.grad.shape}, the parameter {parameter.shape}"
                    raise ValueError(f"group {k}, parameter {i}: {shapes}")
        for memory, (rule, hyper) in zip(self._memories, ready, strict=True):
            memory.step(rule, hyper, self.engine)
        self.steps = t

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to go on from here, apart from the parameters themselves.

        Returns
        -------
        dict of str to number, str or array
            A copy, flat so that `numpy.savez` can write it: "version", "steps", and for group 0 "0.rule", "0.lr" ...,
            and for its parameter 1 "0.1.shape", "0.1.t", "0.1.m" ...
            A hyper-parameter that is a function of the step is not saved.
        """
        saved: dict[str, Any] = {"version": VERSION, "steps": self.steps}
        for k, (group, memory) in enumerate(zip(self.param_groups, self._memories, strict=True)):
            rule = driven(group["rule"])
            saved[f"{k}.rule"] = rule.name
            saved |= {f"{k}.{name}": copy.copy(group[name]) for name in rule.hyper if not callable(group[name])}
            for i, parameter in enumerate(group["params"]):
                saved |= {f"{k}.{i}.shape": np.array(parameter.shape), f"{k}.{i}.t": memory.t[i]}
                remembered = zip(rule.state, memory.state(i), strict=True)
                saved |= {f"{k}.{i}.{name}": value.copy() for name, value in remembered}
        return saved

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where another optimizer was.

        Parameters
        ----------
        state_dict : mapping
            What `state_dict` returned, or what `numpy.load` read of it; copied.

        Raises
        ------
        TypeError, ValueError
            If it belongs to other groups, rules or parameters, or holds values that are not valid. Nothing has been
            changed then.
        """
        saved = _fitted(state_dict, self.state_dict())
        hypers = []
        for k, group in enumerate(self.param_groups):
            rule = driven(group["rule"])
            hypers.append({name: saved[f"{k}.{name}"] for name in rule.hyper if f"{k}.{name}" in saved})
            self._hyper({**group, **hypers[k]}, self.steps + 1)
            for i, name in itertools.product(range(len(group["params"])), rule.state if rule.elementwise else ()):
                shapes = saved[f"{k}.{i}.{name}"].shape, group["params"][i].shape
                if shapes[0] != shapes[1]:
                    raise ValueError(f"state_dict: {k}.{i}.{name} must have shape {shapes[1]}, got {shapes[0]}")
        for k, (group, memory) in enumerate(zip(self.param_groups, self._memories, strict=True)):
            group.update(hypers[k])
            for i in range(len(group["params"])):
                memory.t[i] = saved[f"{k}.{i}.t"]
                memory.remember(i, [saved[f"{k}.{i}.{name}"] for name in driven(group["rule"]).state])
        self.steps = saved["steps"]

    def __repr__(self) -> str:
        lines = [_engine.summary(group) for group in self.param_groups]
        return "\n".join(["Optimizer(", *lines, ")"])

    def _checked(self, group: dict[str, Any], others: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """A complete copy of a group that may join the others."""
        k = len(others)
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(f"group {k} must be a dict with 'params', got {group!r}")
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        own = {name: value for name, value in group.items() if name not in ("params", "rule")}
        function = group.get("rule", self.rule)
        rule = driven(function)
        validate(rule, own)
        _engine.check_engine(self.engine, rule)
        known = {id(parameter) for other in others for parameter in other["params"]}
        for i, parameter in enumerate(params):
            what = f"group {k}, parameter {i}"
            if not isinstance(parameter, Tensor):
                raise TypeError(f"{what} must be a lossopt Tensor, got {type(parameter).__name__}")
            if parameter.dtype.kind != "f":
                raise TypeError(f"{what} must be of floating-point numbers, got {parameter.dtype}")
            if not parameter.requires_grad or not parameter.is_leaf:
                raise ValueError(f"{what} must be a leaf that requires a gradient; it would never get one")
            if id(parameter) in known:
                raise ValueError(f"{what} is there twice")
            known.add(id(parameter))
            if parameter.dtype != params[0].dtype:
                raise ValueError(
                    f"{what} is {parameter.dtype}, the first {params[0].dtype}: give each a group of its own"
                )
            if self.runs is not None and parameter.shape[:1] != (self.runs,):
                raise ValueError(f"{what} must have a leading axis of {self.runs} runs, got shape {parameter.shape}")
            _engine.check_shape(rule, what, parameter.shape if self.runs is None else parameter.shape[1:])
        defaults = rule.hyper if "rule" in group else self.defaults
        whole = {"params": params, "rule": function, **defaults, **own}
        self._hyper(whole, self.steps + 1)
        return whole

    def _take(self, group: dict[str, Any]) -> None:
        rule = driven(group["rule"])
        memory = _Flat if rule.elementwise else _Whole
        self.param_groups.append(group)
        self._memories.append(memory(group["params"], len(rule.state), self.runs))

    def _hyper(self, group: dict[str, Any], t: int) -> dict[str, Any]:
        """The hyper-parameters of a group at one step; arrays have shape (runs, 1)."""
        rule = driven(group["rule"])
        hyper = {name: group[name] for name in rule.hyper}
        validate(rule, hyper)
        hyper = settings(hyper, t)
        for name, value in hyper.items():
            if isinstance(value, PerRun):
                if value.shape != (self.runs,):
                    runs = "without runs it is one number" if self.runs is None else f"one for each of {self.runs} runs"
                    raise ValueError(f"{rule.name}: {name} has shape {value.shape}; {runs}")
                hyper[name] = value[:, None]
        return hyper


class _Flat:
    """The parameters and state of a group with an elementwise rule, each in one flat array (n,) or (runs, n)."""

    def __init__(self, params: list[Tensor], states: int, runs: int | None) -> None:
        self.params = params
        self.lead = () if runs is None else (runs,)
        self.t = [0] * len(params)
        sizes = [parameter.data.size // (runs or 1) for parameter in params]
        self.ends = [0, *itertools.accumulate(sizes)]
        self.w = np.empty((*self.lead, self.ends[-1]), dtype=params[0].dtype if params else np.float32)
        self.g = np.empty_like(self.w)
        self.remembered = [np.zeros(self.w.shape, dtype=_engine.working_dtype(self.w.dtype)) for _ in range(states)]
        self._take_data()

    def step(self, rule: Rule, hyper: Mapping[str, Any], engine: str) -> None:
        self._take_data()
        parts: dict[int, list[_engine.Part]] = {}
        for (skipped, t), neighbours in itertools.groupby(range(len(self.params)), key=self._due):
            some = list(neighbours)
            if not skipped:
                span = (..., slice(self.ends[some[0]], self.ends[some[-1] + 1]))
                part = (self.w[span], self._gradient(some, span), *(array[span] for array in self.remembered))
                parts.setdefault(t + 1, []).append(part)
                for i in some:
                    self.t[i] += 1
        for t, due in parts.items():
            _engine.step(rule, due, t, hyper, engine)

    def state(self, i: int) -> list[Array]:
        return [array[..., self.ends[i] : self.ends[i + 1]].reshape(self.params[i].shape) for array in self.remembered]

    def remember(self, i: int, values: Sequence[Array]) -> None:
        for place, value in zip(self.state(i), values, strict=True):
            place[...] = value

    def _due(self, i: int) -> tuple[bool, int]:
        return self.params[i].grad is None, self.t[i]

    def _gradient(self, some: list[int], span: Any) -> Array:
        """The gradients of neighbours side by side."""
        gradients = [self.params[i].grad.data.reshape(*self.lead, -1) for i in some]  # type: ignore[union-attr]
        if len(gradients) == 1:
            return gradients[0].astype(self.w.dtype, copy=False)
        return np.concatenate(gradients, axis=-1, out=self.g[span])

    def _take_data(self) -> None:
        """Make the data of each parameter a view of the buffer, again if it was replaced by another array."""
        for parameter, start, end in zip(self.params, self.ends, self.ends[1:], strict=False):
            if parameter.data.base is not self.w:
                view = self.w[..., start:end].reshape(parameter.shape)
                view[...] = parameter.data
                parameter.data = view


class _Whole:
    """The parameters and state of a group with a rule for whole tensors: each parameter, and each run, by itself."""

    def __init__(self, params: list[Tensor], states: int, runs: int | None) -> None:
        self.params = params
        self.runs = runs
        self.t = [0] * len(params)
        shape = () if runs is None else (runs,)
        dtypes = [_engine.working_dtype(parameter.dtype) for parameter in params]
        self.remembered = [[np.zeros(shape, dtype=dtype) for _ in range(states)] for dtype in dtypes]

    def step(self, rule: Rule, hyper: Mapping[str, Any], engine: str) -> None:
        for i, parameter in enumerate(self.params):
            if parameter.grad is None:
                continue
            self.t[i] += 1
            w, g, state = parameter.data, parameter.grad.data, self.remembered[i]
            if self.runs is None:
                self.remembered[i] = _engine.step_whole(rule, w, g, self.t[i], state, hyper)
                continue
            each = []
            for run in range(self.runs):
                own = {name: value[run].item() if isinstance(value, PerRun) else value for name, value in hyper.items()}
                each.append(_engine.step_whole(rule, w[run], g[run], self.t[i], [s[run] for s in state], own))
            self.remembered[i] = [np.stack(values) for values in zip(*each, strict=True)]

    def state(self, i: int) -> list[Array]:
        return self.remembered[i]

    def remember(self, i: int, values: Sequence[Array]) -> None:
        dtype = _engine.working_dtype(self.params[i].dtype)
        self.remembered[i] = [np.array(value, dtype=dtype) for value in values]


def _fitted(saved: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Copies of the saved values, if they belong to an optimizer whose own would have the expected names."""
    fitted = {key: copy.copy(value) for key, value in saved.items()}
    for key, value in fitted.items():
        if key.count(".") == 2 and not key.endswith((".t", ".shape")):  # what a rule remembers of a parameter
            fitted[key] = np.array(value)
            if fitted[key].dtype.kind != "f":
                raise TypeError(f"state_dict: {key} must be an array of floating-point numbers, got {value!r}")
        elif hasattr(value, "item") and np.ndim(value) == 0:  # `numpy.load` makes arrays of numbers and strings
            fitted[key] = value.item()
    for key, here in expected.items():
        if key.endswith(("version", ".rule", ".shape")) and key in fitted and not np.array_equal(fitted[key], here):
            raise ValueError(f"state_dict: {key} is {here} here, got {fitted[key]}")
        if key.endswith((".t", "steps")) and key in fitted and not (isinstance(fitted[key], int) and fitted[key] >= 0):
            raise ValueError(f"state_dict: {key} must be a whole number from 0, got {fitted[key]!r}")
    missing, extra = sorted(expected.keys() - fitted.keys()), sorted(fitted.keys() - expected.keys())
    if missing or extra:
        raise ValueError(
            f"state_dict: it belongs to other groups or parameters: missing {missing[:3]}, not expected {extra[:3]}; "
            "a hyper-parameter that is a function of the step is not saved and must be one here as well"
        )
    return fitted
