"""What a page is about, in a sentence or two, for whoever finds it in a list: its first paragraph, cut to length."""

from __future__ import annotations

import textwrap
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

LENGTH = 160  # characters that search engines show


def describe(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    first = next(iter(doctree.findall(nodes.paragraph)), None) if doctree else None
    if first:
        text, head = first.astext(), next(iter(first.findall(nodes.strong)), None)
        if head and text.startswith(head.astext()):  # "Idea." says nothing outside the page
            text = text.removeprefix(head.astext())
        context["description"] = textwrap.shorten(text, LENGTH, placeholder=" …")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
