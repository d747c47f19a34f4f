"""The driver over torch: `Optimizer` is a `torch.optim.Optimizer` that runs any rule."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeGuard

import numpy as np

try:
    import torch
    from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors
except ModuleNotFoundError:
    raise ModuleNotFoundError("lossopt.torch needs PyTorch: pip install 'lossopt[torch]'") from None

from . import engine as _engine
from .engine import PerRun, driven, settings
from .rules.registry import Rule, validate

__all__ = ["Optimizer"]

_Part: TypeAlias = Sequence[torch.Tensor]  # (w, g, *state)
_Columns: TypeAlias = list[list[torch.Tensor]]  # all w, all g, then all of each state

# Elements of the largest small parameter, and of the block in which small ones are stepped side by side:
_CPU_SIZES = (2048, 32768)  # larger blocks leave the cache
_DEVICE_SIZES = (2**20, 2**22)  # smaller blocks spend more on starting kernels than on arithmetic


class Optimizer(torch.optim.Optimizer):
    """Train torch parameters with any rule, in the place of any `torch.optim` optimizer.

    On the CPU a rule runs through NumPy, or numba, on the memory of the tensors; elsewhere through tensor operations.
    Small parameters are stepped side by side, many of them in one block.
    A parameter whose `grad` is None is skipped: its state and its "step" stay as they are.
    Non-finite gradients go where arithmetic takes them, as in `torch.optim`; none is dropped, and none is changed.
    Float16 and bfloat16 parameters are stepped in float32 and keep float32 state.
    A rule that needs whole tensors steps one parameter after the other.

    Parameters
    ----------
    params : iterable of torch.Tensor, of (name, tensor), or of dict
        The parameters, or groups of them: a group is a dict with "params" and any hyper-parameters of its own.
        A group with a "rule" of its own takes its hyper-parameters from the group and that rule's defaults alone.
    rule : function or Rule
        A rule, such as `lossopt.rules.adam` or `lossopt.RULES["adam"]`.
    engine : {"numpy", "numba", "compile"}
        What runs rules of arithmetic.
        "numpy" and "numba" are for parameters on the CPU; their results are equal bit for bit. numba is the extra
        `lossopt[fast]`.
        "compile" makes one kernel of the rule with `torch.compile`, on every device; it takes seconds at the first
        step, and other rates take no new kernel.
    **hyper : number, tensor of one number, or function of the step
        Hyper-parameters of the rule. A function takes the number of the call of `step`, counted from 1, and is not
        saved in `state_dict`.
        `weight_decay` is an L2 penalty where the rule has none of its own: `weight_decay * w` added to the gradient.

    Attributes
    ----------
    param_groups : list of dict
        For each group "params", "rule", "steps" and the hyper-parameters, for schedulers to change.

    Raises
    ------
    TypeError
        If parameters are not real floating-point tensors, the rule is not one, or a hyper-parameter is unknown.
    ValueError
        If a parameter is there twice or is not a leaf, a value is outside its range, the rule is for matrices and a
        parameter is none, or there is no such engine.
    ImportError
        If the engine is not installed.
    """

    def __init__(
        self,
        params: Iterable[torch.Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, torch.Tensor]],
        rule: Rule | Callable[..., Any],
        *,
        engine: str = "numpy",
        **hyper: Any,
    ) -> None:
        described = driven(rule)
        validate(described, hyper)
        self.rule = rule
        self.engine = engine
        super().__init__(params, {**described.hyper, **hyper})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Train more parameters from now on.

        Parameters
        ----------
        param_group : dict
            With "params", and possibly a "rule" and hyper-parameters of its own.

        Raises
        ------
        TypeError, ValueError
            As the constructor; nothing has been changed then.
        """
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise TypeError(f"a group must be a dict with 'params', got {param_group!r}")
        group = dict(param_group)
        own = {name: value for name, value in group.items() if name not in ("params", "param_names", "rule")}
        function = group.get("rule", self.rule)
        rule = driven(function)
        validate(rule, own)
        _engine.check_engine(self.engine, rule, (*_engine.ENGINES, "compile"))
        defaults = rule.hyper if "rule" in group else self.defaults
        group = {**defaults, **group, "rule": function, "steps": 0}
        _hyper(group, 1)
        params = group["params"]
        if not isinstance(params, set):  # torch says what is wrong with a set
            group["params"] = [params] if isinstance(params, torch.Tensor) else list(params)
            _check_params(rule, group["params"])
        super().add_param_group(group)
        for name in self.defaults.keys() - rule.hyper.keys():
            del group[name]  # torch has filled in what another rule is told

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient by one step of its group's rule.

        Parameters
        ----------
        closure : callable, optional
            Evaluates the model again and returns the loss.

        Returns
        -------
        The loss that the closure returned, or None.

        Raises
        ------
        TypeError, ValueError
            If a hyper-parameter is not valid now, or a gradient is sparse. Nothing has been changed then.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        ready = []
        for group in self.param_groups:
            rule, hyper = driven(group["rule"]), _hyper(group, group["steps"] + 1)
            params = [p for p in group["params"] if p.grad is not None]
            if any(p.grad.layout is not torch.strided for p in params):
                raise TypeError(f"{rule.name}: sparse gradients cannot be stepped; make the layer with sparse=False")
            ready.append((group, rule, hyper, params))
        for group, rule, hyper, params in ready:
            group["steps"] += 1
            self._step_group(rule, hyper, params)
        return loss

    def _step_group(self, rule: Rule, hyper: dict[str, Any], params: list[torch.Tensor]) -> None:
        alike: dict[Any, list[torch.Tensor]] = {}  # what is stepped together: same step, same precision, same device
        for p in params:
            state = self.state[p]
            if not state:
                like, dtype = p if rule.elementwise else p.new_zeros(()), _working_dtype(p.dtype)
                for name in rule.state:
                    state[name] = torch.zeros_like(like, dtype=dtype, memory_format=torch.contiguous_format)
                state["step"] = 0
            state["step"] = t = state["step"] + 1
            if rule.elementwise:
                alike.setdefault((t, p.dtype, p.device), []).append(p)
            else:
                _step_whole(rule, hyper, p, state)
        for (t, _, _), members in alike.items():
            states = [self.state[p] for p in members]
            columns: _Columns = [
                members,
                [p.grad for p in members],  # type: ignore[misc]  # those without one are not among them
                *([state[name] for state in states] for name in rule.state),
            ]
            if any(map(_is_distributed, members)):
                columns = _held_here(columns)
            _step_columns(rule, hyper, columns, t, self.engine)

    def state_dict(self) -> dict[str, Any]:
        """Return what `torch.save` can write and `torch.load(..., weights_only=True)` can read.

        Returns
        -------
        dict
            That of `torch.optim`, with the rule's name for the rule, and without functions of the step.
        """
        saved = super().state_dict()
        saved["param_groups"] = [
            {
                name: driven(value).name if name == "rule" else value
                for name, value in group.items()
                if name == "rule" or not callable(value)
            }
            for group in saved["param_groups"]
        ]
        return saved

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where another optimizer was.

        Parameters
        ----------
        state_dict : mapping
            What `state_dict` returned; copied. A hyper-parameter it lacks stays as it is here.

        Raises
        ------
        TypeError, ValueError
            If it belongs to other groups, rules or parameters, or holds values that are not valid. Nothing has been
            changed then.
        """
        loaded: dict[torch.Tensor, dict[str, Any]] = {}

        def check(_: torch.optim.Optimizer, given: dict[str, Any]) -> dict[str, Any]:
            groups, state = self._groups_to_load(given), dict(given["state"])
            for here, saved in zip(self.param_groups, groups, strict=True):
                for p, key in zip(here["params"], saved["params"], strict=True):
                    if key in state:
                        loaded[p] = _loaded(driven(here["rule"]), p, state.pop(key))
            return {"param_groups": groups, "state": state}

        def keep(_: torch.optim.Optimizer) -> None:
            self.state.update(loaded)  # not by torch, which would round it to the precision of its parameter

        # After the hooks that change what is loaded, and before those that look at what was loaded:
        hooks = [
            self.register_load_state_dict_pre_hook(check),
            self.register_load_state_dict_post_hook(keep, prepend=True),
        ]
        try:
            super().load_state_dict(dict(state_dict))
        finally:
            for hook in hooks:
                hook.remove()

    def _groups_to_load(self, state_dict: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The groups of a state dict, with rules for their names, if they fit the groups here."""
        if "state" not in state_dict or "param_groups" not in state_dict:
            raise ValueError(f"state_dict must have 'state' and 'param_groups', got {sorted(state_dict)}")
        sizes = [
            [len(group["params"]) for group in groups] for groups in (self.param_groups, state_dict["param_groups"])
        ]
        if sizes[0] != sizes[1]:
            raise ValueError(f"state_dict: the groups here have {sizes[0]} parameters, got {sizes[1]}")
        groups = []
        for here, saved in zip(self.param_groups, state_dict["param_groups"], strict=True):
            rule = driven(here["rule"])
            if saved.get("rule") != rule.name:
                raise ValueError(f"state_dict: the rule here is {rule.name}, got {saved.get('rule')}")
            group = {**here, **saved, "rule": here["rule"]}
            others = {*here, "param_names"} - rule.hyper.keys()
            validate(rule, {name: value for name, value in group.items() if name not in others})
            _hyper(group, 1)
            for p, key in zip(here["params"], saved["params"], strict=True):
                _check_state(rule, p, key, state_dict["state"].get(key))
            groups.append(group)
        return groups

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "rule": self.rule, "engine": self.engine}

    def __repr__(self) -> str:
        return "\n".join(["Optimizer(", *map(_engine.summary, self.param_groups), ")"])


