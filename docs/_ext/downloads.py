"""Every executed page as a notebook with its outputs, as one without, and as a script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jupytext
import nbformat
from docutils import nodes
from nbformat import NotebookNode
from sphinx.application import Sphinx

from . import notebooks
from .plain_markdown import plain

FOLDER = "_notebooks"


def for_readers(notebook: NotebookNode) -> NotebookNode:
    """The notebook without what only the site needs; the same page gives the same bytes."""
    cells = [cell for cell in notebook.cells if "remove-cell" not in cell.metadata.get("tags", [])]
    copy = nbformat.v4.new_notebook(metadata={"kernelspec": notebook.metadata["kernelspec"]})
    for number, cell in enumerate(cells):
        source = plain(cell.source) if cell.cell_type == "markdown" else cell.source
        clean = nbformat.from_dict({**cell, "source": source, "id": f"cell-{number}", "metadata": {}})
        copy.cells.append(clean)
    return copy


def without_outputs(notebook: NotebookNode) -> NotebookNode:
    """The same cells before they are run."""
    cells = [
        nbformat.from_dict({**cell, "outputs": [], "execution_count": None}) if cell.cell_type == "code" else cell
        for cell in notebook.cells
    ]
    return nbformat.from_dict({**notebook, "cells": cells})


def after_build(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    for docname in app.env.found_docs:
        notebook = notebooks.executed(app.env, docname)
        if notebook is not None:
            path = Path(app.outdir, FOLDER, docname)
            path.parent.mkdir(parents=True, exist_ok=True)
            copy = for_readers(notebook)
            nbformat.write(copy, path.with_suffix(".ipynb"))
            jupytext.write(copy, path.with_suffix(".py"), fmt="py:percent")
            nbformat.write(without_outputs(copy), path.with_name(f"{path.name}-without-outputs.ipynb"))


def add_context(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    context["downloads"] = doctree is not None and notebooks.is_notebook(app.env, pagename)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", add_context)
    app.connect("build-finished", after_build)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
