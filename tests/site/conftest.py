"""A small Sphinx project to try one extension in, the whole site, built once, and a browser to read it with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
import sphinx.locale
from playwright.sync_api import Browser, Page, sync_playwright
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
sys.path.insert(0, str(DOCS))

FLAGS = [
    "--no-sandbox",  # the tests may run as root, in a container
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        reason = "no chromium on this machine (Debian: apt-get install chromium fonts-noto-cjk)"
        if os.environ.get("LOSSOPT_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason + "; LOSSOPT_BROWSER=required makes this a failure")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


class Reader:
    """A page of the browser that remembers what it complained about and what it asked for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.troubles: list[str] = []
        page.on(
            "console",
            lambda message: self.troubles.append(message.text) if message.type in ("error", "warning") else None,
        )
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("request", lambda request: self.note_request(request.url))

    def note_request(self, url: str) -> None:
        if not url.startswith(("file:", "data:", "blob:")):
            self.troubles.append(f"asked for {url}")

    def open(self, file: Path, tail: str = "") -> Page:
        self.page.goto(file.as_uri() + tail)
        return self.page


def readers(browser: Browser) -> Iterator[Callable[..., Reader]]:
    """Readers of a theme, a width and habits: `reader(theme="dark", width=390)`."""
    contexts = []

    def make(theme: str = "light", width: int = 1280, **habits: object) -> Reader:
        context = browser.new_context(viewport={"width": width, "height": 900}, **habits)
        context.add_init_script(f"localStorage.setItem('mode', '{theme}'); localStorage.setItem('theme', '{theme}')")
        context.set_default_timeout(5000)
        contexts.append(context)
        return Reader(context.new_page())

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def reader(browser: Browser) -> Iterator[Callable[..., Reader]]:
    yield from readers(browser)


@pytest.fixture(scope="module")
def lasting_reader(browser: Browser) -> Iterator[Callable[..., Reader]]:
    """The same, whose page stays open for all tests of a file."""
    yield from readers(browser)
