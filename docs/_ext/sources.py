"""`{rule}`, `{loss}`, `{schedule}`, `{copy}`: formulas and code printed from the package, from which no page drifts."""

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


def member(registry: str, name: str) -> Any:
    """A member of one of the package's registries; LookupError with a suggestion where there is none."""
    members = getattr(import_module("lossopt"), registry)
    if name not in members:
        close = difflib.get_close_matches(name, members)
        raise LookupError(
            f"there is no {name} in lossopt.{registry}" + (f"; did you mean {close[0]}?" if close else "")
        )
    return members[name]


def rule(name: str) -> tuple[list[str], str]:
    """The formula of a rule, printed from its code, and the code."""
    found = member("RULES", name)
    return [import_module("lossopt.formula").latex(found)], code_of(found.rule)


def loss(name: str) -> tuple[list[str], str]:
    """The formulas in the docstring of a loss, and its code."""
    function = member("LOSSES", name).loss
    formulas = formulas_of(function.__doc__ or "")
    if not formulas:
        raise LookupError(f"the docstring of {name} shows no formula ('.. math::')")
    return formulas, code_of(function)


def schedule(name: str) -> tuple[list[str], str]:
    """The code of a schedule without the lines that check its arguments; it has no other formula."""
    definition = ast.parse(code_of(member("SCHEDULES", name))).body[0]
    assert isinstance(definition, ast.FunctionDef)
    definition.body = [line for line in definition.body if not is_check(line)]
    definition.returns = None
    for argument in definition.args.args:
        argument.annotation = None
    return [], ast.unparse(definition) + "\n"


def is_check(statement: ast.stmt) -> bool:
    """Whether a statement only raises: a call of a `_check` function, `if ...: raise`, or a loop of such."""
    match statement:
        case ast.Expr(ast.Call(ast.Name(name))):
            return name.startswith("_check")
        case ast.If(body=[ast.Raise()], orelse=[]):
            return True
        case ast.For(body=body):
            return all(map(is_check, body))
    return False


def copy(names: str) -> tuple[str, str]:
    """The command that copies the named formulas, and the text of the file it writes."""
    return f"python -m lossopt copy {names}\n", import_module("lossopt.copying").text(names.split())


PRINTERS = {"rule": rule, "loss": loss, "schedule": schedule}


def formula_node(latex: str) -> nodes.math_block:
    options = {"no-wrap": False, "number": None, "label": None, "classes": ["from-package"]}
    return nodes.math_block(latex, latex, **options)


def code_node(text: str, language: str = "python") -> nodes.literal_block:
    return nodes.literal_block(text, text, language=language)


class FromPackage(SphinxDirective):
    """A directive whose argument names members of the package; an unknown name is an error of the page."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        try:
            return [self.print(self.arguments[0])]
        except (LookupError, ValueError) as error:
            raise self.error(f"{self.name}: {error.args[0]}") from None

    def print(self, argument: str) -> nodes.Node:
        raise NotImplementedError


class SideBySide(FromPackage):
    """`{rule} adam` and `{loss} huber`: the formula beside the code; `{schedule} cosine`: the code."""

    def print(self, argument: str) -> nodes.Node:
        formulas, code = PRINTERS[self.name](argument)
        if not formulas:
            return code_node(code)
        left = nodes.container("", *map(formula_node, formulas), classes=["formula"])
        right = nodes.container("", code_node(code), classes=["code"])
        return nodes.container("", left, right, classes=["formula-and-code"])


class Copy(FromPackage):
    """`{copy} adam huber`: the command, and the text of the file it writes."""

    def print(self, argument: str) -> nodes.Node:
        command, text = copy(argument)
        return nodes.container("", code_node(command, "console"), code_node(text), classes=["copy-me"])


def setup(app: Sphinx) -> dict[str, bool]:
    for name in PRINTERS:
        app.add_directive(name, SideBySide)
    app.add_directive("copy", Copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
