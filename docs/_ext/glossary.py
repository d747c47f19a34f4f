"""`{terms}`: the table of terms in both languages.

Their one home is docs/glossary.yaml, to which translations are held.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.locale import _
from sphinx.util.docutils import SphinxDirective

from .ledger import row

FILE = Path(__file__).parents[1] / "glossary.yaml"


@dataclass(frozen=True)
class Term:
    """An English term, its Korean one, what it means, and Korean words that would be a second name for it."""

    en: str
    ko: str
    means: str
    never: list[str] = field(default_factory=list)

    @property
    def pattern(self) -> re.Pattern[str]:
        """The English term as a word, in either number."""
        return re.compile(rf"(?<![\w-]){re.escape(self.en)}(?:s|es)?(?![\w-])", re.IGNORECASE)


def terms(file: Path = FILE) -> list[Term]:
    """The terms in alphabetical order."""
    entries = yaml.safe_load(file.read_text(encoding="utf-8"))
    return sorted((Term(**entry) for entry in entries), key=lambda term: term.en.lower())


class Terms(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(FILE))
        group = nodes.tgroup("", *(nodes.colspec("", colwidth=1) for _column in range(3)), cols=3)
        heads = ["English", "한국어", _("Meaning")]
        group += nodes.thead("", row(*(nodes.paragraph("", head) for head in heads)))
        group += nodes.tbody("", *map(self.row, terms()))
        return [nodes.table("", group, classes=["terms"])]

    def row(self, term: Term) -> nodes.row:
        meaning = nodes.paragraph(term.means, term.means)
        self.set_source_info(meaning)  # a paragraph with a source is translated
        # docutils turns these classes into the attribute lang, by which a page is read aloud.
        english = nodes.paragraph("", term.en, ids=[f"term-{nodes.make_id(term.en)}"], classes=["language-en"])
        return row(english, nodes.paragraph("", term.ko, classes=["language-ko"]), meaning)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("terms", Terms)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
