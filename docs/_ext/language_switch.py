"""The same page in the other language.

Both editions are built from one source, so they have the same files and the same anchors:
the template only needs to know the other edition's folder, and whether this page is translated yet.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

EDITIONS = {"en": "English", "ko": "한국어"}


def translated_pages(docs: Path, language: str) -> set[str]:
    """The pages listed as complete in `locale/<language>/complete.txt`."""
    lines = (docs / "locale" / language / "complete.txt").read_text(encoding="utf-8").splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def add_context(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    language = app.config.language
    context["editions"] = [
        {"code": code, "name": name, "url": f"{'../' * pagename.count('/')}../{code}/{pagename}.html"}
        for code, name in EDITIONS.items()
        if code != language
    ]
    context["untranslated"] = (
        language != "en" and doctree is not None and pagename not in translated_pages(Path(app.srcdir), language)
    )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", add_context)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
