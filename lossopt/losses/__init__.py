"""The losses: each one a function of tensor methods, one number per example, one family a file.

They run unchanged on `lossopt.Tensor` and `torch.Tensor`, and never average: write `.mean()` and see over what.
A new loss is one function in one family file, and a new family is one line here.
"""

from .registry import LOSSES as LOSSES
from .registry import describe as describe

from .regression import *  # isort: skip
from .classification import *  # isort: skip
from .divergence import *  # isort: skip
from .detection import *  # isort: skip
from .embedding import *  # isort: skip

__all__ = ["LOSSES", "describe", *LOSSES]
