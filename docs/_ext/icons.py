"""The theme's icons, of which a page uses a dozen: its font of two thousand is cut to those, a fiftieth of the size."""

from __future__ import annotations

import re
from pathlib import Path

from fontTools import subset
from sphinx.application import Sphinx

FONT = Path("_static", "vendor", "fontawesome", "webfonts", "fa-solid-900.woff2")
STYLE = Path("_static", "styles", "pydata-sphinx-theme.css")


def character(text: str) -> int:
    """The code point that a style sheet writes as itself or as `\\f002`."""
    return int(text[1:], 16) if text.startswith("\\") else ord(text)


def used(style: str, pages: str) -> set[int]:
    """The characters of the icons that pages name (`fa-list`) or that the style sets by itself (`--pst-icon-bell`)."""
    wanted = set(re.findall(r"\b(fa-[a-z0-9-]+)", pages))
    icons = re.findall(r'([^{}]*)\{--fa:"([^"]+)"', style)
    named = {code for names, code in icons if wanted & set(re.findall(r"fa-[a-z0-9-]+", names))}
    return {character(code) for code in named | set(re.findall(r'--pst-icon-[a-z-]+:"([^"]+)"', style))}


def cut_font(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = "".join(page.read_text(encoding="utf-8") for page in sorted(out.rglob("*.html")))
    options = subset.Options(flavor="woff2", layout_features=[])
    with subset.load_font(str(out / FONT), options) as font:
        subsetter = subset.Subsetter(options)
        subsetter.populate(unicodes=used((out / STYLE).read_text(encoding="utf-8"), pages))
        subsetter.subset(font)
        subset.save_font(font, str(out / FONT), options)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", cut_font)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
