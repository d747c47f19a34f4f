"""Both editions have the same pages, and each page knows its twin."""

from types import SimpleNamespace

import pytest
from _ext import language_switch
from _ext.notebooks import DOCS


def context(page: str, language: str, doctree: object = object()) -> dict:
    app = SimpleNamespace(config=SimpleNamespace(language=language), srcdir=str(DOCS))
    result: dict = {}
    language_switch.add_context(app, page, "page.html", result, doctree)
    return result


@pytest.mark.parametrize(
    ("page", "language", "url"),
    [
        ("index", "en", "../ko/index.html"),
        ("optimizers/adam", "en", "../../ko/optimizers/adam.html"),
        ("optimizers/adam", "ko", "../../en/optimizers/adam.html"),
    ],
)
def test_the_switch_leads_to_the_same_page(page, language, url):
    (edition,) = context(page, language)["editions"]
    assert edition["url"] == url
    assert edition["code"] != language


def test_a_korean_page_that_is_not_translated_says_so():
    complete = language_switch.translated_pages(DOCS, "ko")
    assert context("no/such/page", "ko")["untranslated"]
    assert not context("no/such/page", "en")["untranslated"]
    assert not context("search", "ko", doctree=None)["untranslated"]
    for page in complete:
        assert not context(page, "ko")["untranslated"]


def test_every_page_listed_as_complete_exists():
    for page in language_switch.translated_pages(DOCS, "ko"):
        assert (DOCS / f"{page}.md").exists(), page
