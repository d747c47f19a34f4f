"""How a rule is run over memory; the drivers share it, and there is no mathematics in it.

A rule is textbook arithmetic, so every operation makes a new array, and on large arrays that costs more than the
arithmetic does.
Therefore a rule is *recorded* first: it is called once with stand-ins for arrays, which note the operations in order.
The record is then played over blocks that fit a core's cache, with the same few scratch blocks again and again, or
compiled by numba into one loop.
The operations and their order are those of the rule, so the results are equal to calling it, bit for bit.
"""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType, ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from .rules.registry import RANGES, Rule, at_step, describe

__all__ = [
    "ENGINES",
    "PerRun",
    "call",
    "check_engine",
    "check_shape",
    "driven",
    "settings",
    "step",
    "step_whole",
    "summary",
    "working_dtype",
]

Array: TypeAlias = np.ndarray[Any, Any]
Part: TypeAlias = tuple[Array, ...]
Program: TypeAlias = tuple[tuple[np.ufunc, tuple[int, ...], int], ...]

BLOCK = 65536  # elements, a quarter MiB of float32: smaller ones spend more on calls, larger ones leave the cache
ENGINES = {"numpy": 65536, "numba": 8192}  # with fewer elements, making a record takes longer than it saves,
MANY = 8  # unless it is played this many times


# Hyper-parameters --------------------------------------------------------------------------------------------------


def driven(rule: Rule | Callable[..., Any]) -> Rule:
    """Describe a rule as drivers run it, so that any rule can be told `weight_decay`.

    Parameters
    ----------
    rule : function or Rule
        A rule, such as `lossopt.rules.adam` or `lossopt.RULES["adam"]`.

    Returns
    -------
    Rule
        The rule's own description where it has a `weight_decay`.
        Otherwise one that takes it besides, as an L2 penalty: `weight_decay * w` is added to the gradient.

    Raises
    ------
    TypeError
        If it is not a rule.
    """
    return _driven(rule.rule if isinstance(rule, Rule) else rule)


@functools.cache
def _driven(function: Callable[..., Any]) -> Rule:
    rule = describe(function)
    if "weight_decay" in rule.hyper:
        return rule

    def penalised(w: Any, g: Any, t: Any, *state: Any, weight_decay: Any, **hyper: Any) -> Any:
        if isinstance(weight_decay, np.ndarray) or weight_decay != 0:  # skipped at zero, where w may be infinite
            g = g + weight_decay * w
        return function(w, g, t, *state, **hyper)

    return replace(
        rule,
        rule=penalised,
        hyper=MappingProxyType({**rule.hyper, "weight_decay": 0.0}),
        ranges=MappingProxyType({**rule.ranges, "weight_decay": RANGES["weight_decay"]}),
    )


class PerRun(np.ndarray[Any, Any]):
    """One float64 number a run, which behaves in arithmetic as that many Python numbers would.

    It takes on the precision of the array it meets (an array of float64 would turn float32 weights into float64), and
    its powers are those of Python (NumPy's may differ in the last bit).
    So many runs in one array equal the same runs one by one, bit for bit.
    """

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        met = [x.dtype for x in inputs if isinstance(x, np.ndarray) and not isinstance(x, PerRun)]
        dtype = met[0] if met else np.dtype(np.float64)
        arrays = [x.view(np.ndarray).astype(dtype, copy=False) if isinstance(x, PerRun) else x for x in inputs]
        if "out" in options:  # as in `x *= 2`
            options["out"] = tuple(x.view(np.ndarray) for x in options["out"])
        result = getattr(ufunc, method)(*arrays, **options)
        return result if met else np.asarray(result).view(PerRun)

    def __pow__(self, exponent: Any) -> Any:  # type: ignore[override]  # NumPy's names each pair of dtypes
        return _power(self, exponent)

    def __rpow__(self, base: Any) -> Any:  # type: ignore[override]
        return _power(base, self)


