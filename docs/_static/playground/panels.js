// What the full playground has below the race: the rule's text, the map of two settings, the reader's own landscape,
// and the race to take away. A panel hears of every change: `chose` of another rule, `raced` of a new race.
"use strict";
window.lossoptPlayground ??= {};

(() => {
  const { POSITIONS, draw, fill, linkOf, programOf, scaleOf, short, wayOf } = lossoptPlayground;
  const CELLS = 24; // of the map, each way

  class Editor {
    constructor(playground) {
      this.playground = playground;
      const source = playground.part("source");
      source.addEventListener("input", () => this.number(null));
      source.addEventListener("scroll", () => (playground.part("lines").scrollTop = source.scrollTop));
      source.addEventListener("keydown", (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.race();
      });
      playground.on("race", "click", () => this.race());
      playground.on("undo", "click", () => this.show(null));
    }

    chose({ rule, source }) {
      this.rule = rule;
      this.show(source);
    }

    show(source) {
      this.playground.part("source").value = source ?? this.playground.facts.rules[this.rule].source;
      this.number(null);
    }

    // The numbers of the lines, one of them marked.
    number(marked) {
      const source = this.playground.part("source");
      this.playground.part("lines").replaceChildren(
        ...source.value.split("\n").map((_, index) => {
          const line = document.createElement("span");
          line.textContent = `${index + 1}\n`;
          line.classList.toggle("marked", index + 1 === marked);
          return line;
        }),
      );
      source.removeAttribute("aria-invalid");
      this.playground.part("error").textContent = "";
    }

    complain(error) {
      this.number(error.line);
      this.playground.part("source").setAttribute("aria-invalid", "true");
      this.playground.part("error").textContent = this.playground.sentence(error);
    }

    // The text joins the race, or takes the place of the text that was chosen; settings it still has are kept.
    race() {
      const { playground, rule } = this;
      const source = playground.part("source").value;
      const question = { do: "signature", family: playground.facts.rules[rule].family, rule, source };
      this.number(null);
      playground.python.ask("signature", question, (answer) => {
        if (answer === null) return this.complain({ message: playground.words.too_long, line: null });
        if (answer.error) return this.complain(answer.error);
        const { chosen } = playground;
        const before = chosen.rule === rule ? chosen : playground.racers.find((racer) => racer.rule === rule);
        const kept = Object.entries(before?.hyper ?? {}).filter(([name]) => name in answer.hyper);
        const hyper = { ...answer.hyper, ...Object.fromEntries(kept) };
        const name = /^def\s+(\w+)/m.exec(source)?.[1] ?? rule;
        const edited = { name, source, hyper, state: answer.state, initial: answer.hyper };
        if (chosen.rule === rule && chosen.source !== null) Object.assign(chosen, edited);
        else playground.state.chosen = playground.add(rule, {}, edited);
        playground.showRacers();
        playground.race();
      });
    }
  }

  class SettingsMap {
    constructor(playground) {
      this.playground = playground;
      playground.on("mapping", "toggle", () => this.raced());
      for (const name of ["across", "up"]) playground.on(name, "change", () => this.raced());
      playground.on("map", "click", (event) => {
        const { width, height } = event.target.getBoundingClientRect();
        this.take(Math.floor((event.offsetX / width) * CELLS), Math.floor((1 - event.offsetY / height) * CELLS));
      });
      playground.on("cell", "keydown", (event) => {
        const way = wayOf(event.key);
        if (!way) return;
        event.preventDefault();
        const [i, j] = this.place();
        this.take(Math.round(i) + way[0], Math.round(j) + way[1]);
      });
    }

    chose(racer) {
      const names = Object.keys(racer.hyper);
      const [across, up] = ["across", "up"].map((name) => this.playground.part(name));
      const before = [across.value, up.value];
      [across, up].forEach((field, k) => {
        field.replaceChildren(...names.map((name) => new Option(name)));
        field.value = names.includes(before[k]) ? before[k] : names[Math.min(k, names.length - 1)];
      });
      if (up.value === across.value) up.value = names.find((name) => name !== across.value) ?? across.value;
    }

    // The settings of the cells along one side: as the slider has them, but of rates the three powers of ten around
    // the one the race begins with, for beyond them a run does not move or does not last.
    side(part) {
      const { playground } = this;
      const { rule, hyper, initial } = playground.chosen;
      const name = playground.part(part).value;
      const along = (value) => Array.from({ length: CELLS }, (_, k) => value((k + 0.5) / CELLS));
      if (name === "lr") {
        const middle = playground.rates[rule] || initial.lr || hyper.lr;
        const values = along((share) => Number((middle * 10 ** (3 * (share - 0.5))).toPrecision(2)));
        return { part, name, values, place: (value) => (Math.log10(value / middle) / 3 + 0.5) * CELLS - 0.5 };
      }
      const scale = scaleOf(playground.range(name), initial[name]);
      const values = along((share) => scale.value(share * POSITIONS));
      return { part, name, values, place: (value) => (scale.position(value) / POSITIONS) * CELLS - 0.5 };
    }

    // Where the settings of now lie, in cells.
    place() {
      return ["across", "up"].map((part) => {
        const side = this.side(part);
        return Math.max(0, Math.min(CELLS - 1, side.place(this.playground.chosen.hyper[side.name])));
      });
    }

    take(i, j) {
      const clamp = (k) => Math.max(0, Math.min(CELLS - 1, k));
      const [across, up] = [this.side("across"), this.side("up")];
      const { hyper } = this.playground.chosen;
      hyper[up.name] = up.values[clamp(j)];
      hyper[across.name] = across.values[clamp(i)];
      this.playground.showSettings();
      this.playground.race();
    }

    // A row at a time, so that a question about the race never waits long. A newer map stops the older one.
    raced() {
      const { playground } = this;
      if (!playground.part("mapping").open) return;
      const [across, up] = [this.side("across"), this.side("up")];
      for (const { part, values } of [across, up]) {
        playground.part(`${part}-low`).textContent = values[0];
        playground.part(`${part}-high`).textContent = values.at(-1);
      }
      const question = { ...playground.question(), do: "map", detail: null, across };
      question.racers = [question.racers[playground.state.chosen]];
      const height = across.name === up.name ? 1 : CELLS; // a rule with one setting has one row
      const rows = [];
      this.rows = rows;
      const next = () => {
        const row = { name: up.name, values: [up.values[rows.length]] };
        playground.python.ask("map", { ...question, up: row }, (answer) => {
          if (this.rows !== rows || !answer?.loss) return;
          rows.push(answer.loss[0]);
          this.show(rows, height, across, up);
          if (rows.length < height) next();
        });
      };
      next();
    }

    show(rows, height, across, up) {
      const { playground } = this;
      const color = playground.ink("var(--pst-color-primary)");
      draw.map(playground.part("map"), rows, height, playground.minimum, color);
      const cells = rows.flatMap((row, j) => row.map((loss, i) => ({ loss, i, j })));
      const best = cells.reduce((a, b) => (b.loss !== null && !(a?.loss <= b.loss) ? b : a), null);
      const settings = best && new Map([[across.name, across.values[best.i]]]);
      if (best && height > 1) settings.set(up.name, up.values[best.j]);
      const where = best && [...settings].map((pair) => pair.join(" = ")).join(", ");
      const lowest = best ? fill(playground.words.lowest, { loss: short(best.loss), where }) : "";
      playground.part("lowest").textContent = lowest;
      const ring = playground.part("cell");
      const [i, j] = this.place();
      ring.style.left = `${(100 * (i + 0.5)) / CELLS}%`;
      ring.style.top = height === 1 ? "50%" : `${100 * (1 - (j + 0.5) / CELLS)}%`;
      if (rows.length < height) return;
      ring.setAttribute("aria-label", fill(playground.words.map_label, { steps: playground.state.steps, lowest }));
    }
  }

  class OwnLandscape {
    constructor(playground) {
      this.playground = playground;
      playground.on("use", "click", () => this.use());
      playground.on("own", "keydown", (event) => event.key === "Enter" && this.use());
    }

    say(text) {
      this.playground.part("own-error").textContent = text;
    }

    use() {
      const { playground } = this;
      const own = playground.part("own").value;
      const ends = ["x0", "x1", "y0", "y1"].map((name) => playground.part(name).valueAsNumber);
      const window_ = [ends.slice(0, 2), ends.slice(2)];
      const wrong = window_.findIndex(([low, high]) => !(low < high));
      if (wrong >= 0) {
        const [low, high] = window_[wrong];
        return this.say(fill(playground.words.ends, { name: "xy"[wrong], low, high }));
      }
      // The race goes there only if the function has values.
      playground.survey({ landscape: null, own }, window_, (answer) => {
        if (!answer?.values) return this.say(answer ? playground.sentence(answer.error) : playground.words.too_long);
        this.say("");
        playground.settle(null, own, window_);
        playground.renew();
      });
    }
  }

  class Takeaway {
    constructor(playground) {
      this.playground = playground;
      playground.on("copying", "toggle", () => this.showProgram());
      playground.on("copy", "click", () => this.copy(playground.part("python").value));
      playground.on("link", "click", () => this.copy(location.href.split("#")[0] + this.link()));
    }

    // The address follows the race, so that it can be kept or sent; the race a page opens with leaves it alone.
    // It waits for a pause: a browser may refuse an address that changes with every pixel of a drag.
    raced() {
      clearTimeout(this.pause);
      if (this.before) this.pause = setTimeout(() => history.replaceState(null, "", this.link()), 300);
      this.before = true;
      this.showProgram();
    }

    link() {
      return linkOf(this.playground.state, this.playground.racers);
    }

    showProgram() {
      const { playground } = this;
      if (!playground.part("copying").open) return;
      const label = (racer) => playground.label(racer);
      playground.part("python").value = programOf(playground.state, playground.racers, playground.facts, label);
    }

    async copy(text) {
      const said = this.playground.part("copied");
      try {
        await navigator.clipboard.writeText(text);
        said.textContent = this.playground.words.copied;
      } catch {
        said.textContent = this.playground.words.not_copied;
      }
    }
  }

  Object.assign(lossoptPlayground, { panels: [Editor, SettingsMap, OwnLandscape, Takeaway] });
})();
