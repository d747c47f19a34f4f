"""The site in a real browser, opened as files: it works alone, for every eye and hand, in both languages."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from _ext.language_switch import translated_pages
from _ext.notebooks import DOCS
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

pytestmark = pytest.mark.browser

# Contrast takes most of axe's time, and is a matter of the theme alone; the rest does not depend on it.
CONTRAST = {"runOnly": ["color-contrast"]}
ALL_BUT_CONTRAST = {"rules": {"color-contrast": {"enabled": False}}}


def pages(site: Path, language: str) -> list[Path]:
    return sorted((site / language).rglob("*.html"))


@pytest.mark.parametrize("language", ["en", "ko"])
def test_every_page_opens_as_a_file_without_a_complaint_or_a_request_to_the_outside(site, reader, language):
    person = reader()
    for file in pages(site, language):
        person.open(file)
        assert person.troubles == [], file


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_first_visit_has_the_theme_of_the_system(site, browser, scheme):
    with browser.new_context(color_scheme=scheme) as context:
        page = context.new_page()
        complaints = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.goto((site / "en" / "glossary.html").as_uri())
        assert page.evaluate("({...document.documentElement.dataset})") == {
            "content_root": "./",
            "mode": "auto",
            "theme": scheme,
        }
        assert complaints == []


@pytest.mark.parametrize("language", ["en", "ko"])
def test_no_page_scrolls_sideways_on_a_phone(site, reader, language):
    person = reader(width=390)
    for file in pages(site, language):
        page = person.open(file)
        assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0, file


SOURCES = sorted(path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md"))
WRITTEN = [name for name in SOURCES if not name.startswith("_")]
TRANSLATED = sorted(translated_pages(DOCS, "ko"))
# The reference is the longest page by far and has no markup of its own by theme or language: once is enough.
# Where a page is not translated the Korean edition holds the English one.
TO_VISIT = {
    "en-light": ("en", "light", 1280, {}, [*WRITTEN, "genindex", "search"]),
    "en-dark": ("en", "dark", 1280, CONTRAST, [*(name for name in WRITTEN if name != "reference/api"), "search"]),
    "ko-light": ("ko", "light", 1280, ALL_BUT_CONTRAST, [*TRANSLATED, "search"]),
    "ko-dark-390": ("ko", "dark", 390, ALL_BUT_CONTRAST, [*TRANSLATED, "search"]),
}


@pytest.mark.parametrize(
    ("edition", "name"), [(edition, name) for edition, (*_, names) in TO_VISIT.items() for name in names]
)
def test_axe_finds_no_violation(site, reader, edition, name):
    language, theme, width, rules, _names = TO_VISIT[edition]
    page = reader(theme=theme, width=width).open(site / language / f"{name}.html")
    violations = Axe().run(page, options={"resultTypes": ["violations"], **rules}).response["violations"]
    assert [(each["id"], [node["target"] for node in each["nodes"][:3]]) for each in violations] == []


def test_a_figure_is_dark_on_light_and_light_on_dark(site, reader):
    file = next(file for file in pages(site, "en") if "_images/" in file.read_text(encoding="utf-8"))
    darkest, lightest = ink(reader(theme="light").open(file)), ink(reader(theme="dark").open(file))
    assert darkest.max() - darkest.min() > 0.7
    assert darkest.mean() > 0.7, "a light page"
    assert lightest.mean() < 0.3, "a dark page"
    assert lightest.max() > 0.8, "light ink"


def ink(page: Page) -> np.ndarray:
    """The brightness of every pixel of the first SVG figure of a page."""
    png = page.locator('article img[src$=".svg"]').first.screenshot()
    return matplotlib.image.imread(BytesIO(png))[..., :3].mean(axis=-1)


@pytest.mark.parametrize("width", [1280, 390])
def test_the_language_switch_keeps_the_page_and_the_place_on_it(site, reader, width):
    person = reader(width=width)
    page = person.open(site / "en" / "reference" / "api.html", "#losses")
    if width < 960:
        page.get_by_role("button", name="Site navigation").click()
    page.locator("a[data-language-switch]:visible").click()
    assert page.url == (site / "ko" / "reference" / "api.html").as_uri() + "#losses"
    assert page.evaluate("document.documentElement.lang") == "ko"


@pytest.mark.parametrize("word", ["학습", "손실", "기울기", "모멘텀을", "경사", "분류", "Adam은", "가중치"])
def test_korean_words_are_found_also_inside_longer_ones(site, reader, word):
    person = reader()
    page = person.open(site / "ko" / "search.html", f"?q={word}")
    page.wait_for_selector("#search-results ul.search li a")
    assert person.troubles == []


def test_english_words_are_found_by_their_stem(site, reader):
    page = reader().open(site / "en" / "search.html", "?q=optimizers")
    page.wait_for_selector("#search-results ul.search li a")


def test_a_race_plays_and_pauses(site, reader):
    page = reader().open(site / "en" / "compare" / "race.html")
    race = page.locator(".lossopt-race").first
    button, output = race.locator("button"), race.locator("output")
    race.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('.lossopt-race button').getAttribute('aria-label') === 'pause'")
    early = output.text_content()
    page.wait_for_function(f"document.querySelector('.lossopt-race output').textContent !== {early!r}")
    button.click()
    assert button.get_attribute("aria-label") == "play"
    paused = output.text_content()
    page.wait_for_timeout(300)
    assert output.text_content() == paused


def test_a_race_is_scrubbed_by_keyboard(site, reader):
    page = reader(reduced_motion="reduce").open(site / "en" / "compare" / "race.html")
    race = page.locator(".lossopt-race").first
    slider = race.locator("input[type=range]")
    slider.focus()
    page.keyboard.press("Home")
    assert race.locator("output").text_content() == "t = 0"
    page.keyboard.press("ArrowRight")
    assert race.locator("output").text_content() == "t = 1"


def test_a_race_is_still_for_readers_who_want_no_motion(site, reader):
    page = reader(reduced_motion="reduce").open(site / "en" / "compare" / "race.html")
    race = page.locator(".lossopt-race").first
    race.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    last = race.get_attribute("data-steps")
    assert race.locator("output").text_content() == f"t = {last}"
    assert race.locator("button").get_attribute("aria-label") == "play"


def test_without_scripts_formulas_are_set_quizzes_open_and_races_are_finished(site, reader):
    adam = reader(java_script_enabled=False).open(site / "en" / "optimizers" / "adam.html")
    assert adam.locator("article .katex-html").first.is_visible()
    option = adam.locator(".quiz details").first
    assert not option.locator(".verdict").is_visible()
    option.locator("summary").click()
    assert option.locator(".verdict").is_visible()
    race = reader(java_script_enabled=False).open(site / "en" / "compare" / "race.html").locator(".lossopt-race").first
    assert race.locator(".race-trail").first.is_visible()
    assert not race.locator(".race-controls").is_visible()


@pytest.mark.parametrize("language", ["en", "ko"])
def test_claims_are_filtered_by_words_verdict_and_page(site, reader, language):
    page = reader().open(site / language / "claims.html")
    form, rows = page.locator(".claims-filter"), page.locator("table.claims tbody tr:visible")
    total = rows.count()
    assert form.locator("output").text_content() == f"{total} / {total}"
    form.locator("select[name=verdict]").select_option("refuted")
    refuted = rows.count()
    assert 0 < refuted < total
    assert rows.locator(".claim-refuted").count() == refuted
    form.locator("input").fill("ADAM-bias")
    assert rows.locator(".claim-id").all_text_contents() == ["adam-bias-slow-start"]
    assert form.locator("output").text_content() == f"1 / {total}"
    form.locator("select[name=page]").select_option(index=1)
    assert rows.count() == 0
    form.locator("input").fill("")
    form.locator("select[name=verdict]").select_option("")
    assert set(rows.locator("a").all_text_contents()) == {form.locator("select[name=page]").input_value()}


def test_a_row_of_the_claims_leads_to_the_claim(site, reader):
    page = reader().open(site / "en" / "claims.html")
    page.locator("table.claims tbody tr", has_text="adam-bias-slow-start").locator("a").click()
    assert page.url.endswith("/optimizers/adam.html#claim-adam-bias-slow-start")
    assert page.locator("#claim-adam-bias-slow-start").is_visible()


def test_a_name_in_the_family_tree_leads_to_its_rule(site, reader):
    page = reader(width=390).open(site / "en" / "optimizers" / "index.html")
    page.locator("ul.family-tree-drawn strong", has_text="adamw").first.click()
    assert page.url.endswith("/optimizers/adam.html#adamw")


def test_code_is_copied_by_its_button(site, reader):
    person = reader(permissions=["clipboard-read", "clipboard-write"])
    page = person.open(site / "en" / "optimizers" / "adam.html")
    block = page.locator(".formula-and-code .code").first
    block.hover()
    block.locator("button.copybtn").click()
    assert page.evaluate("navigator.clipboard.readText()").startswith("def adam(w, g, t, m, v")
