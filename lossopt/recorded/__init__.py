"""Comparisons that are too long for a page: run once, kept with the package, read back as they were.

`comparison("fashion_mlp")` is what `lossopt.compare.compare` returned then, and `conditions("fashion_mlp")` says when,
with what and by which command, so that it can be run again.
"""

from __future__ import annotations

import difflib
import json
from importlib.resources import files
from typing import Any

from ..compare import Comparison

__all__ = ["comparison", "conditions", "names"]


def names() -> tuple[str, ...]:
    """Return the names of all recorded comparisons.

    Returns
    -------
    tuple of str
        In alphabetical order.

    Examples
    --------
    >>> names()
    ('fashion_cnn', 'fashion_mlp')
    """
    found = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in found if name.endswith(".json")))


def comparison(name: str) -> Comparison:
    """Return a recorded comparison.

    Parameters
    ----------
    name : str
        One of `names()`.

    Returns
    -------
    Comparison
        Number by number what was measured then; it displays as its table and can be drawn as any other.

    Raises
    ------
    ValueError
        When there is none of that name.

    Examples
    --------
    >>> comparison("fashion_mlp").steps
    782
    """
    return Comparison.from_json(json.dumps(_recording(name)["comparison"]))


def conditions(name: str) -> dict[str, Any]:
    """Return how a recorded comparison came about.

    Parameters
    ----------
    name : str
        One of `names()`.

    Returns
    -------
    dict
        The `command` that repeats it, its `date`, the `cpu_seconds` it took, `batch`, `epochs` and `schedule`, the kind
        of `machine`, and the versions of `python`, `numpy` and `lossopt`.

    Raises
    ------
    ValueError
        When there is none of that name.

    Examples
    --------
    >>> conditions("fashion_mlp")["command"]
    'python -m nox -s fashion'
    """
    found: dict[str, Any] = _recording(name)["conditions"]
    return found


def _recording(name: str) -> Any:
    known = names()
    if name not in known:
        close = difflib.get_close_matches(str(name), known, n=1)
        guess = f", did you mean {close[0]!r}?" if close else "."
        raise ValueError(f"recorded: there is no {name!r}{guess} Recorded are {', '.join(known)}")
    return json.loads(files(__name__).joinpath(f"{name}.json").read_text(encoding="utf-8"))