def _step_whole(rule: Rule, hyper: dict[str, Any], p: torch.Tensor, state: dict[str, Any]) -> None:
    """Step one parameter as a whole."""
    t, dtype = state["step"], _working_dtype(p.dtype)
    w, g = _plain(p, dtype), _plain(p.grad, dtype)  # type: ignore[arg-type]  # `step` has seen to it
    remembered = [state[name] for name in rule.state]
    if _in_numpy(p):
        arrays = [tensor.numpy() for tensor in remembered]
        after = [torch.from_numpy(a) for a in _engine.step_whole(rule, w.numpy(), g.numpy(), t, arrays, hyper)]
    else:
        w, *after = _engine.call(rule, w, g, t, remembered, hyper)
    p.copy_(w)
    for name, value in zip(rule.state, after, strict=True):
        state[name] = torch.as_tensor(value, dtype=dtype, device=p.device)


def _is_distributed(tensor: torch.Tensor) -> TypeGuard[Any]:
    """Whether a tensor is a DTensor, of which each process holds a part; its module takes long to import."""
    return hasattr(tensor, "to_local")


def _held_here(columns: list[Any]) -> _Columns:
    """The parts of the tensors that this process holds, each gradient's part being that of its weights."""
    weights, gradients, *states = columns
    gradients = [
        g.redistribute(placements=w.placements) if _is_distributed(w) else g
        for w, g in zip(weights, gradients, strict=True)
    ]
    return [[x.to_local() if _is_distributed(x) else x for x in column] for column in (weights, gradients, *states)]