_python_power = np.frompyfunc(pow, 2, 1)


def _power(base: Any, exponent: Any) -> Any:
    if any(isinstance(x, np.ndarray) and not isinstance(x, PerRun) for x in (base, exponent)):
        return np.power(base, exponent)
    base, exponent = (x.view(np.ndarray) if isinstance(x, PerRun) else x for x in (base, exponent))
    return np.asarray(_python_power(base, exponent), dtype=np.float64).view(PerRun)


def settings(hyper: Mapping[str, Any], t: int) -> dict[str, Any]:
    """Return the hyper-parameters of one step as rules take them.

    Parameters
    ----------
    hyper : mapping of str to number, array or function of the step
        Already validated.
    t : int
        The step, counted from 1.

    Returns
    -------
    dict of str to number or PerRun
        Functions evaluated, whatever holds a single number as a Python number, arrays as `PerRun`.
    """
    return {name: _setting(value) for name, value in at_step(hyper, t).items()}


def _setting(value: Any) -> Any:
    if not hasattr(value, "ndim"):  # a Python number already
        return value
    return value.item() if value.ndim == 0 else np.asarray(value, dtype=np.float64).view(PerRun)


# Running a rule ----------------------------------------------------------------------------------------------------


def call(rule: Rule, w: Any, g: Any, t: int, state: Sequence[Any], hyper: Mapping[str, Any]) -> list[Any]:
    """Call a rule once, on whatever arrays these are.

    Parameters
    ----------
    rule : Rule
        As described by `driven`.
    w, g : arrays of one shape
        Weights and gradient.
    t : int
        The step, counted from 1.
    state : sequence of numbers or arrays
        What the rule remembers, in order; 0.0 at first.
    hyper : mapping of str to number or PerRun
        See `settings`.

    Returns
    -------
    list
        The new weights, then the new state; none of them is `w`, `g` or an old state itself.

    Raises
    ------
    ValueError
        If the rule does not return its weights and as many states as it asks for.
    """
    result = rule.rule(w, g, t, *state, **hyper)
    values = list(result) if isinstance(result, tuple) else [result]
    if len(values) != 1 + len(rule.state):
        expected = ", ".join(("w", *rule.state))
        raise ValueError(f"{rule.name}: must return {expected} ({1 + len(rule.state)} values), got {len(values)}")
    given = (w, g, *state)
    return [_copied(value) if any(value is old for old in given) else value for value in values]


def _copied(value: Any) -> Any:
    return value.clone() if hasattr(value, "clone") else +value  # for torch, +value is the value itself


def step(rule: Rule, parts: Sequence[Part], t: int, hyper: Mapping[str, Any], engine: str = "numpy") -> None:
    """Move weights by one step of an elementwise rule, in place and block by block.

    Parameters
    ----------
    rule : Rule
        As described by `driven`.
    parts : sequence of tuples of arrays (w, g, *state), each array of shape (n,) or (runs, n)
        Weights, gradient and what the rule remembers; all but the gradient are overwritten.
        Weights share one precision; the state has that of `working_dtype`.
    t : int
        The step, counted from 1.
    hyper : mapping of str to number or PerRun
        See `settings`; a `PerRun` has shape (runs, 1).
    engine : {"numpy", "numba"}
        What plays the record.

    Raises
    ------
    ValueError
        If the arrays of a part have several shapes. Nothing has been changed then.
    """
    for part in parts:
        if any(array.shape != part[0].shape for array in part):  # compiled loops would write beyond the smaller ones
            shapes = ", ".join(str(array.shape) for array in part)
            raise ValueError(f"{rule.name}: weights, gradient and state must have one shape, got {shapes}")
    with np.errstate(all="ignore"):  # inf and NaN go where arithmetic takes them, as in torch
        if parts[0][0].ndim == 2:
            for part in parts:
                _step_runs(rule, part, t, hyper, engine)
        elif parts[0][0].dtype != working_dtype(parts[0][0].dtype):
            for part in parts:
                _step_halves(rule, part, t, hyper, engine)
        else:
            _step_flat(rule, parts, t, hyper, engine)


