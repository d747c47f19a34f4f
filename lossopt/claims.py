"""The ledger: what a page claims, what was measured, and whether it holds.

A page states something in its prose and measures it in a cell; the cell ends with `claim(...)`.
If what was measured is not what the page says, the cell raises and the page is not built.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from html import escape
from numbers import Real
from typing import Any

__all__ = ["MIME_TYPE", "Claim", "ClaimError", "claim"]

MIME_TYPE = "application/vnd.lossopt.claim+json"

_ID = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
_ICON = {"holds": "✓", "refuted": "✗"}


class ClaimError(AssertionError):
    """What a page claims is not what was measured."""


@dataclass(frozen=True)
class Claim:
    """A claim whose stated verdict is what was measured; `claim` makes it.

    Parameters
    ----------
    id : str
        Name of the claim, unique on the site.
    statement : str
        The claim in one sentence.
    measured : float, bool or str
        What was measured.
    wanted : str
        The condition it was held against, in symbols: `0.3 ± 0.01`, `>= 2`.
    verdict : str
        `holds` or `refuted`.
    """

    id: str
    statement: str
    measured: float | bool | str
    wanted: str
    verdict: str

    def entry(self) -> dict[str, Any]:
        """Return the claim as a JSON-ready dictionary, the form in which a site collects it.

        Returns
        -------
        dict
            The five fields; a measured infinity is the text `inf` or `-inf`, which JSON has no number for.
        """
        finite = not isinstance(self.measured, float) or math.isfinite(self.measured)
        return {
            "id": self.id,
            "statement": self.statement,
            "measured": self.measured if finite else str(self.measured),
            "wanted": self.wanted,
            "verdict": self.verdict,
        }

    def __str__(self) -> str:
        return (
            f"{_ICON[self.verdict]} {self.verdict}  {self.id}: {self.statement}"
            f"  [measured {_text(self.measured)}, claimed {self.wanted}]"
        )

    def _repr_html_(self) -> str:
        # The statement is marked as English: the output of a cell serves every language of a site.
        return (
            f'<div class="claim claim-{self.verdict}" id="claim-{self.id}">'
            f'<span class="claim-verdict">{_ICON[self.verdict]} <span lang="en">{self.verdict}</span></span> '
            f'<span class="claim-statement" lang="en">{escape(self.statement)}</span> '
            f'<span class="claim-measured"><code>{escape(_text(self.measured))}</code> '
            f'<span class="claim-wanted">(<code>{escape(self.wanted)}</code>)</span></span></div>'
        )

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return {"text/plain": str(self), "text/html": self._repr_html_(), MIME_TYPE: self.entry()}


def claim(
    id: str,
    statement: str,
    measured: Any,
    *,
    expected: Any = None,
    tolerance: float | None = None,
    at_most: float | None = None,
    at_least: float | None = None,
    verdict: str = "holds",
) -> Claim:
    """Hold a statement against what was measured, and fail unless the verdict on the page is the measured one.

    Parameters
    ----------
    id : str
        Name of the claim, unique on the site: lower-case letters, digits, `-` and `_`.
    statement : str
        The claim in one sentence, as the page makes it.
    measured : float, bool or str
        What was measured; a NumPy or tensor scalar counts as the number it holds.
    expected : float, bool or str, optional
        The value claimed.
    tolerance : float, optional
        How far `measured` may lie from `expected`, in the same unit (absolute, >= 0); without it they must be equal.
    at_most, at_least : float, optional
        Bounds claimed, both inclusive; they may be given together, and beside `expected`.
    verdict : str
        What the page says of the statement: `holds`, or `refuted` when the measurement contradicts it.

    Returns
    -------
    Claim
        Displays as a row; in a notebook it also carries the ledger's entry.

    Raises
    ------
    ClaimError
        When the measured verdict is not `verdict`, or when what was measured is not a number (NaN).
    ValueError, TypeError
        When the claim itself makes no sense: no condition, a negative tolerance, bounds that cross, a malformed id.

    Examples
    --------
    >>> print(claim("half-of-one", "One half is 0.5.", 1 / 2, expected=0.5, tolerance=1e-12))
    ✓ holds  half-of-one: One half is 0.5.  [measured 0.5, claimed 0.5 ± 1e-12]
    """
    _check(id, statement, expected, tolerance, at_most, at_least, verdict)
    measured = _plain(id, "measured", measured)
    expected = None if expected is None else _plain(id, "expected", expected)
    wanted = _wanted(expected, tolerance, at_most, at_least)

    # NaN contradicts every condition, so without this line it would "refute" any claim.
    if measured != measured:
        raise ClaimError(f"claim {id!r}: {statement}\n  measured nan, wanted {wanted}: nothing was measured")

    if (tolerance, at_most, at_least) != (None, None, None) and isinstance(measured, str):
        raise TypeError(f"claim {id!r}: a tolerance or a bound needs a measured number, got {measured!r}")
    holds = _equal(measured, expected, tolerance) and _within(measured, at_least, at_most)
    found = "holds" if holds else "refuted"
    if found != verdict:
        raise ClaimError(
            f"claim {id!r}: {statement}\n"
            f"  measured {_text(measured)}, wanted {wanted}: the page says {verdict!r}, the measurement says {found!r}"
        )
    return Claim(id, statement, measured, wanted, verdict)


def _check(
    id: str,
    statement: str,
    expected: Any,
    tolerance: float | None,
    at_most: float | None,
    at_least: float | None,
    verdict: str,
) -> None:
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise ValueError(f"claim: id must be lower-case words joined by '-' or '_', got {id!r}")
    if not isinstance(statement, str) or not statement.strip():
        raise ValueError(f"claim {id!r}: statement must be a sentence, got {statement!r}")
    if verdict not in _ICON:
        raise ValueError(f"claim {id!r}: verdict must be 'holds' or 'refuted', got {verdict!r}")
    if expected is None and at_most is None and at_least is None:
        raise ValueError(f"claim {id!r}: give expected, at_most or at_least; without one nothing is claimed")
    conditions = {"expected": expected, "tolerance": tolerance, "at_most": at_most, "at_least": at_least}
    for name, number in conditions.items():
        if isinstance(number, Real) and number != number:
            raise ValueError(f"claim {id!r}: {name} must be a number, got nan")
    if tolerance is not None and expected is None:
        raise ValueError(f"claim {id!r}: a tolerance needs an expected value")
    if tolerance is not None and tolerance < 0:
        raise ValueError(f"claim {id!r}: tolerance must be >= 0, got {tolerance}")
    if at_most is not None and at_least is not None and at_least > at_most:
        raise ValueError(f"claim {id!r}: at_least {at_least} lies above at_most {at_most}")


def _plain(id: str, name: str, value: Any) -> float | bool | str:
    """Return the Python number, truth value or text that a scalar of any library holds."""
    if hasattr(value, "item"):
        if getattr(value, "shape", ()) not in ((), (1,)):
            raise TypeError(f"claim {id!r}: {name} must be one number, got shape {tuple(value.shape)}")
        value = value.item()
    if isinstance(value, bool | str | int | float):
        return value
    if isinstance(value, Real):
        return float(value)
    raise TypeError(f"claim {id!r}: {name} must be a number, a truth value or text, got {type(value).__name__}")


def _equal(measured: Any, expected: Any, tolerance: float | None) -> bool:
    if expected is None:
        return True
    if tolerance is None or measured == expected:  # equal infinities are equal to any tolerance
        return bool(measured == expected)
    return bool(abs(measured - expected) <= tolerance)


def _within(measured: Any, at_least: float | None, at_most: float | None) -> bool:
    return (at_least is None or measured >= at_least) and (at_most is None or measured <= at_most)


def _wanted(expected: Any, tolerance: float | None, at_most: float | None, at_least: float | None) -> str:
    parts = []
    if expected is not None:
        parts.append(_text(expected) + (f" ± {_text(tolerance)}" if tolerance else ""))
    if at_least is not None:
        parts.append(f">= {_text(at_least)}")
    if at_most is not None:
        parts.append(f"<= {_text(at_most)}")
    return " and ".join(parts)


def _text(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