def _step_columns(rule: Rule, hyper: dict[str, Any], columns: _Columns, t: int, engine: str) -> None:
    """Step parameters of one precision on one device by an elementwise rule."""
    first = columns[0][0]
    dtype = _working_dtype(first.dtype)
    if engine != "compile" and not _in_numpy(first):
        engine = "torch"
    if engine == "numba" and _step_in_memory(rule, hyper, columns, t):
        return
    alone, blocks = _divided(columns, *(_CPU_SIZES if engine in _engine.ENGINES else _DEVICE_SIZES))
    for block in blocks:
        flat = [_flatten_dense_tensors(column).to(dtype) for column in block]  # type: ignore[no-untyped-call]
        (after,) = _advance(rule, hyper, [flat], t, engine)
        for place in _engine.places(len(block)):
            pieces = _unflatten_dense_tensors(after[place], block[place])  # type: ignore[no-untyped-call]
            torch._foreach_copy_(block[place], pieces)
    if alone:
        plain = [[_plain(tensor, dtype) for tensor in part] for part in alone]
        for part, after in zip(alone, _advance(rule, hyper, plain, t, engine), strict=True):
            for place in _engine.places(len(part)):
                if after[place] is not part[place]:
                    part[place].copy_(after[place])
        _tell_torch([part[0] for part in alone])


