"""What the tools above us leave out for readers who do not see the page."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx


def repair_roles(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """A bibliography's entries carry a role that is deprecated; say that they are items of a list."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", repair_roles)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
