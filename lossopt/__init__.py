"""Losses, backprop and the SGD family: every formula written once, executed everywhere.

>>> import lossopt
>>> from lossopt.rules import adam
>>> path = lossopt.minimize(adam, lossopt.landscapes.rosenbrock, w0=(-1.5, 2.0), steps=2000, lr=0.05)
>>> bool(path.loss[-1] < 1e-6)
True

Importing lossopt needs numpy alone.
`lossopt.torch`, `lossopt.plot` and `lossopt.formula` load PyTorch, matplotlib and SymPy when they are first used.
"""

from importlib import import_module as _import_module
from importlib.metadata import version as _version
from types import ModuleType as _ModuleType

from . import (
    checkpoint,
    claims,
    compare,
    copying,
    data,
    dual,
    gradcheck,
    landscapes,
    losses,
    nn,
    problems,
    rules,
    schedules,
)
from .landscapes import LANDSCAPES
from .losses import LOSSES
from .optim import Optimizer, Path, minimize
from .rules import RULES
from .schedules import SCHEDULES
from .tensor import Tensor, no_grad, tensor

__version__ = _version("lossopt")

__all__ = [
    "LANDSCAPES",
    "LOSSES",
    "RULES",
    "SCHEDULES",
    "Optimizer",
    "Path",
    "Tensor",
    "checkpoint",
    "claims",
    "compare",
    "copying",
    "data",
    "dual",
    "gradcheck",
    "landscapes",
    "losses",
    "minimize",
    "nn",
    "no_grad",
    "problems",
    "rules",
    "schedules",
    "tensor",
]


def __getattr__(name: str) -> _ModuleType:
    if name in ("formula", "plot", "torch"):
        return _import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
