"""The driver over torch: `Optimizer` is a `torch.optim.Optimizer` that runs any rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

try:
    import torch
except ModuleNotFoundError:
    raise ModuleNotFoundError("lossopt.torch needs PyTorch: pip install 'lossopt[torch]'") from None

from . import engine as _engine
from .engine import PerRun, driven, settings
from .rules.registry import Rule, validate

__all__ = ["Optimizer"]


class Optimizer(torch.optim.Optimizer):
    """Train torch parameters with any rule, in the place of any `torch.optim` optimizer.

    On the CPU a rule runs through NumPy, or numba, on the memory of the tensors; elsewhere through tensor operations.
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
    engine : {"numpy", "numba"}
        What runs rules of arithmetic on the CPU; the results are equal bit for bit. numba is the extra
        `lossopt[fast]`.
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
        _engine.check_engine(self.engine, rule)
        defaults = rule.hyper if "rule" in group else self.defaults
        group = {**defaults, **group, "rule": function, "steps": 0}
        _hyper(group, 1)
        params = group["params"]
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
        ready = [(driven(group["rule"]), _hyper(group, group["steps"] + 1)) for group in self.param_groups]
        for (rule, _), group in zip(ready, self.param_groups, strict=True):
            if any(p.grad is not None and p.grad.layout != torch.strided for p in group["params"]):
                raise TypeError(f"{rule.name}: sparse gradients cannot be stepped; make the layer with sparse=False")
        for (rule, hyper), group in zip(ready, self.param_groups, strict=True):
            group["steps"] += 1
            self._step_group(rule, hyper, [p for p in group["params"] if p.grad is not None])
        return loss

    def _step_group(self, rule: Rule, hyper: dict[str, Any], params: list[torch.Tensor]) -> None:
        flat: dict[Any, list[_engine.Part]] = {}  # what is stepped together: same step, same precision
        copied = []
        for p in params:
            own, state, dtype = p.detach(), self.state[p], _working_dtype(p.dtype)
            w = own.to(dtype).contiguous()  # the parameter's own memory wherever that is possible
            g = p.grad.to(dtype)  # type: ignore[union-attr]
            if not state:
                shape = p.shape if rule.elementwise else ()
                state.update({name: torch.zeros(shape, dtype=dtype, device=p.device) for name in rule.state})
                state["step"] = 0
            state["step"] += 1
            remembered = [state[name] for name in rule.state]
            if not _in_numpy(p):
                w, *after = _engine.call(rule, w, g, state["step"], remembered, hyper)
                for name, value in zip(rule.state, after, strict=True):
                    state[name] = torch.as_tensor(value, dtype=dtype, device=p.device)
            elif rule.elementwise:
                part = tuple(tensor.numpy().reshape(-1) for tensor in (w, g, *remembered))
                flat.setdefault((state["step"], dtype), []).append(part)
            else:
                arrays = [value.numpy() for value in remembered]
                after = _engine.step_whole(rule, w.numpy(), g.numpy(), state["step"], arrays, hyper)
                state.update(zip(rule.state, map(torch.from_numpy, after), strict=True))
            if w is not own:
                copied.append((p, w))
        for (t, _), parts in flat.items():
            _engine.step(rule, parts, t, hyper, self.engine)
        for p, w in copied:
            p.copy_(w)

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
        groups = self._groups_to_load(state_dict)
        state = state_dict["state"]
        super().load_state_dict({"state": state, "param_groups": groups})
        # torch has given the state the precision of its parameter; half precision would lose what float32 remembers.
        for here, saved in zip(self.param_groups, groups, strict=True):
            for p, key in zip(here["params"], saved["params"], strict=True):
                for name in driven(here["rule"]).state if key in state else ():
                    precise = state[key][name].to(device=p.device, dtype=_working_dtype(p.dtype), copy=True)
                    self.state[p][name] = precise

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
            validate(
                rule, {name: value for name, value in group.items() if name not in here.keys() - rule.hyper.keys()}
            )
            _hyper(group, 1)
            for p, key in zip(here["params"], saved["params"], strict=True):
                _check_state(rule, p, key, state_dict["state"].get(key))
            groups.append(group)
        return groups

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "rule": self.rule, "engine": self.engine}

    def __repr__(self) -> str:
        return "\n".join(["Optimizer(", *map(_engine.summary, self.param_groups), ")"])


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
            raise ValueError(f"{rule.name}: {name} must be one number, got an array of shape {value.shape}")
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


def _check_state(rule: Rule, p: torch.Tensor, key: Any, state: Mapping[str, Any] | None) -> None:
    if state is None:  # a parameter that has not been stepped yet
        return
    what = f"state_dict: parameter {key}"
    if set(state) != {"step", *rule.state}:
        raise ValueError(f"{what}: {rule.name} remembers {', '.join(('step', *rule.state))}, got {', '.join(state)}")
    for name in rule.state if rule.elementwise else ():
        if state[name].shape != p.shape:
            raise ValueError(f"{what}: {name} must have shape {tuple(p.shape)}, got {tuple(state[name].shape)}")
