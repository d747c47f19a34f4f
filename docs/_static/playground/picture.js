// What the playground draws: a landscape, the paths on it, their losses, and the map of two settings.
"use strict";
window.lossoptPlayground ??= {};

(() => {
  const BANDS = 14;

  // A canvas as sharp as the screen; drawing is in CSS pixels. The ink is the colour of the text around it.
  const paper = (canvas) => {
    const { clientWidth: width, clientHeight: height } = canvas;
    const scale = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    const style = getComputedStyle(canvas);
    pen.strokeStyle = pen.fillStyle = style.color;
    pen.font = `12px ${style.fontFamily}`;
    return { pen, width, height, ink: style.color, ground: style.backgroundColor };
  };

  // From the landscape's numbers to the canvas's and back.
  const frame = ([[x0, x1], [y0, y1]], width, height) => ({
    x: (x) => ((x - x0) / (x1 - x0)) * width,
    y: (y) => (1 - (y - y0) / (y1 - y0)) * height,
    point: (left, top) => [x0 + (left / width) * (x1 - x0), y0 + (1 - top / height) * (y1 - y0)],
  });

  const star = (pen, x, y, size) => {
    pen.beginPath();
    for (let corner = 0; corner < 10; corner++) {
      const radius = corner % 2 ? size * 0.42 : size;
      const angle = (Math.PI * corner) / 5;
      pen.lineTo(x + radius * Math.sin(angle), y - radius * Math.cos(angle));
    }
    pen.closePath();
    pen.fill();
  };

  // Bands between quantiles of the values, so that a narrow valley shows too: the lower, the more ink.
  const surface = (canvas, { values, columns, rows }, window_, minima) => {
    const { pen, width, height, ink } = paper(canvas);
    const sorted = values.filter((value) => value !== null).sort((a, b) => a - b);
    const levels = Array.from({ length: BANDS - 1 }, (_, k) => sorted[Math.floor(((k + 1) / BANDS) * sorted.length)]);
    const band = (value) => {
      let low = 0;
      let high = levels.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (levels[middle] <= value) low = middle + 1;
        else high = middle;
      }
      return low;
    };
    const { width: w, height: h } = canvas;
    if (!w || !h) return; // hidden, as in print
    const image = pen.createImageData(w, h);
    const [red, green, blue] = ink.match(/[\d.]+/g).map(Number);
    let below = new Int8Array(w).fill(-1);
    for (let row = h - 1; row >= 0; row--) {
      const v = (1 - (row + 0.5) / h) * (rows - 1);
      const j = Math.min(Math.floor(v), rows - 2);
      const here = new Int8Array(w);
      for (let column = 0; column < w; column++) {
        const u = ((column + 0.5) / w) * (columns - 1);
        const i = Math.min(Math.floor(u), columns - 2);
        const at = j * columns + i;
        const [a, b, c, d] = [values[at], values[at + 1], values[at + columns], values[at + columns + 1]];
        const missing = a === null || b === null || c === null || d === null;
        const value = a + (b - a) * (u - i) + (c - a + (a - b - c + d) * (u - i)) * (v - j);
        here[column] = missing ? -1 : band(value);
        if (missing) continue;
        const edge = (column > 0 && here[column - 1] !== here[column]) || (below[column] !== here[column] && row < h - 1);
        const place = 4 * (row * w + column);
        image.data[place] = red;
        image.data[place + 1] = green;
        image.data[place + 2] = blue;
        image.data[place + 3] = 255 * (edge ? 0.38 : 0.26 * (1 - here[column] / (BANDS - 1)) ** 1.5);
      }
      below = here;
    }
    pen.putImageData(image, 0, 0);
    const to = frame(window_, width, height);
    minima.forEach(([x, y]) => star(pen, to.x(x), to.y(y), 7));
  };

  const between = (list, t) => {
    const before = Math.min(Math.floor(t), list.length - 1);
    const after = Math.min(before + 1, list.length - 1);
    return list[before] + (list[after] - list[before]) * (t - Math.floor(t));
  };

  // Each run up to the cursor, with a ball at its end: hollow, and at the edge, where the run is outside the picture.
  const paths = (canvas, racers, window_, t, chosen, arrows) => {
    const { pen, width, height, ground, ink } = paper(canvas);
    const to = frame(window_, width, height);
    const clamp = (value, limit) => Math.max(6, Math.min(limit - 6, value));
    const order = racers.map((_, index) => index).sort((a, b) => (a === chosen) - (b === chosen));
    for (const index of order) {
      const { run, color, dashes } = racers[index];
      if (!run?.x?.length) continue;
      const last = Math.min(Math.floor(t), run.x.length - 1);
      pen.beginPath();
      for (let step = 0; step <= last; step++) pen.lineTo(to.x(run.x[step]), to.y(run.y[step]));
      const x = to.x(between(run.x, t));
      const y = to.y(between(run.y, t));
      pen.lineTo(x, y);
      pen.strokeStyle = color;
      pen.lineWidth = index === chosen ? 3 : 2;
      pen.setLineDash(dashes.map((length) => 1.4 * length));
      pen.stroke();
      pen.setLineDash([]);
      const [left, top] = [clamp(x, width), clamp(y, height)];
      const outside = Math.abs(left - x) > 6 || Math.abs(top - y) > 6;
      pen.beginPath();
      pen.arc(left, top, index === chosen ? 6 : 5, 0, 2 * Math.PI);
      pen.fillStyle = outside ? ground : color;
      pen.fill();
      pen.lineWidth = outside ? 2.5 : 1.5;
      pen.strokeStyle = outside ? color : ground;
      pen.stroke();
    }
    if (arrows) drawArrows(pen, to, arrows, ink);
  };

  // From the ball: an arrow for each direction, an ellipse for each memory of sizes.
  // Roots of the lengths, each against the longest of its run: short ones stay visible.
  const drawArrows = (pen, to, { x, y, parts }, ink) => {
    const [left, top] = [to.x(x), to.y(y)];
    parts.forEach(({ vector: [vx, vy], longest: [mx, my], kind, color, dashes }) => {
      const [px, py] = [to.x(x + vx) - left, to.y(y + vy) - top];
      const most = Math.hypot(to.x(x + mx) - left, to.y(y + my) - top);
      const length = Math.hypot(px, py);
      if (kind === "number" || !(length > 0 && most > 0)) return;
      pen.strokeStyle = pen.fillStyle = color || ink;
      pen.lineWidth = 2;
      pen.setLineDash(dashes);
      pen.beginPath();
      if (kind === "size") {
        const scale = 44 / Math.sqrt(Math.max(Math.abs(to.x(x + mx) - left), Math.abs(to.y(y + my) - top)));
        pen.ellipse(left, top, scale * Math.sqrt(Math.abs(px)), scale * Math.sqrt(Math.abs(py)), 0, 0, 2 * Math.PI);
        pen.stroke();
      } else {
        const reach = 12 + 48 * Math.sqrt(length / most);
        const [dx, dy] = [px / length, py / length];
        const [ex, ey] = [left + reach * dx, top + reach * dy];
        pen.moveTo(left, top);
        pen.lineTo(ex, ey);
        pen.stroke();
        pen.setLineDash([]);
        pen.beginPath();
        pen.moveTo(ex + 5 * dx, ey + 5 * dy);
        pen.lineTo(ex - 4 * dx - 4 * dy, ey - 4 * dy + 4 * dx);
        pen.lineTo(ex - 4 * dx + 4 * dy, ey - 4 * dy - 4 * dx);
        pen.fill();
      }
      pen.setLineDash([]);
    });
  };

  // Losses over the steps: the distance to the minimum on a log scale where it is known, else the loss as it is,
  // from where the runs begin to the lowest they come to inside the picture.
  const losses = (canvas, racers, { minimum, top: highest, bottom: lowest }, steps, chosen) => {
    const { pen, width, height } = paper(canvas);
    const log = minimum !== null;
    const scale = (value) => (log ? Math.log10(Math.max(value - minimum, 1e-16)) : value);
    const seen = racers.flatMap(({ run }) => (run?.loss ?? []).map(scale));
    const least = seen.reduce((a, b) => Math.min(a, b), Infinity);
    let high = scale(highest);
    let low = Math.max(-14, Math.min(least, high - 1));
    if (log) [low, high] = [Math.floor(low), Math.ceil(high)];
    else {
      const first = Math.max(...racers.map(({ run }) => run?.loss?.[0] ?? lowest));
      [low, high] = [Math.max(lowest, Math.min(least, highest)), Math.min(highest, first)];
      if (!(high > low)) [low, high] = [lowest, highest]; // all runs are outside
      if (!(high > low)) high = low + 1; // the function is constant
      high += 0.05 * (high - low);
    }
    const [left, right, top, bottom] = [46, width - 8, 8, height - 22];
    const x = (step) => left + (step / steps) * (right - left);
    const y = (value) => bottom - ((Math.max(low, Math.min(high, value)) - low) / (high - low)) * (bottom - top);
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    const every = log ? Math.max(1, Math.ceil((high - low) / 5)) : (high - low) / 4;
    const ticks = Array.from({ length: Math.floor((high - low) / every + 1e-9) + 1 }, (_, k) => low + k * every);
    for (const tick of ticks) {
      pen.globalAlpha = 0.25;
      pen.beginPath();
      pen.moveTo(left, y(tick));
      pen.lineTo(right, y(tick));
      pen.stroke();
      pen.globalAlpha = 1;
      pen.fillText(log ? `1e${tick}` : tick.toPrecision(2), left - 6, y(tick));
    }
    pen.textBaseline = "alphabetic";
    pen.textAlign = "left";
    pen.fillText("0", left, height - 6);
    pen.textAlign = "right";
    pen.fillText(`t = ${steps}`, right, height - 6);
    pen.save();
    pen.beginPath();
    pen.rect(left, top - 3, right - left, bottom - top + 6);
    pen.clip();
    racers.forEach(({ run, color, dashes }, index) => {
      if (!run?.loss) return;
      pen.strokeStyle = color;
      pen.lineWidth = index === chosen ? 3 : 1.75;
      pen.setLineDash(dashes.map((length) => 1.4 * length));
      pen.beginPath();
      run.loss.forEach((value, step) => pen.lineTo(x(step), y(scale(value))));
      pen.stroke();
    });
    pen.restore();
    pen.setLineDash([]);
    return { place: x, step: (offset) => Math.max(0, Math.min(steps, ((offset - left) / (right - left)) * steps)) };
  };

  // The loss after the last step, a cell for each pair of settings: the lower, the more colour; diverged is empty.
  const map = (canvas, rows, rowsInAll, minimum, color) => {
    const { pen, width, height } = paper(canvas);
    const scale = (value) => (minimum === null ? value : Math.log10(Math.max(value - minimum, 1e-14)));
    const seen = rows.flat().filter((value) => value !== null).map(scale);
    seen.sort((a, b) => a - b);
    // The lowest tenth is one shade: a single deep cell would leave the rest pale.
    const [low, high] = [seen[Math.floor(seen.length / 50)], seen[Math.floor(seen.length * 0.9)]];
    pen.fillStyle = color;
    rows.forEach((row, j) => {
      row.forEach((value, i) => {
        if (value === null) return;
        const share = high > low ? (scale(value) - low) / (high - low) : 0;
        pen.globalAlpha = 0.06 + 0.9 * (1 - Math.max(0, Math.min(1, share)));
        const [x0, x1] = [i, i + 1].map((k) => Math.round((k / row.length) * width));
        const [y0, y1] = [j + 1, j].map((k) => Math.round((1 - k / rowsInAll) * height));
        pen.fillRect(x0, y0, x1 - x0, y1 - y0);
      });
    });
    pen.globalAlpha = 1;
  };

  Object.assign(lossoptPlayground, { draw: { surface, paths, losses, map }, frame, between });
})();
