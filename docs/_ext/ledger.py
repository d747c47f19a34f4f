"""`{claims}`: a table, to be filtered, of everything the pages claim, collected from their executed cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import sphinx.locale
from docutils import nodes
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.locale import _
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from . import notebooks
from .language_switch import translated_pages

logger = logging.getLogger(__name__)
LEDGER = "claims"  # the page that lists them
MIME_TYPE = "application/vnd.lossopt.claim+json"


@dataclass(frozen=True)
class Entry:
    """A claim and the page that makes it."""

    docname: str
    claim: dict[str, Any]


def claims_in(notebook: NotebookNode) -> Iterator[dict[str, Any]]:
    """The claims among the outputs of an executed notebook, in order."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if MIME_TYPE in output.get("data", {}):
                yield output["data"][MIME_TYPE]


def collect(env: BuildEnvironment) -> list[Entry]:
    """Every claim of the site, page by page."""
    pages = ((docname, notebooks.executed(env, docname)) for docname in sorted(env.found_docs))
    return [
        Entry(docname, claim) for docname, notebook in pages if notebook is not None for claim in claims_in(notebook)
    ]


def repeated(entries: Iterable[Entry]) -> Iterator[tuple[Entry, Entry]]:
    """Pairs of entries that share an id: the first, and each later one."""
    first: dict[str, Entry] = {}
    for entry in entries:
        earlier = first.setdefault(entry.claim["id"], entry)
        if earlier is not entry:
            yield earlier, entry


def check_ids(app: Sphinx, env: BuildEnvironment) -> None:
    for earlier, entry in repeated(collect(env)):
        logger.warning(
            "claim %r is made twice: here and on %s", entry.claim["id"], earlier.docname, location=entry.docname
        )


class Claims(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # its contents come from the other pages
        table = nodes.table("", classes=["claims"])
        group = nodes.tgroup("", cols=5)
        group += [nodes.colspec("", colwidth=1) for _column in range(5)]
        heads = [_("Claim"), _("Measured"), _("Claimed"), _("Verdict"), _("Page")]
        group += nodes.thead("", row(*(nodes.paragraph("", head) for head in heads)))
        group += nodes.tbody("", *map(self.row, collect(self.env)))
        table += group
        return [nodes.raw("", self.filter(), format="html"), table]

    def filter(self) -> str:
        """The controls that choose among the rows; site.js shows them, names the pages, and does the choosing."""
        every = f'<option value="">{_("all")}</option>'
        verdicts = "".join(f'<option value="{each}">{_(each)}</option>' for each in ("holds", "refuted"))
        return (
            f'<form class="claims-filter" role="search" aria-label="{_("Filter the claims")}" hidden>'
            f'<label>{_("Words")} <input type="search" name="words"></label>'
            f'<label>{_("Verdict")} <select name="verdict">{every}{verdicts}</select></label>'
            f'<label>{_("Page")} <select name="page">{every}</select></label>'
            "<output></output></form>"
        )

    def row(self, entry: Entry) -> nodes.row:
        claim = entry.claim
        statement = nodes.paragraph(claim["statement"], claim["statement"])
        self.set_source_info(statement)  # a paragraph with a source is translated
        verdict = _("holds") if claim["verdict"] == "holds" else _("refuted")
        link = nodes.reference(
            "", "", refuri=f"{self.to_root()}{entry.docname}.html#claim-{claim['id']}", page=entry.docname
        )
        return row(
            statement,
            nodes.paragraph("", "", nodes.literal("", text(claim["measured"]))),
            nodes.paragraph("", "", nodes.literal("", claim["wanted"])),
            nodes.paragraph("", verdict, classes=[f"claim-{claim['verdict']}"]),
            nodes.paragraph("", "", link, nodes.Text(" "), nodes.literal("", claim["id"], classes=["claim-id"])),
        )

    def to_root(self) -> str:
        return "../" * self.env.docname.count("/")


def translate_rows(app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Show the claims of a translated page in its language, by the catalogue of the page that lists all claims.

    Outputs are shared by the editions, so a claim under a cell is in English and marked as such.
    """
    language = app.config.language
    notebook = notebooks.executed(app.env, pagename) if language != "en" and doctree is not None else None
    if notebook is None:
        return
    catalogue, _found = sphinx.locale.init([Path(app.srcdir, "locale")], language, LEDGER)
    for claim in claims_in(notebook):
        words = {claim["statement"]: catalogue.gettext(claim["statement"]), claim["verdict"]: _(claim["verdict"])}
        for english, translated in words.items():
            if translated != english:
                marked = f' lang="en">{escape(english)}<'
                context["body"] = context["body"].replace(marked, f">{escape(translated)}<")


def title_links(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Name each linked page by its title, which is known once every page has been read.

    The title of a page that is not translated is marked as English.
    """
    language = app.config.language
    for link in doctree.findall(lambda node: isinstance(node, nodes.reference) and "page" in node):
        link += nodes.Text(app.env.titles[link["page"]].astext())
        if language != "en" and link["page"] not in translated_pages(Path(app.srcdir), language):
            link["classes"].append("language-en")  # docutils writes it as lang="en"


def text(measured: object) -> str:
    return f"{measured:.6g}" if isinstance(measured, float) else str(measured)


def row(*cells: nodes.Node) -> nodes.row:
    return nodes.row("", *(nodes.entry("", cell) for cell in cells))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("claims", Claims)
    app.connect("env-check-consistency", check_ids)
    app.connect("doctree-resolved", title_links)
    app.connect("html-page-context", translate_rows)
    return {"parallel_read_safe": True}
