"""The terms of both languages have one home."""

from _ext.glossary import Term, terms
from bs4 import BeautifulSoup


def test_no_term_is_there_twice_and_every_one_is_explained():
    english = [term.en.lower() for term in terms()]
    assert len(english) == len(set(english))
    for term in terms():
        assert term.ko
        assert term.means.endswith("."), term
        assert term.ko not in term.never, term


def test_a_term_is_a_whole_word_in_either_number():
    loss = Term(en="loss", ko="손실", means="What one example costs.")
    assert loss.pattern.search("Two losses")
    assert loss.pattern.search("The Loss.")
    assert not loss.pattern.search("lossopt is lossless; loss-free")


def test_the_page_shows_every_term_in_both_languages(project):
    page = BeautifulSoup(
        project({"index.md": "# Terms\n\n```{terms}\n```"}, extensions=("_ext.glossary",)).text("index.html"),
        "html.parser",
    )
    rows = [[cell.get_text(strip=True) for cell in row.select("td")][:2] for row in page.select("table.terms tbody tr")]
    assert rows == [[term.en, term.ko] for term in terms()]
    assert [cell["lang"] for cell in page.select("table.terms tbody p[lang]")] == ["en", "ko"] * len(terms())


def test_only_the_meanings_are_translated(project):
    template = project(
        {"index.md": "# Terms\n\n```{terms}\n```"}, builder="gettext", extensions=("_ext.glossary",)
    ).text("index.pot")
    for term in terms():
        assert f'msgid "{term.ko}"' not in template
        assert term.means.split()[0] in template