def step_at(rule: Rule, rows: Array, dtype: Any, t: int, hyper: Mapping[str, Any]) -> bool:
    """Move weights by one step of an elementwise rule where they are in memory, by numba.

    Arrays of their own for hundreds of small tensors would take longer to make than the step takes.

    Parameters
    ----------
    rule, t, hyper
        As in `step`.
    rows : int64 array, shape (3 + number of states, parts)
        The numbers of elements, then the addresses of weights, of gradients and of each state.
        Each is one contiguous piece of memory of that many elements, which the caller has made sure of.
    dtype : dtype
        The precision of all of them.

    Returns
    -------
    bool
        Whether they were moved: False, with nothing done, if the rule does more than arithmetic.
    """
    recorded = record(rule, t, hyper)
    if recorded is None:
        return False
    loop = _compiled_at(recorded.program, 2 + len(rule.state), recorded.results)
    loop(rows, np.array(recorded.constants, dtype=dtype))
    return True


def step_whole(
    rule: Rule,
    w: Array,
    g: Array,
    t: int,
    state: Sequence[Array],
    hyper: Mapping[str, Any],
) -> list[Array]:
    """Move one whole parameter by one step of any rule; the weights are overwritten.

    Parameters
    ----------
    rule, w, g, t, state, hyper
        As in `step`, except that the parameter keeps its shape and the states may have any.

    Returns
    -------
    list of arrays
        The new state.
    """
    dtype = working_dtype(w.dtype)
    with np.errstate(all="ignore"):
        new, *remembered = call(rule, w.astype(dtype), g.astype(dtype), t, state, hyper)
        w[...] = new
    return [np.asarray(value, dtype=dtype) for value in remembered]


