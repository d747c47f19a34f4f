"""`{rule}`, `{loss}` and `{copy}`: formulas and code printed from the package, so that a page cannot drift from it."""

from __future__ import annotations

import ast
import difflib
import inspect
import re
import textwrap
from collections.abc import Callable
from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

# The directive's line and the indented or empty lines after it.
FORMULA = re.compile(r"^\.\. math::(?P<body>.*(?:\n(?:[ ]+\S.*|$))*)", re.MULTILINE)


def code_of(function: Callable[..., object]) -> str:
    """The source of a function without its decorators and docstring, which the API reference says in full."""
    text = textwrap.dedent(inspect.getsource(function))
    definition = ast.parse(text).body[0]
    assert isinstance(definition, ast.FunctionDef)
    lines = text.splitlines()
    if ast.get_docstring(definition) is not None:
        docstring = definition.body[0]
        del lines[docstring.lineno - 1 : docstring.end_lineno]
    return "\n".join(lines[definition.lineno - 1 :]) + "\n"


def formulas_of(docstring: str) -> list[str]:
    """The displayed formulas of a docstring."""
    return [inspect.cleandoc(found["body"]) for found in FORMULA.finditer(inspect.cleandoc(docstring))]


def formula_node(latex: str) -> nodes.math_block:
    return nodes.math_block(
        latex, latex, **{"no-wrap": False, "number": None, "label": None, "classes": ["from-package"]}
    )


def code_node(text: str) -> nodes.literal_block:
    return nodes.literal_block(text, text, language="python")


def side_by_side(formulas: list[str], function: Callable[..., object]) -> list[nodes.Node]:
    left = nodes.container("", *map(formula_node, formulas), classes=["formula"])
    right = nodes.container("", code_node(code_of(function)), classes=["code"])
    return [nodes.container("", left, right, classes=["formula-and-code"])]


class FromPackage(SphinxDirective):
    """A directive that names members of the package; an unknown name is an error of the page, with its suggestion."""

    required_arguments = 1
    final_argument_whitespace = True

    def member(self, registry: str, name: str) -> Any:
        members = getattr(import_module("lossopt"), registry)
        if name not in members:
            close = difflib.get_close_matches(name, members)
            raise self.error(
                f"there is no {name} in lossopt.{registry}" + (f"; did you mean {close[0]}?" if close else "")
            )
        return members[name]


class Rule(FromPackage):
    """`{rule} adam`: the formula printed from the code, beside the code."""

    def run(self) -> list[nodes.Node]:
        rule = self.member("RULES", self.arguments[0])
        latex = import_module("lossopt.formula").latex(rule)
        return side_by_side([latex], rule.rule)


class Loss(FromPackage):
    """`{loss} huber`: the formula of the docstring, beside the code."""

    def run(self) -> list[nodes.Node]:
        function = self.member("LOSSES", self.arguments[0]).loss
        formulas = formulas_of(function.__doc__ or "")
        if not formulas:
            raise self.error(f"loss: the docstring of {self.arguments[0]} shows no formula ('.. math::')")
        return side_by_side(formulas, function)


class Copy(FromPackage):
    """`{copy} adam huber`: the text of `python -m lossopt copy adam huber`."""

    def run(self) -> list[nodes.Node]:
        names = self.arguments[0].split()
        try:
            text = import_module("lossopt.copying").text(names)
        except (KeyError, ValueError) as error:
            raise self.error(str(error.args[0])) from None
        command = code_node(f"python -m lossopt copy {' '.join(names)}\n")
        command["language"] = "console"
        return [nodes.container("", command, code_node(text), classes=["copy-me"])]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("rule", Rule)
    app.add_directive("loss", Loss)
    app.add_directive("copy", Copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
