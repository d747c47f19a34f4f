"""The built site, read as files: whole, self-contained, and the same in both editions."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from _ext.notebooks import DOCS
from bs4 import BeautifulSoup

LOADED = {
    "script": "src",
    "img": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "object": "data",
}


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, BeautifulSoup]:
    files = [site / "index.html", *sorted((site / "en").rglob("*.html")), *sorted((site / "ko").rglob("*.html"))]
    return {file: BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser") for file in files}


def test_no_page_loads_anything_from_another_host(pages):
    for file, page in pages.items():
        for tag, attribute in LOADED.items():
            for element in page.find_all(tag, attrs={attribute: True}):
                if tag == "link" and not {"stylesheet", "icon", "preload"} & set(element.get("rel", [])):
                    continue
                assert not urlsplit(element[attribute]).netloc, (file, str(element))


def test_no_style_sheet_or_script_of_ours_names_another_host(site):
    for file in [*(site / "en" / "_static").glob("site.*"), *(site / "en" / "_static" / "vendor").rglob("*.css")]:
        assert not re.search(r"https?://|url\(['\"]?//", file.read_text(encoding="utf-8")), file


def test_every_link_inside_the_site_leads_to_a_page_and_an_anchor_that_exist(site, pages):
    anchors = {file: {element["id"] for element in page.find_all(id=True)} for file, page in pages.items()}
    for file, page in pages.items():
        for link in page.find_all("a", href=True):
            parts = urlsplit(link["href"])
            if parts.scheme or parts.netloc:
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            assert target.exists(), (file.relative_to(site), link["href"])
            race = "race=" in parts.fragment  # a link that opens a race in the playground; {race} has checked it
            if parts.fragment and target in anchors and not race:
                assert unquote(parts.fragment) in anchors[target], (file.relative_to(site), link["href"])


def test_both_editions_have_the_same_pages_and_anchors(site, pages):
    def shape(language: str) -> dict[str, set[str]]:
        root = site / language
        return {
            file.relative_to(root).as_posix(): {part["id"] for part in page.select("article section[id]")}
            for file, page in pages.items()
            if root in file.parents
        }

    assert shape("en") == shape("ko")


def test_every_source_page_is_on_the_site(site):
    sources = {path.relative_to(DOCS).with_suffix(".html").as_posix() for path in DOCS.rglob("*.md")}
    sources = {name for name in sources if not name.startswith("_")}
    assert sources <= {path.relative_to(site / "en").as_posix() for path in (site / "en").rglob("*.html")}


def test_no_markup_is_printed(pages):
    for file, page in pages.items():
        article = page.select_one("article")
        if article is None:
            continue
        for part in article.select("pre, code, annotation, script, style, dl.py"):
            part.decompose()
        for leftover in (r"\\begin\{", r"\$\$", r"\{[a-z:]+\}`", r"\*\*\S[^*]*\*\*", r":::", r"```"):
            assert not re.search(leftover, article.get_text()), (file, leftover)


def test_every_figure_has_an_alternative_text(pages):
    for file, page in pages.items():
        for image in page.select("article img"):
            assert image.get("alt"), (file, image.get("src"))
            assert not re.search(r"\.(svg|png)$", image["alt"]), (file, image.get("src"))
        for drawing in page.select("article svg[role=img]"):
            assert drawing.get("aria-label"), file


def test_every_figure_of_a_cell_is_drawn_in_lines_that_follow_the_theme(pages):
    for file, page in pages.items():
        for image in page.select(".cell_output img"):
            assert image["src"].endswith(".svg"), (file, image["src"])


def test_no_page_of_ours_has_an_inline_handler(pages):
    for file, page in pages.items():
        for element in page.find_all(lambda tag: any(name.startswith("on") for name in tag.attrs)):
            raise AssertionError((file, str(element)[:100]))


def test_the_first_page_leads_to_both_editions(site, pages):
    first = pages[site / "index.html"]
    assert [link["href"] for link in first.select("a")] == ["en/index.html", "ko/index.html"]
    assert first.select_one("meta[http-equiv=refresh]")["content"] == "0; url=en/index.html"


def test_no_script_keeps_a_reader_from_the_first_lines(pages):
    for file, page in pages.items():
        if file.name == "search.html":  # there the search itself is what one waits for
            continue
        waiting = [script["src"] for script in page.select("script[src]") if not {"defer", "async"} & set(script.attrs)]
        assert waiting == [], file
        assert not page.select('script[src*="searchindex"], link[rel="preload"]'), file


def test_every_page_says_what_it_is_about(pages, site):
    for file, page in pages.items():
        name = file.relative_to(site).as_posix()
        if re.search(r"^index|genindex|search|py-modindex", name):
            continue
        said = page.select_one('meta[name="description"]')
        assert said, name
        assert len(said["content"]) > 20, name
