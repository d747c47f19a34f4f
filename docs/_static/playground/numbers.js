// Numbers as the playground shows them, and the sliders that choose them.
"use strict";
window.lossoptPlayground ??= {};

(() => {
  const POSITIONS = 200; // of a slider

  const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  // Three digits; in powers of ten where zeros would have to be counted.
  const short = (value) => {
    const size = Math.abs(value);
    if (size === 0 || (size >= 1e-3 && size < 1e5)) return String(Number(value.toPrecision(3)));
    return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  };

  // A place in a picture of that width, to a thousandth of it.
  const placed = (value, width) => {
    const digits = Math.max(0, Math.ceil(3 - Math.log10(width)));
    return value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1");
  };

  // A slider has powers of ten, up to 100 and down to below the default; or tenths of the way to 1, where 1 is the limit.
  const scaleOf = ({ low, high, low_closed }, initial) => {
    if (high === 1) {
      return {
        value: (position) => Number((1 - Number((10 ** ((-4 * position) / POSITIONS)).toPrecision(2))).toPrecision(6)),
        position: (value) => Math.min(POSITIONS, (-POSITIONS / 4) * Math.log10(Math.max(1 - value, 1e-5))),
      };
    }
    const bottom = initial > 0 ? Math.min(-6, Math.floor(Math.log10(initial)) - 2) : -6;
    const span = 2 - bottom;
    const zero = low === null || (low === 0 && low_closed);
    return {
      value: (position) => (position === 0 && zero ? 0 : Number((10 ** (bottom + (span * position) / POSITIONS)).toPrecision(2))),
      position: (value) => (value > 0 ? Math.max(0, (POSITIONS * (Math.log10(value) - bottom)) / span) : 0),
    };
  };

  const lies = (value, { low, high, low_closed, high_closed }) =>
    Number.isFinite(value) &&
    (low === null || (low_closed ? value >= low : value > low)) &&
    (high === null || (high_closed ? value <= high : value < high));

  // The way an arrow key points, or null.
  const wayOf = (key) =>
    ({ ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] })[key] ?? null;

  Object.assign(lossoptPlayground, { POSITIONS, fill, short, placed, scaleOf, lies, wayOf });
})();
