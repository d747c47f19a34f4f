"""`{family-tree}`: which rule was made from which, as the rules' docstrings say it, in a list with a drawing beside it.

The list alone says everything, to a reader without eyes or scripts; each name leads to the section of its rule,
whose label is the name with dashes. `{family-tree} dialects` lists the dialects.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.locale import _
from sphinx.util.docutils import SphinxDirective

LANE = 11  # width of a lane, in pixels


@dataclass(frozen=True)
class Row:
    """One rule in the drawing: its lane, the lanes that pass it, and those that lead to it and from it."""

    rule: Any
    lane: int
    passing: tuple[int, ...]
    parents: tuple[int, ...]
    has_children: bool


def in_order(rules: Iterable[Any]) -> list[Any]:
    """The oldest first, and of one year parents before their children."""
    known = {rule.name: rule for rule in rules}

    def generation(rule: Any) -> int:
        return max((1 + generation(known[name]) for name in rule.parents if name in known), default=0)

    return sorted(known.values(), key=lambda rule: (rule.year, generation(rule), rule.name))


def drawing(rules: Iterable[Any]) -> list[Row]:
    """A lane for every rule, kept for it until its last child: the leftmost that is free."""
    ordered = in_order(rules)
    place = {rule.name: number for number, rule in enumerate(ordered)}
    last = {rule.name: place[rule.name] for rule in ordered}
    for rule in ordered:
        last.update({parent: place[rule.name] for parent in rule.parents if parent in place})
    lane: dict[str, int] = {}
    rows = []
    for number, rule in enumerate(ordered):
        alive = [other.name for other in ordered[:number] if last[other.name] >= number]
        taken = {lane[name] for name in alive}
        lane[rule.name] = min(set(range(len(taken) + 1)) - taken)
        passing = tuple(sorted(lane[name] for name in alive if last[name] > number))
        parents = tuple(lane[name] for name in rule.parents if name in place)
        rows.append(Row(rule, lane[rule.name], passing, parents, last[rule.name] > number))
    return rows


def picture(row: Row, lanes: int) -> str:
    """A row's part of the drawing, stretched to the height of its text: lines, then the dot."""

    def x(lane: int) -> float:
        return LANE * (lane + 0.5)

    here = x(row.lane)
    lines = [f"M{x(lane):g} 0V100" for lane in row.passing]
    lines += [f"M{x(lane):g} 0C{x(lane):g} 40 {here:g} 10 {here:g} 50" for lane in row.parents]
    lines += [f"M{here:g} 50V100"] * row.has_children
    return (
        f'<div class="drawing" style="width:{LANE * lanes}px">'
        f'<svg aria-hidden="true" viewBox="0 0 {LANE * lanes} 100" preserveAspectRatio="none">'
        f'<path d="{"".join(lines)}"/><path class="dot" d="M{here:g} 50h0"/></svg></div>'
    )


class FamilyTree(SphinxDirective):
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # a change of the package is not seen by Sphinx
        rules: Mapping[str, Any] = import_module("lossopt").RULES
        if self.arguments not in ([], ["dialects"]):
            raise self.error(f"family-tree: the argument is 'dialects' or there is none, got {self.arguments[0]!r}")
        dialects = bool(self.arguments)
        rows = drawing(rule for rule in rules.values() if (rule.family == "dialects") is dialects)
        lanes = 0 if dialects else 1 + max(max(row.lane, *row.passing, *row.parents, 0) for row in rows)
        items = [self.item(row, lanes) for row in rows]
        classes = ["family-tree", "family-tree-drawn"] if lanes else ["family-tree"]
        return [nodes.bullet_list("", *items, classes=classes)]

    def item(self, row: Row, lanes: int) -> nodes.list_item:
        item = nodes.list_item()
        if lanes:
            item += nodes.raw("", picture(row, lanes), format="html")
        head = nodes.paragraph("", "", nodes.inline("", str(row.rule.year), classes=["year"]), nodes.Text(" "))
        head += self.link(row.rule.name, strong=True)
        for number, parent in enumerate(row.rule.parents):
            head += nodes.Text(", " if number else f" {_('from')} ")
            head += self.link(parent)
        item += head
        sentence = row.rule.adds or (row.rule.rule.__doc__ or "").partition("\n")[0]
        added = nodes.paragraph(sentence, sentence)
        self.set_source_info(added)  # a paragraph with a source is translated
        item += added
        return item

    def link(self, name: str, strong: bool = False) -> nodes.Node:
        options = {"refdomain": "std", "reftype": "ref", "refexplicit": True, "refwarn": True}
        link = addnodes.pending_xref("", reftarget=name.replace("_", "-"), refdoc=self.env.docname, **options)
        self.set_source_info(link)
        link += nodes.Text(name)
        word = nodes.literal("", "", link)
        return nodes.strong("", "", word) if strong else word


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("family-tree", FamilyTree)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
