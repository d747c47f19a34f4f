"""The font of icons holds those that pages use, and no other."""

import re

import pytest
from _ext.icons import FONT, STYLE, used
from fontTools.ttLib import TTFont

SHEET = (
    r'.fa-list,.fa-rows{--fa:"\f03a"}.fa-list-check{--fa:"\f0ae"}.fa-sun{--fa:"☀"}'
    r'html{--pst-icon-bell:"\f0f3";--x:"\f001"}'
)


@pytest.mark.parametrize(
    ("page", "characters"),
    [
        ('<i class="fa-solid fa-list"></i>', {0xF03A, 0xF0F3}),
        ('<i class="fa-rows"></i>', {0xF03A, 0xF0F3}),
        ('<i class="fa-sun"></i><i class="fa-list-check"></i>', {0xF0AE, ord("☀"), 0xF0F3}),
        ("<p>no icon</p>", {0xF0F3}),
    ],
)
def test_an_icon_is_used_if_a_page_names_it_or_the_style_sets_it(page, characters):
    assert used(SHEET, page) == characters


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_font_of_the_site_has_a_picture_for_every_icon_of_its_pages(site, language):
    root = site / language
    font, sheet = TTFont(root / FONT), (root / STYLE).read_text(encoding="utf-8")
    text = "".join(page.read_text(encoding="utf-8") for page in root.rglob("*.html"))
    named = set(re.findall(r"\bfa-[a-z-]+", text)) - {"fa-solid", "fa-lg"}
    assert {"fa-bars", "fa-sun"} <= named
    for name in named:
        code = re.search(rf'\.{name}[,{{][^{{}}]*?\{{?--fa:"\\([0-9a-f]+)"', sheet)
        assert code, name
        assert int(code[1], 16) in font.getBestCmap(), name
    assert len(font.getBestCmap()) < 100
    assert (root / FONT).stat().st_size < 10_000


def test_a_site_is_built_twice_in_one_folder_without_a_warning_and_its_font_stays_cut(project):
    for _build in range(2):
        built = project(
            {"index.md": "# Home"}, extensions=("_ext.icons",), html_theme="pydata_sphinx_theme", suppress_warnings=[]
        )
        assert built.warnings == ""
        characters = set(TTFont(built.out / FONT).getBestCmap())
        assert {0xF002, 0xF0C9} <= characters, "search and bars"
        assert len(characters) < 100
