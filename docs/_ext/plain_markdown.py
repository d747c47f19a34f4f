"""A page's Markdown for readers outside the site: what only Sphinx understands becomes plain Markdown."""

from __future__ import annotations

import re

from . import sources

DIRECTIVE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w:-]+)\}[ ]*(?P<argument>.*)\n(?P<body>(?:.*\n)*?)(?P=fence)[ ]*$",
    re.MULTILINE,
)
OPTIONS = re.compile(r"\A(?::[\w-]+:.*\n)+\n*|\A---\n(?:.*\n)*?---\n+")
ROLE = re.compile(r"\{(?P<name>[\w:-]+)\}`(?:(?P<title>[^`<]+?)[ ]*<[^`>]+>|(?P<text>[^`]+))`")
LABEL = re.compile(r"^\([\w-]+\)=\n", re.MULTILINE)


def plain(markdown: str) -> str:
    """The Markdown without labels, roles and directives; formulas and code of the package are printed in full."""
    return ROLE.sub(role, DIRECTIVE.sub(directive, LABEL.sub("", markdown + "\n"))).strip()


def directive(found: re.Match[str]) -> str:
    name, argument, body = found["name"], found["argument"].strip(), OPTIONS.sub("", found["body"])
    if name in sources.PRINTERS:
        formulas, code = sources.PRINTERS[name](argument)
        return "\n\n".join([*(f"$$\n{formula}\n$$" for formula in formulas), f"```python\n{code}```"])
    if name == "copy":
        return f"```console\n{sources.copy(argument)[0]}```"
    if name == "math":
        return f"$$\n{body}$$"
    # A grid's argument is a number of columns.
    title = f"**{argument}**\n\n" if argument and name != "grid" else ""
    return title + DIRECTIVE.sub(directive, body)  # directives may stand in one another


def role(found: re.Match[str]) -> str:
    text = found["title"] or found["text"]
    if found["name"] == "math":
        return f"${text}$"
    return f"[{text}]" if found["name"].startswith("cite") else text