def working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the precision a parameter is stepped in: its own, or float32 for halves.

    The squares, products and `eps` of most rules are beyond float16: its smallest number is 6e-8.
    """
    return np.promote_types(dtype, np.float32)


def _step_runs(rule: Rule, part: Part, t: int, hyper: Mapping[str, Any], engine: str) -> None:
    """Step as many runs together as fit a block; a run that fills one alone is stepped with plain numbers."""
    together = BLOCK // max(1, part[0].shape[1])
    if together < 2:
        for run in range(len(part[0])):
            own = {name: value[run].item() if isinstance(value, PerRun) else value for name, value in hyper.items()}
            step(rule, [tuple(array[run] for array in part)], t, own, engine)
        return
    for start in range(0, len(part[0]), together):
        runs = slice(start, start + together)
        own = {name: value[runs] if isinstance(value, PerRun) else value for name, value in hyper.items()}
        rows = [array[runs] for array in part]
        dtype = working_dtype(rows[0].dtype)
        wide = [array.astype(dtype, copy=False) for array in rows]
        _assign(rows, call(rule, wide[0], wide[1], t, wide[2:], own))


def _step_halves(rule: Rule, part: Part, t: int, hyper: Mapping[str, Any], engine: str) -> None:
    """Step float16 weights as float32, a block at a time."""
    dtype = working_dtype(part[0].dtype)
    for block in _blocks(part[0].size):
        w, g, *state = (array[block] for array in part)
        wide = w.astype(dtype)
        _step_flat(rule, [(wide, g.astype(dtype), *state)], t, hyper, engine)
        w[...] = wide


def _step_flat(rule: Rule, parts: Sequence[Part], t: int, hyper: Mapping[str, Any], engine: str) -> None:
    worth = len(parts) > MANY or sum(part[0].size for part in parts) > ENGINES[engine]
    recorded = record(rule, t, hyper) if worth else None
    if recorded is None:
        for part in parts:
            for block in _blocks(part[0].size):
                arrays = [array[block] for array in part]
                _assign(arrays, call(rule, arrays[0], arrays[1], t, arrays[2:], hyper))
    elif engine == "numba":
        loop = _compiled(recorded.program, 2 + len(rule.state), recorded.results)
        constants = np.array(recorded.constants, dtype=parts[0][0].dtype)
        for part in parts:
            loop(*part, constants)
    else:
        _play(recorded, parts)


def _assign(arrays: Sequence[Array], values: Sequence[Any]) -> None:
    for place, value in zip(places(len(arrays)), values, strict=True):
        arrays[place][...] = value


def places(given: int) -> list[int]:
    """Return which of the arrays `(w, g, *state)` are overwritten: all but the gradient.

    Parameters
    ----------
    given : int
        How many arrays there are.

    Returns
    -------
    list of int
        Their places, in the order of a rule's results.
    """
    return [0, *range(2, given)]


def _blocks(size: int) -> Iterator[slice]:
    return (slice(start, start + BLOCK) for start in range(0, size, BLOCK))


# Records -----------------------------------------------------------------------------------------------------------


@dataclass
class Record:
    """The operations of one call of a rule.

    Every value has a number: first the given arrays, then one for each operation's result.
    -1 is the first constant, -2 the second and so on; they alone change from step to step.
    """

    program: Program  # operations; for each the numbers of its arguments and of its result
    results: tuple[int, ...]  # the new weights and state
    constants: list[float]


class _Recorder:
    """Hands out stand-ins and writes down what is done to them."""

    def __init__(self) -> None:
        self.program: list[tuple[np.ufunc, tuple[int, ...], int]] = []
        self.constants: list[float] = []
        self.values = 0

    def new(self) -> _StandIn:
        self.values += 1
        return _StandIn(self, self.values - 1)

    def number(self, value: Any) -> int:
        if isinstance(value, _StandIn):
            return value.number
        if type(value) not in (int, float):  # a NumPy number would change the precision, an array has a shape
            raise TypeError(f"a record holds arrays and Python numbers, got {value!r}")
        self.constants.append(value)
        return -len(self.constants)


class _StandIn(NDArrayOperatorsMixin):
    """Stands for an array while a rule is recorded."""

    def __init__(self, recorder: _Recorder, number: int) -> None:
        self.recorder = recorder
        self.number = number

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__" or options or not _keeps_precision(ufunc):
            return NotImplemented
        numbers = tuple(self.recorder.number(value) for value in inputs)
        result = self.recorder.new()
        self.recorder.program.append((ufunc, numbers, result.number))
        return result

    def __array_namespace__(self, api_version: str | None = None) -> ModuleType:
        return np

    def __pow__(self, exponent: Any) -> Any:  # the short cuts that arrays take
        short = {0.5: np.sqrt, 2: np.square}.get(exponent)
        return short(self) if short else np.power(self, exponent)

    def __bool__(self) -> bool:
        raise TypeError("a rule that looks at its numbers cannot be recorded")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("a rule that needs more than arithmetic cannot be recorded")


@functools.cache
def _keeps_precision(ufunc: np.ufunc) -> bool:
    """Whether float32 gives float32; a comparison gives something else."""
    return bool({"f->f", "ff->f"} & set(ufunc.types))


def record(rule: Rule, t: int, hyper: Mapping[str, Any]) -> Record | None:
    """Record one call of a rule.

    Parameters
    ----------
    rule, t, hyper
        As in `call`.

    Returns
    -------
    Record or None
        None if it does more than arithmetic, and so must be called on the arrays.
    """
    recorder = _Recorder()
    w, g, *state = [recorder.new() for _ in range(2 + len(rule.state))]
    try:
        results = tuple(map(recorder.number, call(rule, w, g, t, state, hyper)))
    except (AttributeError, TypeError, ValueError):
        return None
    return Record(tuple(recorder.program), results, recorder.constants)


def _play(record: Record, parts: Sequence[Part]) -> None:
    """Play a record over arrays `(w, g, *state)`, block by block."""
    given, dtype = len(parts[0]), parts[0][0].dtype
    block_of, scratch = _blocks_for(record.program, record.results, given)
    size = min(BLOCK, max(part[0].size for part in parts))
    spare = [np.empty(size, dtype=dtype) for _ in range(scratch)]
    constants = [np.array(value, dtype=dtype) for value in reversed(record.constants)]  # converted once
    program = [
        (operation, [block_of.get(n, n) for n in numbers], block_of[result])
        for operation, numbers, result in record.program
    ]
    copies = [
        (place, block_of.get(result, result))
        for place, result in zip(places(given), record.results, strict=True)
        if block_of.get(result) != place
    ]
    for part in parts:
        for block in _blocks(part[0].size):
            arrays = [array[block] for array in part]
            values = [*arrays, *(array[: arrays[0].size] for array in spare), *constants]
            for operation, numbers, result in program:
                operation(*[values[number] for number in numbers], out=values[result])
            for place, number in copies:
                arrays[place][...] = values[number]


@functools.cache
def _blocks_for(program: Program, results: tuple[int, ...], given: int) -> tuple[dict[int, int], int]:
    """Say in which block each value of a record is kept, and how many scratch blocks that takes.

    A block is used again as soon as nothing reads its value any more: the fewer there are, the more of them are in
    the cache.
    """
    made = {result: k for k, (_, _, result) in enumerate(program)}
    read = {number: k for k, (_, numbers, _) in enumerate(program) for number in numbers}  # the last time
    block = {number: number for number in range(given)}
    for place, result in zip(places(given), results, strict=True):
        if result in made and read.get(place, -1) <= made[result]:
            block[result] = place  # the old value is not needed when the new one is made
    free: list[int] = []
    count = given
    for k, (_, numbers, result) in enumerate(program):
        if result not in block:
            count += not free
            block[result] = free.pop() if free else count - 1
        free += [block[n] for n in set(numbers) if n >= given and n not in results and read[n] == k]
    return block, count - given


def statements(program: Program, results: tuple[int, ...]) -> tuple[list[str], list[str]]:
    """Write a record in Python.

    Parameters
    ----------
    program, results
        Those of a `Record`.

    Returns
    -------
    list of str
        An assignment for each constant that is used: `c1 = constants[0]`.
    list of str
        An assignment for each operation, in order: `v5 = multiply(c1, v2)`.
    """
    numbers = {*results, *(number for _, arguments, _ in program for number in arguments)}
    loads = [f"c{-n} = constants[{-n - 1}]" for n in sorted(numbers, reverse=True) if n < 0]
    return loads, [f"v{result} = {step.__name__}({', '.join(map(named, given))})" for step, given, result in program]


def named(number: int) -> str:
    """Return the name of a value or constant in `statements`.

    Parameters
    ----------
    number : int
        As a `Record` numbers them.

    Returns
    -------
    str
    """
    return f"v{number}" if number >= 0 else f"c{-number}"


@functools.cache
def _compiled(program: Program, arrays: int, results: tuple[int, ...]) -> Callable[..., None]:
    """Compile a record's operations into one loop `(w, g, *state, constants)`."""
    given = [f"a{k}" for k in range(arrays)]
    loads, operations = statements(program, results)
    lines = [f"def loop({', '.join(given)}, constants):"]
    lines += [f"    {line}" for line in loads]
    lines += ["    for i in range(a0.size):"]
    lines += [f"        v{k} = a{k}[i]" for k in range(arrays)]
    lines += [f"        {line}" for line in operations]
    lines += [f"        a{k}[i] = {named(n)}" for k, n in zip(places(arrays), results, strict=True)]
    namespace = {operation.__name__: operation for operation, _, _ in program}
    exec("\n".join(lines), namespace)  # the text is made of numbers and names of ufuncs alone
    compiled: Callable[..., None] = _numba().njit(error_model="numpy", nogil=True)(namespace["loop"])
    return compiled


