// The playground: a state, and whatever follows from it. Every change of the state computes all paths anew;
// time is only a cursor over them. What is shown stands in _templates/playground.html.
"use strict";

(() => {
  const { Interpreter, between, draw, fill, frame, lies, panels, placed, raceOf, scaleOf, short, wayOf } = lossoptPlayground;
  const SECONDS = 6; // for playing a whole race
  const GRID = { columns: 97, rows: 97 };
  const ANY = { low: null, high: null, low_closed: false, high_closed: false, text: "(-inf, inf)" };
  const STILL = matchMedia("(prefers-reduced-motion: reduce)");

  class Playground {
    constructor(box) {
      this.box = box;
      this.facts = JSON.parse(this.part("facts").textContent);
      this.words = this.facts.words;
      this.full = box.classList.contains("full");
      this.python = new Interpreter((reason) => {
        this.part("wait").textContent = fill(this.words.not_started, { reason });
      });
      this.state = { steps: this.facts.steps, noise: 0, seed: 0, chosen: 0 };
      this.racers = [];
      this.looks = []; // the racers as they are drawn
      this.time = this.state.steps;
      this.playing = false;
      const linked = this.full ? raceOf(location.hash, this.facts) : null;
      this.load({ landscape: this.facts.landscape, racers: this.facts.racers, ...linked });
      this.listen();
      this.panels = this.full ? panels.map((Panel) => new Panel(this)) : [];
      this.showRacers();
      this.renew();
    }

    part(name, inside = this.box) {
      return inside.querySelector(`[data-part="${name}"]`);
    }

    on(name, event, action) {
      this.part(name).addEventListener(event, action);
    }

    say(text) {
      this.part("message").textContent = text;
    }

    sentence({ message, line }) {
      return line ? fill(this.words.line, { line, message }) : message;
    }

    // --- The state ---------------------------------------------------------------------------------------------------

    get chosen() {
      return this.racers[this.state.chosen];
    }

    get minimum() {
      return this.minima.length ? this.minima[0][2] : null;
    }

    range(name) {
      return this.facts.ranges[name] ?? ANY;
    }

    // A race as the directive or a link says it.
    load({ landscape, start, steps, noise, seed, racers }) {
      if (landscape) this.settle(landscape);
      if (start) this.state.start = start;
      Object.assign(this.state, { steps: steps ?? this.state.steps, noise: noise ?? 0, seed: seed ?? 0 });
      if (racers.length) {
        this.racers = [];
        racers.forEach(([rule, hyper]) => this.add(rule, hyper));
        this.state.chosen = 0;
      }
      this.time = this.state.steps;
    }

    // The window, start, minima and first rates of a landscape of the package, or of the reader's own.
    settle(landscape, own = null, window_ = null) {
      const known = own === null ? this.facts.landscapes[landscape] : null;
      Object.assign(this.state, { landscape: known ? landscape : null, own });
      this.window = known?.window ?? window_;
      this.minima = known?.minima ?? [];
      this.rates = known?.rates ?? {};
      const [[x0, x1], [y0, y1]] = this.window;
      this.state.start = known ? [...known.start] : [x0 + 0.15 * (x1 - x0), y0 + 0.8 * (y1 - y0)];
      this.racers.forEach(({ rule, hyper }) => {
        if ("lr" in hyper && rule in this.rates) hyper.lr = this.rates[rule];
      });
      this.time = this.state.steps;
    }

    // A rule joins, or the reader's text of one; the number of its row.
    // The package's rules have their colours; a second one of a name has a number and other dashes.
    add(rule, hyper = {}, edited = null) {
      const { hyper: initial, state, color, dashes } = this.facts.rules[rule];
      const first = { ...initial, lr: this.rates[rule] ?? initial.lr, ...hyper };
      const racer = { rule, name: rule, source: null, state, initial, hyper: first, color, dashes, ...edited };
      const same = this.racers.filter((each) => each.name === racer.name && !each.source === !racer.source);
      racer.number = 1 + same.reduce((most, each) => Math.max(most, each.number), 0);
      if (edited) racer.color = "var(--pst-color-text-base)";
      if (edited || racer.number > 1) racer.dashes = [1 + 3 * racer.number, 3];
      return this.racers.push(racer) - 1;
    }

    label({ name, number, source }) {
      const numbered = number > 1 ? `${name} ${number}` : name;
      return source === null ? numbered : fill(this.words.edited, { rule: numbered });
    }

    // A rule's name is English in every edition.
    language({ source }) {
      return source === null ? "en" : document.documentElement.lang;
    }

    // --- Computing ---------------------------------------------------------------------------------------------------

    question() {
      const { landscape, own, start, steps, noise, seed, chosen } = this.state;
      const racers = this.racers.map(({ rule, source, hyper }) => {
        return { rule, family: this.facts.rules[rule].family, hyper, source };
      });
      return { do: "race", landscape, own, start, steps, noise, seed, racers, detail: this.full ? chosen : null };
    }

    survey(field, window_, use) {
      this.python.ask("surface", { do: "surface", ...field, window: window_, ...GRID }, use);
    }

    // A new landscape: its picture, and the race on it.
    renew() {
      const { landscape, own } = this.state;
      this.survey({ landscape, own }, this.window, (answer) => {
        if (!answer?.values) return this.say(answer ? this.sentence(answer.error) : this.words.too_long);
        this.grid = { ...GRID, values: answer.values };
        const finite = answer.values.filter((value) => value !== null);
        this.extent = finite.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
        this.paint();
      });
      if (this.full) this.part("landscape").value = landscape ?? "";
      this.showSettings();
      this.race();
    }

    race(after = () => {}) {
      const racers = [...this.racers];
      const { chosen } = this;
      this.python.ask("race", this.question(), (answer) => {
        if (answer === null) return this.stop(racers);
        this.say(answer.error ? this.sentence(answer.error) : "");
        racers.forEach((racer, index) => (racer.run = answer.racers?.[index] ?? null));
        this.detail = answer.detail && { racer: chosen, ...answer.detail };
        this.part("wait").hidden = true;
        if (chosen.run?.error && chosen.source !== null) this.panels[0]?.complain(chosen.run.error);
        after();
        this.paintRace();
      });
      this.panels.forEach((panel) => panel.raced?.());
    }

    // A rule that never ends can only be the reader's: it leaves the race, and its text stays to be mended.
    stop(racers) {
      const edited = racers.filter(({ source }) => source !== null);
      this.racers = this.racers.filter((racer) => !edited.includes(racer));
      if (this.racers.length === 0) this.add(edited[0].rule);
      this.state.chosen = Math.max(0, this.racers.findIndex(({ rule }) => rule === edited[0]?.rule));
      const text = this.full ? this.part("source").value : null;
      this.showRacers();
      if (edited.length) {
        this.race();
        this.panels[0].show(text);
        this.panels[0].complain({ message: this.words.too_long, line: null });
      } else this.say(this.words.too_long);
    }

    // --- Showing -----------------------------------------------------------------------------------------------------

    showRacers() {
      const template = this.part("racer-template").content.querySelector("tr");
      this.part("racers").replaceChildren(
        ...this.racers.map((racer, index) => {
          const row = template.cloneNode(true);
          const name = this.label(racer);
          // A long name may be broken after its underscores.
          this.part("name", row).append(...name.split(/(?<=_)/).flatMap((part, k) => (k ? [document.createElement("wbr"), part] : part)));
          this.part("name", row).lang = this.language(racer);
          const radio = row.querySelector("input");
          radio.checked = index === this.state.chosen;
          radio.addEventListener("change", () => this.choose(index));
          const line = row.querySelector("path");
          line.style.stroke = racer.color;
          line.style.strokeDasharray = racer.dashes.map((length) => 1.4 * length).join(" ");
          const remove = this.part("remove", row);
          remove.title = fill(this.words.remove, { rule: name });
          remove.setAttribute("aria-label", remove.title);
          remove.hidden = !this.full || this.racers.length === 1;
          remove.addEventListener("click", () => this.remove(index));
          return row;
        }),
      );
      this.showSettings();
      this.panels.forEach((panel) => panel.chose?.(this.chosen));
    }

    choose(index) {
      this.state.chosen = index;
      this.part("racers").querySelectorAll("input")[index].checked = true;
      this.showSettings();
      this.panels.forEach((panel) => panel.chose?.(this.chosen));
      this.race();
    }

    remove(index) {
      this.racers.splice(index, 1);
      this.state.chosen = Math.min(this.state.chosen, this.racers.length - 1);
      this.showRacers();
      this.part("racers").querySelectorAll("input")[this.state.chosen].focus();
      this.race();
    }

    showSettings() {
      const { chosen } = this;
      const template = this.part("setting-template").content.firstElementChild;
      this.part("chosen").textContent = this.label(chosen);
      this.part("chosen").lang = this.language(chosen);
      this.part("settings").replaceChildren(
        ...Object.keys(chosen.hyper).map((name) => {
          const row = template.cloneNode(true);
          const [label, slider, typed] = ["label", "slider", "number"].map((part) => this.part(part, row));
          const [interval, scale] = [this.range(name), scaleOf(this.range(name), chosen.initial[name])];
          label.textContent = name;
          label.htmlFor = slider.id = `${this.box.id}-${name}`;
          for (const field of [slider, typed]) field.setAttribute("aria-label", name);
          const show = () => {
            typed.value = String(chosen.hyper[name]);
            slider.value = scale.position(chosen.hyper[name]);
            slider.setAttribute("aria-valuetext", typed.value);
          };
          const take = (value, text) => {
            if (lies(value, interval)) {
              chosen.hyper[name] = value;
              this.race();
            } else this.say(fill(this.words.range, { name, interval: interval.text, value: text }));
            show();
          };
          slider.addEventListener("input", () => take(scale.value(Number(slider.value))));
          typed.addEventListener("change", () => take(typed.value.trim() ? Number(typed.value) : NaN, typed.value));
          show();
          return row;
        }),
      );
    }

    // A colour of the theme as it is now.
    ink(color) {
      const name = /^var\((.*)\)$/.exec(color)?.[1];
      return name ? getComputedStyle(this.box).getPropertyValue(name).trim() : color;
    }

    paint() {
      if (this.grid) draw.surface(this.part("surface"), this.grid, this.window, this.minima);
      this.paintRace();
    }

    // All but the landscape, which changes seldom and takes longest.
    paintRace() {
      this.looks = this.racers.map((racer) => ({ ...racer, color: this.ink(racer.color) }));
      if (this.extent) {
        const [bottom, top] = this.extent;
        const scale = { minimum: this.minimum, bottom, top };
        this.losses = draw.losses(this.part("losses"), this.looks, scale, this.state.steps, this.state.chosen);
      }
      this.show();
    }

    // All that depends on the cursor.
    show() {
      const { time } = this;
      draw.paths(this.part("paths"), this.looks, this.window, time, this.state.chosen, this.arrows());
      if (this.losses) this.part("cursor").style.transform = `translateX(${this.losses.place(time)}px)`;
      const step = Math.floor(time);
      if (!this.playing || step !== this.shown) this.showValues(step);
      this.shown = step;
      this.placeStart();
    }

    showValues(step) {
      const { steps } = this.state;
      const time = this.part("time");
      time.max = steps;
      time.value = step;
      time.setAttribute("aria-valuetext", fill(this.words.step_of, { step, steps }));
      this.part("clock").textContent = `t = ${step}`;
      [...this.part("racers").rows].forEach((row, index) => this.showRow(row, this.racers[index].run, step));
      if (!this.playing) {
        const names = this.racers.map((racer) => this.label(racer)).join(", ");
        this.part("paths").setAttribute("aria-label", fill(this.words.paths_label, { names, step, steps }));
      }
      if (this.full) this.showVectors(step);
    }

    // Loss and place of a run, or what there is to say of it instead.
    showRow(row, run, step) {
      const [[x0, x1], [y0, y1]] = this.window;
      const cells = ["loss", "x", "y"].map((name) => this.part(name, row));
      const ended = run?.diverged >= 0 && step >= run.diverged;
      const [loss, x, y] = ["loss", "x", "y"].map((name) => run?.[name]?.[Math.min(step, run[name].length - 1)]);
      let texts = ["", "", ""];
      if (run?.error) texts = [this.sentence(run.error)];
      else if (run?.diverged === 0) texts = [this.words.undefined];
      else if (ended) texts = [fill(this.words.diverged, { step: run.diverged })];
      else if (x < x0 || x > x1 || y < y0 || y > y1) texts = [`${short(loss)} ${this.words.outside}`];
      else if (loss !== undefined) texts = [short(loss), placed(x, x1 - x0), placed(y, y1 - y0)];
      row.classList.toggle("noted", texts.length === 1);
      cells[0].colSpan = texts.length === 1 ? 3 : 1;
      cells.forEach((cell, k) => {
        cell.hidden = k >= texts.length;
        cell.textContent = cell.title = texts[k] ?? "";
      });
    }

    // Gradient, memory and step of the chosen run at a step; the last step has those of the one before.
    vectors(step) {
      const { detail, chosen } = this;
      const { run } = chosen;
      if (detail?.racer !== chosen || !(run?.x?.length > 1)) return [];
      detail.table ??= this.table(detail, chosen);
      return detail.table.map((each) => ({ ...each, vector: each.all[Math.min(step, each.all.length - 1)] }));
    }

    // Their values at every step.
    table({ gx, gy, state }, { run, color, state: names }) {
      const column = (xs, ys, sign = 1) => {
        const all = xs.map((x, k) => [sign * x, sign * ys[k]]);
        const longest = all.reduce((a, b) => (Math.hypot(...b) > Math.hypot(...a) ? b : a), [0, 0]);
        return { all: all.slice(0, run.x.length - 1), longest };
      };
      const moves = ["x", "y"].map((name) => run[name].slice(1).map((value, k) => value - run[name][k]));
      const memories = names.filter((name) => name in state).map((name, index) => {
        const [xs, ys] = state[name].map((values) => values.slice(1));
        // What never differs between x and y is a number of its own; what is never negative is a memory of sizes;
        // all else is a direction, shown as it points where the steps go.
        if (xs.every((value, k) => value === ys[k])) return { name, kind: "number", dashes: [], ...column(xs, ys) };
        const dashes = [2 + 4 * (index % 2), 3];
        if ([...xs, ...ys].every((value) => value >= 0)) return { name, kind: "size", dashes, ...column(xs, ys) };
        const along = xs.reduce((sum, value, k) => sum + value * moves[0][k] + ys[k] * moves[1][k], 0);
        const sign = along < 0 ? -1 : 1;
        return { name: sign < 0 ? `−${name}` : name, kind: "arrow", dashes: [], ...column(xs, ys, sign) };
      });
      return [
        { name: this.words.arrow_gradient, kind: "arrow", dashes: [5, 4], ...column(gx, gy, -1) },
        ...memories,
        { name: this.words.arrow_step, kind: "arrow", dashes: [], color, ...column(...moves) },
      ];
    }

    arrows() {
      const { run } = this.chosen;
      const step = Math.floor(this.time);
      if (!this.full || !this.part("arrows").checked || !(step < run?.x?.length - 1)) return null;
      const parts = this.vectors(step).map((each) => ({ ...each, color: this.ink(each.color) }));
      return { x: between(run.x, this.time), y: between(run.y, this.time), parts };
    }

    showVectors(step) {
      const vectors = this.vectors(step);
      const body = this.part("vectors");
      if (this.detail !== this.listed || body.rows.length !== vectors.length) {
        body.replaceChildren(...vectors.map((each) => this.vectorRow(each)));
        this.listed = this.detail;
      }
      vectors.forEach(({ vector }, index) => {
        body.rows[index].querySelectorAll("td").forEach((cell, k) => (cell.textContent = short(vector[k])));
      });
    }

    vectorRow({ name, dashes, kind, color }) {
      const row = document.createElement("tr");
      row.innerHTML =
        '<th scope="row"><svg class="swatch" viewBox="0 0 28 12" aria-hidden="true"></svg> <span></span></th><td></td><td></td>';
      const picture = row.querySelector("svg");
      const dash = `stroke-dasharray="${dashes.join(" ")}"`;
      const arrow = `<path d="M0 6h20" ${dash}/><path class="head" d="M19 1l9 5-9 5z"/>`;
      picture.innerHTML = { arrow, size: `<ellipse cx="14" cy="6" rx="12" ry="5" ${dash}/>`, number: "" }[kind];
      if (color) picture.style.color = color;
      row.querySelector("span").textContent = name;
      return row;
    }

    // --- Time --------------------------------------------------------------------------------------------------------

    play(on) {
      this.playing = on;
      cancelAnimationFrame(this.frame); // of the playing before
      const button = this.part("play");
      button.title = on ? this.words.pause : this.words.play;
      button.setAttribute("aria-label", button.title);
      button.querySelector("path").setAttribute("d", on ? "M3 1h4v14H3zM9 1h4v14H9z" : "M3 1l11 7-11 7z");
      if (on) {
        if (this.time >= this.state.steps) this.time = 0;
        this.then = null;
        this.frame = requestAnimationFrame((now) => this.tick(now));
      } else this.show();
    }

    tick(now) {
      if (!this.playing) return;
      if (this.then !== null) this.time += ((now - this.then) / 1000 / SECONDS) * this.state.steps;
      this.then = now;
      if (this.time >= this.state.steps) return this.go(this.state.steps);
      this.show();
      this.frame = requestAnimationFrame((next) => this.tick(next));
    }

    go(t) {
      this.time = Math.max(0, Math.min(this.state.steps, t));
      this.play(false);
    }

    // --- Hands -------------------------------------------------------------------------------------------------------

    listen() {
      this.on("play", "click", () => this.play(!this.playing));
      this.on("restart", "click", () => this.go(0));
      this.on("back", "click", () => this.go(Math.ceil(this.time) - 1));
      this.on("forward", "click", () => this.go(Math.floor(this.time) + 1));
      this.on("time", "input", () => this.go(Number(this.part("time").value)));
      this.on("losses", "pointerdown", (event) => this.losses && this.go(Math.round(this.losses.step(event.offsetX))));
      this.listenToPicture();
      if (this.full) this.listenToBar();
      new ResizeObserver(() => this.paint()).observe(this.part("paths"));
      new MutationObserver(() => this.paint()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    }

    listenToPicture() {
      const [picture, ring] = [this.part("paths"), this.part("start")];
      const place = ({ clientX, clientY }) => {
        const { left, top, width, height } = picture.getBoundingClientRect();
        const inside = (value, most) => Math.max(0, Math.min(most, value));
        const point = frame(this.window, width, height).point(inside(clientX - left, width), inside(clientY - top, height));
        return point.map((value) => Number(value.toPrecision(4)));
      };
      picture.addEventListener("click", (event) => this.drop(place(event), true));
      ring.addEventListener("pointerdown", (event) => ring.setPointerCapture(event.pointerId));
      ring.addEventListener("pointermove", (event) => {
        if (ring.hasPointerCapture(event.pointerId)) this.drop(place(event), false);
      });
      ring.addEventListener("keydown", (event) => {
        const way = wayOf(event.key);
        if (!way) return;
        event.preventDefault();
        const moved = this.window.map(([low, high], k) => {
          const value = this.state.start[k] + (way[k] * (high - low)) / (event.shiftKey ? 8 : 40);
          return Number(Math.max(low, Math.min(high, value)).toPrecision(4));
        });
        this.drop(moved, false);
      });
    }

    listenToBar() {
      this.on("landscape", "change", () => {
        this.settle(this.part("landscape").value);
        this.renew();
      });
      for (const name of ["steps", "noise", "seed"]) {
        const field = this.part(name);
        field.value = this.state[name];
        field.addEventListener("change", () => {
          if (field.value !== "" && field.validity.valid) {
            this.state[name] = Number(field.value);
            if (name === "steps") this.time = this.state.steps;
            this.race();
          } else {
            const interval = `[${this.facts.limits[name].join(", ")}]`;
            this.say(fill(this.words.range, { name: field.labels[0].textContent.trim(), interval, value: field.value || "?" }));
            field.value = this.state[name];
          }
        });
      }
      this.on("add", "change", () => {
        const field = this.part("add");
        if (!field.value) return;
        this.state.chosen = this.add(field.value);
        field.value = "";
        this.showRacers();
        this.race();
      });
      this.on("arrows", "change", () => this.show());
      // A link to another race on the page itself; by now the address may say again what was raced before it.
      addEventListener("hashchange", ({ newURL }) => {
        const linked = raceOf(new URL(newURL).hash, this.facts);
        if (!linked) return;
        this.load(linked);
        for (const name of ["steps", "noise", "seed"]) this.part(name).value = this.state[name];
        this.showRacers();
        this.renew();
        this.box.scrollIntoView({ behavior: STILL.matches ? "auto" : "smooth" });
        this.part("play").focus({ preventScroll: true });
      });
    }

    // The ball at a new place: it runs from there, or only the paths move.
    drop(start, runs) {
      this.state.start = start;
      this.placeStart();
      this.race(() => {
        if (!runs || STILL.matches) return;
        this.time = 0;
        if (!this.playing) this.play(true);
      });
    }

    placeStart() {
      const ring = this.part("start");
      const [x, y] = this.state.start;
      const to = frame(this.window, 100, 100);
      ring.style.left = `${to.x(x)}%`;
      ring.style.top = `${to.y(y)}%`;
      const label = fill(this.words.start_label, { x: short(x), y: short(y) });
      if (ring.getAttribute("aria-label") !== label) ring.setAttribute("aria-label", label);
    }
  }

  lossoptPlayground.all = [];
  lossoptPlayground.begin = (box) => lossoptPlayground.all.push(new Playground(box));
})();
