"""The rules: each one a pure function of arithmetic, one family a file.

`lossopt.rules.adam` is the function; what papers and other libraries define differently is in `lossopt.rules.dialects`.
A new rule is one function in one family file, and a new family is one line here.
"""

from . import dialects as dialects
from .adam import *
from .adaptive import *
from .averaging import *
from .descent import *
from .layerwise import *
from .matrix import *
from .momentum import *
from .registry import RULES as RULES
from .registry import describe as describe
from .registry import validate as validate
from .sign import *