@functools.cache
def _compiled_at(program: Program, arrays: int, results: tuple[int, ...]) -> Callable[..., None]:
    """Compile a record into one loop `(rows, constants)` over arrays that are given as size and addresses."""
    numba = _numba()
    from numba.core import cgutils, types

    @numba.extending.intrinsic  # type: ignore[untyped-decorator]  # numba ships no types
    def pointer(context: Any, address: Any) -> Any:  # numba has no cast from an integer to a pointer
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], cgutils.voidptr_t)

        return types.voidptr(address), generate

    given = [f"carray(pointer(rows[{k}, i]), rows[0, i], constants.dtype)" for k in range(1, arrays + 1)]
    lines = ["def loop(rows, constants):"]
    lines += ["    for i in range(rows.shape[1]):"]
    lines += [f"        part({', '.join(given)}, constants)"]
    namespace = {"carray": numba.carray, "pointer": pointer, "part": _compiled(program, arrays, results)}
    exec("\n".join(lines), namespace)
    compiled: Callable[..., None] = numba.njit(nogil=True)(namespace["loop"])
    return compiled


def _numba() -> ModuleType:
    try:
        import numba
    except ImportError:
        raise ImportError('engine="numba" needs numba: pip install "lossopt[fast]"') from None
    return numba


def check_engine(engine: str, rule: Rule, engines: Iterable[str] = ENGINES) -> None:
    """Raise unless there is an engine of that name and it can run the rule.

    Parameters
    ----------
    engine : str
        What plays the record.
    rule : Rule
        As described by `driven`.
        Rules for whole tensors are never recorded: they are matrix products and norms, native already.
    engines : iterable of str
        The engines there are.

    Raises
    ------
    ImportError
        If the engine needs a package that is not installed.
    ValueError
        If there is no engine of that name, or the rule is not arithmetic alone, which is all that can be compiled.
    """
    engines = list(engines)
    if engine not in engines:
        close = difflib.get_close_matches(str(engine), engines, n=1)
        hint = f", did you mean {close[0]!r}?" if close else ""
        raise ValueError(f"engine must be one of {', '.join(map(repr, engines))}, got {engine!r}{hint}")
    if engine == "numba":
        _numba()
    if engine != "numpy" and rule.elementwise and record(rule, 1, rule.hyper) is None:
        raise ValueError(
            f"{rule.name}: engine={engine!r} runs rules of arithmetic alone, and this one does more; use 'numpy'"
        )


