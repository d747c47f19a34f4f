// Small things that need a script; every page reads without it.
"use strict";

// Opened as a file, a browser may not fetch other pages, so search shows titles without excerpts.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// The other edition has the same anchors: stay where the reader is.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-language-switch]");
  if (link) link.hash = location.hash;
});

// A formula too wide for its place scrolls; then it must be reachable by keyboard too.
const reachFormulas = () =>
  document.querySelectorAll("div.math").forEach((formula) => {
    if (formula.scrollWidth > formula.clientWidth) formula.tabIndex = 0;
    else formula.removeAttribute("tabindex");
  });
window.addEventListener("load", reachFormulas);
window.addEventListener("resize", reachFormulas);
