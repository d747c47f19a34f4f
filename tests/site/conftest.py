"""A small Sphinx project to try one extension in, and the whole site, built once."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
import sphinx.locale
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))


@dataclass
class Built:
    """What a small project was built into."""

    app: Sphinx
    out: Path
    warnings: str

    def text(self, name: str) -> str:
        return (self.out / name).read_text(encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Built]:
    """Build a small project: `project({"index.md": text}, extensions=[...], **settings)`; again to rebuild it."""

    def build(
        files: dict[str, str], builder: str = "html", extensions: tuple[str, ...] = (), **settings: object
    ) -> Built:
        source, out = tmp_path / "source", tmp_path / "build" / builder
        for name, text in files.items():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_text(text, encoding="utf-8")
        (source / "conf.py").touch()
        defaults = {
            "extensions": ["myst_nb", *extensions],
            "html_theme": "basic",
            "myst_enable_extensions": ["amsmath", "colon_fence", "dollarmath"],
            "myst_update_mathjax": False,
            "nb_execution_mode": "cache",
            "nb_execution_cache_path": str(tmp_path / "cells"),
            "nb_execution_raise_on_error": True,
            "gettext_compact": False,
        }
        warnings = StringIO()
        sphinx.locale.translators.clear()  # else a build in English keeps the words of the Korean one before it
        with patch_docutils(source), docutils_namespace():
            app = Sphinx(
                source, source, out, tmp_path / "doctrees" / builder, builder, {**defaults, **settings}, None, warnings
            )
            app.build()
        return Built(app, out, warnings.getvalue())

    return build


@pytest.fixture(scope="session")
def site() -> Path:
    """The whole site: the one in LOSSOPT_SITE, or one built now by the reader's own command."""
    given = os.environ.get("LOSSOPT_SITE")
    if given:
        return Path(given)
    subprocess.run([sys.executable, DOCS / "build.py"], check=True, cwd=ROOT)
    return DOCS / "_build" / "site"
