"""A Korean word is found inside a longer one, by the same cut in the index and in the browser."""

import json

import pytest
import quickjs
from _ext.korean_search import SearchKorean, pairs
from hypothesis import given
from hypothesis import strategies as st


@pytest.fixture(scope="module")
def browser():
    """The query splitter, as the browser runs it."""
    context = quickjs.Context()
    context.eval(SearchKorean.js_splitter_code)
    return lambda query: json.loads(context.eval(f"JSON.stringify(splitQuery({json.dumps(query)}))"))


def terms(text: str) -> list[str]:
    return SearchKorean({}).split(text)


def test_a_word_is_cut_into_overlapping_pairs():
    assert pairs("손실함수") == ["손실", "실함", "함수"]
    assert pairs("값") == ["값"]
    assert pairs("Adam") == ["Adam"]


def test_latin_words_and_korean_particles_come_apart():
    assert terms("Adam은 lr_max를 쓴다.") == ["Adam", "은", "lr_max", "를", "쓴다"]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("손실", "교차엔트로피손실을 줄인다"),
        ("학습", "학습률이 크면"),
        ("하강", "경사하강법"),
        ("엔트로피", "교차엔트로피"),
        ("경사하강법", "확률적경사하강법"),
        ("모멘텀을", "모멘텀의 관성"),
        ("미니배치에서", "미니배치"),
        ("Adam은", "Adam 옵티마이저"),
    ],
)
def test_what_a_reader_types_is_found_in_what_the_page_says(browser, query, text):
    assert {term.lower() for term in browser(query)} <= {term.lower() for term in terms(text)}


def test_another_word_is_not_found(browser):
    assert not set(browser("손해")) <= set(terms("손실함수"))


syllables = st.text(alphabet=st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=2, max_size=8)


@given(syllables, syllables, syllables)
def test_any_part_of_a_word_is_found(before, word, after):
    context = quickjs.Context()
    context.eval(SearchKorean.js_splitter_code)
    query = json.loads(context.eval(f"JSON.stringify(splitQuery({json.dumps(word)}))"))
    assert set(query) <= set(terms(before + word + after))


def test_the_index_of_a_korean_site_holds_pairs_and_english_stems(project):
    built = project({"index.md": "# 손실함수\n\nTraining Adam."}, extensions=["_ext.korean_search"], language="ko")
    index = json.loads(built.text("searchindex.js").removeprefix("Search.setIndex(").removesuffix(")"))
    assert {"손실", "실함", "함수"} <= set(index["titleterms"])
    assert {"train", "adam"} <= set(index["terms"])
    language_data = built.text("_static/language_data.js")
    assert "splitQuery" in language_data
    # The browser loads the stemmer of this name; a Korean one does not exist and every search would fail.
    assert "EnglishStemmer" in language_data
