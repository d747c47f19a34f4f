"""A file to paste into a project: the chosen formulas, what they call, and nothing of lossopt.

`text(["adam", "huber"])` is that file. What a formula calls (a primitive, a helper of its family) is copied before it,
each once. Decorators are left out, and with them the checks that lossopt makes before a loss: what is copied is the
formula alone.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import symtable
import sys
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .landscapes import LANDSCAPES
from .losses import LOSSES
from .rules import RULES
from .schedules import SCHEDULES

__all__ = ["CATALOGUE", "Entry", "find", "source", "text"]

LICENCE = """\
MIT License

Copyright (c) 2026 The lossopt authors

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


@dataclass(frozen=True)
class Entry:
    """Something that can be copied.

    Parameters
    ----------
    kind : str
        "rules", "losses", "schedules" or "landscapes".
    name : str
        Its name, unique within its kind.
    family : str
        The file it lives in.
    module : str
        The module of that file.
    summary, origin : str
        The first sentence of its docstring, and its Source paragraph.
    """

    kind: str
    name: str
    family: str
    module: str
    summary: str
    origin: str

    @property
    def path(self) -> str:
        """The file it lives in, from the top of the package."""
        return self.module.replace(".", "/") + ".py"


def _entry(kind: str, name: str, module: str, documented: Any) -> Entry:
    doc = inspect.cleandoc(documented.__doc__ or "")
    origin = " ".join(doc.partition("\nSource\n------\n")[2].split())
    return Entry(kind, name, module.rpartition(".")[2], module, " ".join(doc.partition("\n\n")[0].split()), origin)


def _catalogue() -> dict[str, dict[str, Entry]]:
    found: dict[str, dict[str, Any]] = {
        "rules": {name: rule.rule for name, rule in RULES.items()},
        "losses": {name: loss.loss for name, loss in LOSSES.items()},
        "schedules": dict(SCHEDULES),
    }
    entries = {
        kind: {n: _entry(kind, n, f.__module__, f) for n, f in members.items()} for kind, members in found.items()
    }
    module = "lossopt.landscapes"
    # What is written under a landscape's name: the landscape itself, or the function that makes it.
    written = {name: getattr(importlib.import_module(module), name) for name in LANDSCAPES}
    return entries | {"landscapes": {n: _entry("landscapes", n, module, f) for n, f in written.items()}}


CATALOGUE: Mapping[str, Mapping[str, Entry]] = MappingProxyType(_catalogue())


def find(name: str) -> Entry:
    """Return what a name stands for.

    Parameters
    ----------
    name : str
        Such as "adam", or "rules.adam" where several kinds know the name.

    Returns
    -------
    Entry

    Raises
    ------
    ValueError
        If nothing has that name, or more than one thing has; the message says what was meant or how to choose.
    """
    kind, _, short = name.rpartition(".")
    if kind and kind not in CATALOGUE:
        raise ValueError(f"unknown kind {kind!r} in {name!r}: the kinds are {', '.join(CATALOGUE)}")
    found = [members[short] for members in ([CATALOGUE[kind]] if kind else CATALOGUE.values()) if short in members]
    if len(found) == 1:
        return found[0]
    if found:
        choices = [f"{entry.kind}.{name}" for entry in found]
        raise ValueError(f"{name!r} is the name of several things: write {' or '.join(choices)}")
    names = sorted({n for members in CATALOGUE.values() for n in members})
    close = difflib.get_close_matches(short, names, n=3, cutoff=0.6)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else "`python -m lossopt list` shows every name"
    raise ValueError(f"unknown name {name!r}: {hint}")


def source(name: str) -> str:
    """Return the source of a rule, loss, schedule or landscape as it stands in the package, decorators included.

    Parameters
    ----------
    name : str
        Such as "adam", or "rules.adam".

    Returns
    -------
    str
        Its text, below a comment that says where it is from. For a landscape, its value and gradient as well.

    Raises
    ------
    ValueError
        If nothing, or more than one thing, has that name.
    """
    entry = find(name)
    file = _file(entry.module)
    shown = [entry.name]
    if isinstance(file.definitions[entry.name], ast.Assign):
        # A landscape is put together from the functions written just above it.
        uses = _globals(file.text_of(entry.name))
        shown = [n for n in file.definitions if n in uses and n.startswith("_")] + shown
    texts = [file.text_of(n, decorated=True) for n in shown]
    return f"# {entry.path}, line {file.definitions[shown[0]].lineno}\n" + "\n\n\n".join(texts) + "\n"


def text(names: Iterable[str]) -> str:
    """Return the text of a Python file that holds the named formulas and needs nothing of lossopt.

    Parameters
    ----------
    names : iterable of str
        Rules, losses, schedules and landscapes in any mixture, such as `["adam", "huber", "cross_entropy"]`.

    Returns
    -------
    str
        The file, with the licence and the source of each formula at its head.

    Raises
    ------
    ValueError
        If a name is unknown or ambiguous, if there is none, or if two of the formulas have the same name.
    """
    entries = list(dict.fromkeys(find(name) for name in names))
    if not entries:
        raise ValueError("nothing to copy: name at least one rule, loss, schedule or landscape")
    for twice in [name for name, count in Counter(e.name for e in entries).items() if count > 1]:
        raise ValueError(f"two of the formulas are called {twice}: copy them into two files")
    copied = _Copy()
    asked = [copied.add(entry.module, entry.name) for entry in entries]
    return "\n\n\n".join([_head(entries) + copied.imports(), *copied.texts(asked)]) + "\n"


