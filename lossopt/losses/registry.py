"""What a page or a table needs to know about a loss, read from the loss itself.

A signature is the whole declaration: data first (no default), then hyper-parameters (with one); the docstring says the
rest in paragraphs: `Domain:`, `Activation:`, the formula, `Remark:`, and in its `Source` section.
So a new function in a family file is found here, and nothing lists it a second time.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

__all__ = ["LOSSES", "Loss", "describe"]

HELPERS = {"registry", "checks", "limits"}


@dataclass(frozen=True)
class Loss:
    """A loss and what its signature and docstring say about it.

    Parameters
    ----------
    name : str
        The function's name.
    loss : callable
        The function itself, `(*arguments, **hyper) -> tensor`, one number per example.
    arguments : tuple of str
        What it compares, in order; the first is what the model computed.
    hyper : mapping of str to number or None
        Hyper-parameters and their defaults.
    domains : mapping of str to Domain
        What each argument may be, where that is not any real number.
    family : str
        The file it lives in; empty for a function that was made in none.
    year : int or None
        The year of its source; None where the docstring gives none.
    summary, domain, activation, formula, remark, source : str
        The paragraphs of its docstring; the formula is LaTeX. Empty where there is none.
    """

    name: str
    loss: Callable[..., Any]
    arguments: tuple[str, ...]
    hyper: Mapping[str, Any]
    domains: Mapping[str, Any]
    family: str
    year: int | None
    summary: str
    domain: str
    activation: str
    formula: str
    remark: str
    source: str

    def __reduce__(self) -> tuple[Any, ...]:
        # A read-only mapping can be neither copied nor saved; the function can, and says everything.
        return describe, (self.loss,)


@functools.cache
def describe(function: Callable[..., Any]) -> Loss:
    """Say what a loss compares, what it can be told, and what its docstring says of it.

    Parameters
    ----------
    function : callable
        Any function `(<data without default>, <hyper-parameters with default>)`; your own as well.

    Returns
    -------
    Loss

    Raises
    ------
    TypeError
        If it is not a function, or compares nothing.
    """
    if not inspect.isroutine(function):
        raise TypeError(f"a loss is a function such as lossopt.losses.huber, got {function!r}")
    parameters = inspect.signature(function).parameters.values()
    arguments = tuple(p.name for p in parameters if p.default is p.empty)
    if not arguments:
        raise TypeError(f"{function.__name__}: a loss has an argument without a default, what the model computed")
    text = inspect.getdoc(function) or ""
    source = text.partition("\nSource\n------\n")[2]
    year = re.search(r"\((\d{4})\)", source)
    return Loss(
        name=function.__name__,
        loss=function,
        arguments=arguments,
        hyper=MappingProxyType({p.name: p.default for p in parameters if p.default is not p.empty}),
        domains=getattr(function, "domains", MappingProxyType({})),
        family=(function.__module__ or "").rpartition(".")[2],
        year=int(year[1]) if year else None,
        summary=text.partition("\n\n")[0],
        domain=_paragraph(text, "Domain:"),
        activation=_paragraph(text, "Activation:"),
        formula=_paragraph(text, ".. math::"),
        remark=_paragraph(text, "Remark:"),
        source=" ".join(source.split()),
    )


def _paragraph(text: str, start: str) -> str:
    """The paragraph of a docstring that begins so, on one line and without its beginning."""
    found = [paragraph for paragraph in text.split("\n\n") if paragraph.startswith(start)]
    return " ".join(found[0].removeprefix(start).split()) if found else ""


def _find() -> dict[str, Loss]:
    """All losses of this package by name, oldest first: the public functions of its family files."""
    package = importlib.import_module(__package__)
    families = [name for _, name, _ in pkgutil.iter_modules(package.__path__) if name not in HELPERS]
    modules = [importlib.import_module(f"{__package__}.{name}") for name in families]
    functions = [f for m in modules for f in vars(m).values() if inspect.isfunction(f) and f.__module__ == m.__name__]
    losses = [describe(f) for f in functions if not f.__name__.startswith("_")]
    losses.sort(key=lambda loss: (loss.year, loss.name))
    return {loss.name: loss for loss in losses}


LOSSES: Mapping[str, Loss] = MappingProxyType(_find())
