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

// The claims: rows that hold every word, with the verdict and on the page that were chosen.
const filterClaims = (form) => {
  const rows = [...document.querySelectorAll("table.claims tbody tr")].map((row) => ({
    row,
    text: row.textContent.toLowerCase(),
    verdict: row.querySelector(".claim-holds") ? "holds" : "refuted",
    page: row.querySelector("a").textContent,
  }));
  const { words, verdict, page } = form.elements;
  new Set(rows.map((each) => each.page)).forEach((title) => page.add(new Option(title, title)));
  const choose = () => {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((each) => {
      const fits = wanted.every((word) => each.text.includes(word));
      each.row.hidden = !(fits && ["", each.verdict].includes(verdict.value) && ["", each.page].includes(page.value));
      shown += !each.row.hidden;
    });
    form.querySelector("output").textContent = `${shown} / ${rows.length}`;
  };
  form.addEventListener("input", choose);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  choose();
};
window.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".claims-filter").forEach(filterClaims));

// A playground loads its scripts when it comes near the screen; a small one stays a figure until it is asked for.
const loadPlayground = (name) =>
  new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${document.documentElement.dataset.content_root}_static/playground/${name}`;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${name} was not found beside the page`));
    document.head.append(script);
  });
// A reader sees the page before any Python is begun.
const painted = new Promise((resolve) => {
  new PerformanceObserver(resolve).observe({ type: "paint", buffered: true });
});
let playgroundScripts = null;
const beginPlayground = async (box) => {
  playgroundScripts ??= (async () => {
    for (const name of ["numbers", "picture", "interpreter", "takeaway", "panels", "playground"]) {
      await loadPlayground(`${name}.js`);
    }
  })();
  await playgroundScripts;
  lossoptPlayground.begin(box);
};
const awaitPlayground = (box) => {
  const ask = box.querySelector('[data-part="ask"]');
  if (ask) {
    ask.addEventListener("click", async () => {
      box.classList.add("asked");
      box.querySelector('[data-part="stage"]').hidden = false;
      await beginPlayground(box);
      box.querySelector('[data-part="play"]').focus();
    });
  } else {
    const near = new IntersectionObserver(
      async (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        near.disconnect();
        await painted;
        beginPlayground(box);
      },
      { rootMargin: "200px" },
    );
    near.observe(box);
  }
};
window.addEventListener("DOMContentLoaded", () => document.querySelectorAll(".playground").forEach(awaitPlayground));