def _head(entries: list[Entry]) -> str:
    """Return the comment at the top of a copied file."""
    try:
        version = importlib.metadata.version("lossopt")
    except importlib.metadata.PackageNotFoundError:
        version = "(not installed)"
    lines = [f"Copied from lossopt {version}; this file needs nothing of it.", ""]
    for entry in entries:
        origin = f"{entry.name} ({entry.path}): {entry.origin or 'see there.'}"
        lines += textwrap.wrap(origin, 100, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    if any(e.kind == "losses" for e in entries):
        lines += ["", "Each loss is its formula alone: the checks of its arguments stayed in lossopt."]
    return "\n".join(f"# {line}".rstrip() for line in [*lines, "", *LICENCE.splitlines()])


@dataclass(frozen=True)
class _File:
    """One module of lossopt: its lines, what it defines at the top level, and what it imports."""

    lines: list[str]
    definitions: dict[str, ast.stmt]
    imports: dict[str, tuple[str, str]]

    def text_of(self, name: str, decorated: bool = False) -> str:
        """Return the text of a definition with the comment directly above it."""
        node = self.definitions[name]
        decorators = [d.lineno for d in getattr(node, "decorator_list", [])]
        first = above = min([node.lineno, *decorators])
        while above > 1 and self.lines[above - 2].startswith("#"):
            above -= 1
        start = first if decorated else node.lineno
        return "\n".join(self.lines[above - 1 : first - 1] + self.lines[start - 1 : node.end_lineno])


@functools.cache
def _file(module: str) -> _File:
    """Read a module of lossopt."""
    lines = inspect.getsource(importlib.import_module(module)).splitlines()
    definitions: dict[str, ast.stmt] = {}
    imports: dict[str, tuple[str, str]] = {}
    for node in ast.parse("\n".join(lines)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            definitions[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            definitions |= {n.id: node for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
        elif isinstance(node, ast.Import):
            imports |= {
                a.asname or a.name: (f"import {a.name}" + (f" as {a.asname}" if a.asname else ""), "")
                for a in node.names
            }
        elif isinstance(node, ast.ImportFrom):
            origin = importlib.util.resolve_name("." * node.level + (node.module or ""), module.rpartition(".")[0])
            imports |= {a.asname or a.name: (origin, a.name) for a in node.names}
    return _File(lines, definitions, imports)


def _globals(code: str) -> set[str]:
    """Return the names that a definition takes from its module, whatever its own arguments are called."""
    top = symtable.symtable(code, "copied", "exec")

    def inner(table: symtable.SymbolTable) -> Iterator[str]:
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or table is top):
                yield symbol.get_name()
        for child in table.get_children():
            yield from inner(child)

    return set(inner(top))


class _Copy:
    """Collects definitions, each after what it calls."""

    def __init__(self) -> None:
        self.codes: dict[tuple[str, str], str] = {}
        self.uses: dict[tuple[str, str], dict[str, tuple[str, str]]] = {}
        self.order: list[tuple[str, str]] = []
        self.outside: dict[str, tuple[str, str]] = {}

    def add(self, module: str, name: str) -> tuple[str, str]:
        """Add a definition and all it needs; return where it is defined."""
        file = _file(module)
        if name in file.imports:
            return self.add(*file.imports[name])
        # `a, b = 1, 2` is one definition, known by its first name.
        key = module, next(n for n, node in file.definitions.items() if node is file.definitions[name])
        if key in self.codes:
            return key
        self.codes[key] = code = file.text_of(name)
        self.uses[key] = {}
        for used in sorted(_globals(code)):
            if used in file.definitions or file.imports.get(used, ("", ""))[0].startswith("lossopt"):
                self.uses[key][used] = self.add(module, used)
            elif used in file.imports:
                self.outside[used] = file.imports[used]
            elif not hasattr(builtins, used):
                raise ValueError(f"{module}: cannot copy {name}, whose {used} is defined nowhere in the file")
        self.order.append(key)
        return key

    def texts(self, asked: list[tuple[str, str]]) -> list[str]:
        """Return the definitions; where two files give one name to different helpers, the later one is renamed."""
        names = {(module, name): name for module, name in asked}
        for module, name in self.order:
            free = (module, name) in names or name not in names.values()
            names[module, name] = name if free else f"{module.rpartition('.')[2]}_{name}"
        new = {key: {used: names[place] for used, place in uses.items()} for key, uses in self.uses.items()}
        return [_renamed(self.codes[key], new[key] | {key[1]: names[key]}) for key in self.order]

    def imports(self) -> str:
        """Return the import statements, the standard library's first, each group below an empty line."""
        plain = {origin for origin, name in self.outside.values() if not name}
        named: dict[str, list[str]] = {}
        for asname, (origin, name) in sorted(self.outside.items()):
            if name:
                named.setdefault(origin, []).append(name if name == asname else f"{name} as {asname}")
        lines = sorted(plain) + [f"from {origin} import {', '.join(found)}" for origin, found in sorted(named.items())]
        standard = [line for line in lines if line.split()[1].partition(".")[0] in sys.stdlib_module_names]
        groups = ["\n".join(standard), "\n".join(line for line in lines if line not in standard)]
        return "".join(f"\n\n{group}" for group in groups if group)


def _renamed(code: str, names: Mapping[str, str]) -> str:
    """Return a definition with some of the names it uses, or its own, changed."""
    changed = {old: new for old, new in names.items() if old != new}
    lines = [line.encode() for line in code.splitlines()]
    places = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name) and node.id in changed:
            places.append((node.lineno, node.col_offset, node.id))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in changed:
            keyword = "def " if isinstance(node, ast.FunctionDef) else "class "
            places.append((node.lineno, node.col_offset + len(keyword), node.name))
    for line, column, old in sorted(places, reverse=True):
        at = lines[line - 1]
        lines[line - 1] = at[:column] + changed[old].encode() + at[column + len(old.encode()) :]
    return "\n".join(line.decode() for line in lines)
