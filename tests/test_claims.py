"""Claims: a page cannot say what its own cell did not measure."""

import json
import math

import numpy as np
import pytest

from lossopt.claims import MIME_TYPE, ClaimError, claim


@pytest.mark.parametrize(
    ("measured", "condition"),
    [
        (3, {"expected": 3}),
        (0.3001, {"expected": 0.3, "tolerance": 0.001}),
        (1.25, {"expected": 1.0, "tolerance": 0.25}),  # a tolerance includes its end
        (-1.25, {"expected": -1.0, "tolerance": 0.25}),
        (2.0, {"at_most": 2}),
        (2.0, {"at_least": 2}),
        (2.0, {"at_least": 1, "at_most": 3}),
        (math.inf, {"at_least": 1e300}),
        (math.inf, {"expected": math.inf, "tolerance": 1}),
        (True, {"expected": True}),
        ("adam", {"expected": "adam"}),
        (np.float32(0.5), {"expected": 0.5}),
        (np.array([7]), {"expected": 7}),
        (np.array(0.5), {"expected": np.float64(0.5)}),
        (0, {"expected": 0.0, "tolerance": 0}),
    ],
)
def test_a_statement_that_was_measured_holds_and_cannot_be_called_refuted(measured, condition):
    assert claim("it", "It is so.", measured, **condition).verdict == "holds"
    with pytest.raises(ClaimError):
        claim("it", "It is so.", measured, **condition, verdict="refuted")


@pytest.mark.parametrize(
    ("measured", "condition"),
    [
        (4, {"expected": 3}),
        (0.3011, {"expected": 0.3, "tolerance": 0.001}),
        (0.2989, {"expected": 0.3, "tolerance": 0.001}),
        (2.0001, {"at_most": 2}),
        (1.9999, {"at_least": 2}),
        (0, {"at_least": 1, "at_most": 3}),
        (4, {"at_least": 1, "at_most": 3}),
        (5, {"expected": 5, "at_most": 4}),
        (-math.inf, {"at_least": 0}),
        (False, {"expected": True}),
        ("sgd", {"expected": "adam"}),
    ],
)
def test_a_statement_that_was_not_measured_is_refuted_and_cannot_be_said_to_hold(measured, condition):
    assert claim("it", "It is so.", measured, **condition, verdict="refuted").verdict == "refuted"
    with pytest.raises(ClaimError):
        claim("it", "It is so.", measured, **condition)


def test_the_error_names_the_id_the_statement_what_was_measured_and_what_was_wanted():
    with pytest.raises(ClaimError) as caught:
        claim("adam-is-first", "Adam is within 1 % of the best.", 2.5, at_most=1)

    message = str(caught.value)
    for part in ("'adam-is-first'", "Adam is within 1 % of the best.", "measured 2.5", "wanted <= 1", "'refuted'"):
        assert part in message


@pytest.mark.parametrize("verdict", ["holds", "refuted"])
def test_a_measurement_that_is_not_a_number_proves_nothing(verdict):
    with pytest.raises(ClaimError, match="nothing was measured"):
        claim("it", "It is so.", math.nan, at_most=1, verdict=verdict)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("Bad Id", "s", 1), ValueError, "id must be"),
        (("", "s", 1), ValueError, "id must be"),
        (("two words", "s", 1), ValueError, "id must be"),
        (("it", "  ", 1), ValueError, "statement must be"),
        (("it", "s", [1, 2]), TypeError, "measured must be a number"),
        (("it", "s", np.array([1, 2])), TypeError, r"one number, got shape \(2,\)"),
        (("it", "s", None), TypeError, "measured must be a number"),
    ],
)
def test_a_malformed_claim_is_an_error_of_its_author(arguments, error, message):
    with pytest.raises(error, match=message):
        claim(*arguments, expected=1)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({}, "nothing is claimed"),
        ({"tolerance": 1}, "nothing is claimed"),
        ({"tolerance": 1, "at_most": 2}, "needs an expected value"),
        ({"expected": 1, "tolerance": -1}, "tolerance must be >= 0"),
        ({"expected": 1, "tolerance": math.nan}, "tolerance must be a number"),
        ({"at_least": 2, "at_most": 1}, "lies above"),
        ({"at_most": math.nan}, "at_most must be a number"),
        ({"expected": np.float64("nan")}, "expected must be a number"),
        ({"expected": 1, "verdict": "maybe"}, "verdict must be"),
    ],
)
def test_a_condition_that_makes_no_sense_is_an_error_of_its_author(condition, message):
    with pytest.raises(ValueError, match=message):
        claim("it", "It is so.", 1, **condition)


def test_text_can_only_be_compared_for_equality():
    with pytest.raises(TypeError, match="needs a measured number"):
        claim("it", "It is so.", "adam", at_most=3)


def test_a_notebook_gets_a_row_a_line_and_the_entry_of_the_ledger():
    made = claim("a-b", "1 < 2 & it shows", 0.5, expected=0.4, tolerance=0.2, at_least=0)
    bundle = made._repr_mimebundle_()

    assert bundle["text/plain"] == "✓ holds  a-b: 1 < 2 & it shows  [measured 0.5, claimed 0.4 ± 0.2 and >= 0]"
    assert "1 &lt; 2 &amp; it shows" in bundle["text/html"]
    assert "✓" in bundle["text/html"]
    assert 'id="claim-a-b"' in bundle["text/html"]
    assert json.loads(json.dumps(bundle[MIME_TYPE], allow_nan=False)) == {
        "id": "a-b",
        "statement": "1 < 2 & it shows",
        "measured": 0.5,
        "wanted": "0.4 ± 0.2 and >= 0",
        "verdict": "holds",
    }


def test_an_infinity_is_written_in_the_ledger_as_text_that_json_allows():
    made = claim("it", "It diverges.", np.float32(np.inf), at_least=1e9)

    assert json.loads(json.dumps(made.entry(), allow_nan=False))["measured"] == "inf"


def test_a_refuted_claim_shows_that_it_is_refuted():
    made = claim("it", "It is so.", 3, at_most=2, verdict="refuted")

    assert str(made).startswith("✗ refuted")
    assert "claim-refuted" in made._repr_html_()
    assert "✗" in made._repr_html_()
