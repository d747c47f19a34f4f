// Small things that need a script; every page reads without it.
"use strict";

// Opened as a file, a browser may not fetch other pages, so search shows titles without excerpts.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;

// The other edition has the same anchors: stay where the reader is.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-language-switch]");
  if (link) link.hash = location.hash;
});

// What is too wide for its place scrolls; then it must be reachable by keyboard too.
const reachScrolling = () =>
  document.querySelectorAll("div.math, div.cell_output .text_html").forEach((box) => {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  });
window.addEventListener("load", reachScrolling);
window.addEventListener("resize", reachScrolling);
