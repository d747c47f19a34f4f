"""A page as a notebook: read it, find its executed outputs, and name the folder they are kept in.

An executed page may be shown again only while nothing that could change an output has changed.
So the folder of executed cells is named by all of it:
the package's sources, the kernel's settings and every installed version.
"""

from __future__ import annotations

import hashlib
import sys
from importlib.util import find_spec
from pathlib import Path

from jupyter_cache import get_cache
from myst_nb.core.read import create_nb_reader, is_myst_markdown_notebook
from nbformat import NotebookNode
from sphinx.environment import BuildEnvironment

DOCS = Path(__file__).parents[1]
KERNEL = DOCS / "ipython"


def package_folder(name: str = "lossopt") -> Path:
    """The folder `name` is imported from, found without importing it."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{name} is not installed here: python -m pip install -e .")
    return Path(spec.origin).parent


def fingerprint(*folders: Path) -> str:
    """SHA-256 over this Python, the installed distributions, and every file under `folders` that no build made."""
    digest = hashlib.sha256(sys.version.encode())
    for line in sorted({info.name for place in sys.path for info in Path(place).glob("*.dist-info")}):
        digest.update(line.encode())
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            name = file.relative_to(folder)
            if file.is_file() and file.suffix != ".mo" and not {"__pycache__", "_build"} & set(name.parts):
                digest.update(name.as_posix().encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()


def cache_folder() -> Path:
    """Where the executed cells of this package, these settings and these versions are kept."""
    return DOCS / "_build" / "cells" / fingerprint(package_folder(), KERNEL)[:16]


def is_notebook(env: BuildEnvironment, docname: str) -> bool:
    """Whether a page has cells that are executed."""
    return is_myst_markdown_notebook(Path(env.doc2path(docname)).read_text(encoding="utf-8"))


def read(env: BuildEnvironment, docname: str) -> NotebookNode | None:
    """The page as a notebook without outputs, or None if no cell of it is executed."""
    path = env.doc2path(docname)
    text = Path(path).read_text(encoding="utf-8")
    reader = create_nb_reader(str(path), env.myst_config, env.mystnb_config, text)  # type: ignore[attr-defined]
    return None if reader is None else reader.read(text)


def executed(env: BuildEnvironment, docname: str) -> NotebookNode | None:
    """The page as a notebook with its outputs, or None if it has none."""
    notebook = read(env, docname)
    if notebook is None:
        return None
    cache = get_cache(env.mystnb_config.execution_cache_path)  # type: ignore[attr-defined]
    try:
        merged: NotebookNode = cache.merge_match_into_notebook(notebook)[1]
        return merged
    except KeyError:
        return None
