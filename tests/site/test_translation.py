"""The Korean edition is held to the English source of today."""

import pytest
from _ext import translation
from _ext.glossary import Term
from babel.messages.catalog import Catalog

GRADIENT = Term(en="gradient", ko="기울기", means="A vector.", never=["그래디언트"])
RATE = Term(en="learning rate", ko="학습률", means="A number.")
CROSS = Term(en="cross-entropy loss", ko="교차 엔트로피", means="A loss.")
LOSS = Term(en="loss", ko="손실", means="A cost.")
TERMS = [GRADIENT, RATE, CROSS, LOSS]


def problems(source: str, target: str) -> list[str]:
    template, catalogue = Catalog(), Catalog()
    template.add(source)
    catalogue.add(source, target)
    return list(translation.catalogue_problems(template, catalogue, TERMS))


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("Follow the gradient.", "기울기를 따라간다."),
        ("See {ref}`the page <adam>` and $w_t$.", "{ref}`이 페이지 <adam>`와 $w_t$를 보라."),
        ("Use `lr` in {math}`x`.", "{math}`x`에서 `lr`을 쓴다."),
        ("Read [the paper](https://a.b).", "[논문](https://a.b)을 읽는다."),
        ("**Stochastic** (SGD) is it.", "**확률적**(SGD)은 그것이다."),
        ("lossopt is small.", "lossopt는 작다."),
        ("The cross-entropy loss falls.", "교차 엔트로피가 줄어든다."),
        ("Call `gradient`.", "`gradient`를 부른다."),
        ("\\begin{aligned} x &= \\text{(gradient)} \\end{aligned}",) * 2,
    ],
)
def test_a_good_translation_passes(source, target):
    assert problems(source, target) == []


@pytest.mark.parametrize(
    ("source", "target", "problem"),
    [
        ("A sentence.", "", "not translated"),
        ("Follow the gradient.", "경사를 따라간다.", "'gradient' is '기울기' here"),
        ("It goes down.", "그래디언트를 따라간다.", "'그래디언트' is called '기울기' here"),
        ("Use `lr`.", "`alpha`를 쓴다.", "missing ['lr'], extra ['alpha']"),
        ("Use $w_t$.", "$w$를 쓴다.", "differ"),
        ("See {ref}`adam`.", "아담을 본다.", "differ"),
        ("See {ref}`page <adam>`.", "{ref}`페이지 <sgd>`를 본다.", "differ"),
        ("Read [it](https://a.b).", "[이것](https://a.c)을 읽는다.", "differ"),
        ("Use `lr` and `lr`.", "`lr`을 쓴다.", "missing ['lr']"),
        ("**Stochastic (SGD)** is it.", "**확률적(SGD)**은 그것이다.", "bold does not close"),
        ("\\text{gradient} = 1", "\\text{기울기} = 1", "a formula is the same in every language"),
        ("The learning rates fall.", "배움 비율이 줄어든다.", "'learning rate' is '학습률' here"),
    ],
)
def test_a_bad_translation_is_named(source, target, problem):
    (found,) = problems(source, target)
    assert problem in found


def test_drift_of_the_source_is_found_on_both_sides():
    template, catalogue = Catalog(), Catalog()
    template.add("New sentence.")
    catalogue.add("Old sentence.", "옛 문장.")
    found = list(translation.catalogue_problems(template, catalogue, []))
    assert ["no longer in the page" in found[0], "missing" in found[1], len(found)] == [True, True, 2]


def test_a_fuzzy_mark_and_obsolete_lines_are_found(tmp_path):
    path = tmp_path / "page.po"
    path.write_text('#, fuzzy\nmsgid "One."\nmsgstr "하나."\n\n#~ msgid "Two."\n#~ msgstr "둘."\n', encoding="utf-8")
    template = Catalog()
    template.add("One.")
    found = list(translation.catalogue_problems(template, translation.load(path), []))
    assert "fuzzy" in found[0]
    assert "obsolete" in found[1]


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ("<p>This was forgotten.</p>", "still English: 'This was forgotten.'"),
        ("<table><tr><td>a cell</td></tr></table>", "still English"),
        ("<h2>Watch it move</h2>", "still English"),
        ("<p>한국어 **굵게**은</p>", "asterisks are printed"),
        ("<img src='a.svg'>", "no alternative text"),
        ("<img src='a.svg' alt='_images/a.svg'>", "no alternative text"),
    ],
)
def test_what_is_left_in_english_on_a_built_page_is_found(html, problem):
    (found,) = translation.page_problems(f"<article>{html}</article>")
    assert problem in found


def test_names_code_and_outputs_may_stay():
    html = (
        "<article><p>한국어 문장.</p><table><tr><td>Adam</td><td><code>beta one</code></td></tr></table>"
        "<div class='cell_output'><p>printed by code</p></div><img src='a.svg' alt='경로'></article>"
    )
    assert list(translation.page_problems(html)) == []