def check_shape(rule: Rule, what: str, shape: tuple[int, ...]) -> None:
    """Raise if a rule is not defined for parameters of a shape.

    Parameters
    ----------
    rule : Rule
        As described by `driven`.
    what : str
        The parameter's name in the message.
    shape : tuple of int
        Its shape.

    Raises
    ------
    ValueError
        If the rule is for matrices and this is none.
    """
    if rule.matrices_only and len(shape) != 2:
        other = "put it in a group with another rule: {'params': [...], 'rule': adamw}"
        raise ValueError(f"{rule.name}: only matrices can be stepped, {what} has shape {shape}; {other}")


def summary(group: Mapping[str, Any]) -> str:
    """Return one line about a parameter group.

    Parameters
    ----------
    group : mapping
        With "params", "rule" and the rule's hyper-parameters.

    Returns
    -------
    str
    """
    rule = driven(group["rule"])
    hyper = ", ".join(f"{name}={_shown(group[name])}" for name in rule.hyper)
    params = [math.prod(parameter.shape) for parameter in group["params"]]
    return f"  {rule.name}({hyper}): {sum(params)} numbers in {len(params)} parameters"


def _shown(value: Any) -> str:
    if callable(value):
        return getattr(value, "__name__", type(value).__name__)
    return f"array of {len(value)}" if np.ndim(value) else f"{float(value):g}"
