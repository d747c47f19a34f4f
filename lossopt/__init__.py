"""Losses, backprop and the SGD family: every formula written once, executed everywhere.

>>> import lossopt
>>> from lossopt.rules import adam
>>> path = lossopt.minimize(adam, lossopt.landscapes.rosenbrock, w0=(-1.5, 2.0), steps=2000, lr=0.05)
>>> bool(path.loss[-1] < 1e-6)
True

Importing lossopt needs numpy alone; `lossopt.torch` and `lossopt.plot` are imported by name when wanted.
"""

from importlib.metadata import version as _version

from . import data, landscapes, losses, rules, schedules
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
    "data",
    "landscapes",
    "losses",
    "minimize",
    "no_grad",
    "rules",
    "schedules",
    "tensor",
]