def _divided(columns: _Columns, small: int, size: int) -> tuple[list[_Part], list[_Columns]]:
    """Parts to be stepped where they are, and columns of small ones that fill a block of that size together."""
    alone: list[_Part] = []
    blocks: list[list[_Part]] = []
    free = 0
    for part in zip(*columns, strict=True):
        n = part[0].numel()
        if n > small:
            alone.append(part)
            continue
        if not blocks or n > free:
            blocks.append([])
            free = size
        blocks[-1].append(part)
        free -= n
    if blocks and len(blocks[-1]) == 1:
        alone += blocks.pop()
    return alone, [list(map(list, zip(*block, strict=True))) for block in blocks]


def _advance(rule: Rule, hyper: dict[str, Any], parts: Sequence[_Part], t: int, engine: str) -> Sequence[_Part]:
    """Step contiguous parts, in place where the engine can; where the new values are."""
    if engine in _engine.ENGINES:
        arrays = [tuple([tensor.numpy().reshape(-1) for tensor in part]) for part in parts]
        _engine.step(rule, arrays, t, hyper, engine)
        return parts
    record = _engine.record(rule, t, hyper) if engine == "compile" else None
    if record is not None:
        kernel = _kernel(record.program, len(parts[0]), record.results)
        constants = torch.tensor(record.constants, dtype=parts[0][0].dtype, device=parts[0][0].device)
        for part in parts:
            kernel(*[tensor.detach().view(-1) for tensor in part], constants)
        return parts
    after = []
    for w, g, *state in parts:
        new, *remembered = _engine.call(rule, w, g, t, state, hyper)
        full = [torch.as_tensor(value, dtype=w.dtype, device=w.device).expand_as(w) for value in (new, *remembered)]
        after.append([full[0], g, *full[1:]])
    return after


@functools.cache
def _kernel(program: _engine.Program, arrays: int, results: tuple[int, ...]) -> Callable[..., None]:
    """Compile a record's operations into one kernel `(w, g, *state, constants)`.

    The constants are given as a tensor, so that a new step or rate compiles nothing anew.
    """
    loads, operations = _engine.statements(program, results)
    lines = [f"def kernel({', '.join(f'v{k}' for k in range(arrays))}, constants):"]
    lines += [f"    {line}" for line in (*loads, *operations)]
    lines += [f"    v{k}.copy_({_engine.named(n)})" for k, n in zip(_engine.places(arrays), results, strict=True)]
    elsewhere = {"power": torch.pow, "positive": torch.clone}  # +x of torch is x itself
    names = {operation.__name__ for operation, _, _ in program}
    namespace: dict[str, Any] = {name: elsewhere.get(name) or getattr(torch, name) for name in names}
    exec("\n".join(lines), namespace)  # the text is made of numbers and names of ufuncs alone
    kernel: Callable[..., None] = namespace["kernel"]
    return torch.compile(kernel, dynamic=True, fullgraph=True)


def _step_in_memory(rule: Rule, hyper: dict[str, Any], columns: _Columns, t: int) -> bool:
    """Step parameters where they are in memory by numba, if all is there as its loop needs it; whether that was so."""
    dtype = columns[0][0].dtype
    sizes = [p.numel() for p in columns[0]]
    if len(sizes) <= _engine.MANY and sum(sizes) <= _engine.ENGINES["numba"]:
        return False
    for column in columns:
        if {(x.dtype, x.is_contiguous(), x.is_cpu) for x in column} != {(dtype, True, True)}:
            return False
        if [x.numel() for x in column] != sizes:
            return False
    rows = np.array([sizes, *([x.data_ptr() for x in column] for column in columns)])
    moved = _engine.step_at(rule, rows, str(dtype).removeprefix("torch."), t, hyper)
    _tell_torch(columns[0])
    return moved


def _tell_torch(params: Sequence[torch.Tensor]) -> None:
    """Say that parameters were changed, so that a graph through their old values refuses to be run again."""
    torch.autograd.graph.increment_version(params)


def _loaded(rule: Rule, p: torch.Tensor, saved: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a parameter's saved state as it is kept here."""
    precise = {"dtype": _working_dtype(p.dtype), "device": p.device, "memory_format": torch.contiguous_format}
    return {name: saved[name].to(**precise, copy=True) for name in rule.state} | {"step": int(saved["step"])}


def _plain(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A tensor of that precision in one piece: itself wherever that is possible."""
    if tensor.dtype is dtype and tensor.is_contiguous():
        return tensor
    return tensor.to(dtype).contiguous()


def _working_dtype(dtype: torch.dtype) -> torch.dtype:
    """The precision a parameter is stepped in: its own, or float32 for halves."""
    return torch.float32 if dtype.itemsize < 4 else dtype


def _in_numpy(p: torch.Tensor) -> bool:
    """Whether NumPy can step a parameter in its own memory."""
    return p.device.type == "cpu"


def _hyper(group: Mapping[str, Any], t: int) -> dict[str, Any]:
    """The hyper-parameters of a group at one step."""
    rule = driven(group["rule"])
    hyper = {name: group[name] for name in rule.hyper}
    validate(rule, hyper)
    hyper = settings(hyper, t)
    for name, value in hyper.items():
        if isinstance(value, PerRun):
            if value.size != 1:
                raise ValueError(f"{rule.name}: {name} must be one number, got an array of shape {value.shape}")
            hyper[name] = value.item()
    return hyper


def _check_params(rule: Rule, params: list[Any]) -> None:
    tensors = [p[1] if isinstance(p, tuple) else p for p in params]
    for i, p in enumerate(tensors):
        if isinstance(p, torch.Tensor):  # torch says what is wrong with anything else
            if not p.is_floating_point():
                raise TypeError(f"parameter {i} must be of real floating-point numbers, got {p.dtype}")
            if any(p is other for other in tensors[:i]):
                raise ValueError(f"parameter {i} is there twice")
            _engine.check_shape(rule, f"parameter {i}", tuple(p.shape))
            if _is_distributed(p) and not rule.elementwise:
                raise TypeError(
                    f"{rule.name}: needs whole tensors, and of parameter {i} each process holds a part (a DTensor with "
                    f"placements {p.placements}); take a rule that steps each number alone, such as adamw, or "
                    "DistributedDataParallel, where each process holds all of it"
                )


def _is_count(value: Any) -> bool:
    try:
        return bool(value >= 0 and int(value) == value)
    except (TypeError, ValueError):
        return False


def _check_state(rule: Rule, p: torch.Tensor, key: Any, state: Mapping[str, Any] | None) -> None:
    if state is None:  # a parameter that has not been stepped yet
        return
    what = f"state_dict: parameter {key}"
    if set(state) != {"step", *rule.state}:
        raise ValueError(f"{what}: {rule.name} remembers {', '.join(('step', *rule.state))}, got {', '.join(state)}")
    if not _is_count(state["step"]):
        raise ValueError(f"{what}: step must be a whole number from 0, got {state['step']!r}")
    for name in rule.state if rule.elementwise else ():
        if state[name].shape != p.shape:
            raise ValueError(f"{what}: {name} must have shape {tuple(p.shape)}, got {tuple(state[name].shape)}")
        if _is_distributed(state[name]) != _is_distributed(p):
            raise ValueError(
                f"{what}: {name} must be a {type(p.data).__name__} as the parameter is, got a "
                f"{type(state[name]).__name__}; save and load with torch.distributed.checkpoint, which lays it out anew"
            )
