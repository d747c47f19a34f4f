// A race as a link and as a program, and what a link says.
"use strict";
window.lossoptPlayground ??= {};

(() => {
  const { lies } = lossoptPlayground;

  // Numbers and names alone: a link carries no code.
  const linkOf = ({ landscape, start, steps, noise, seed }, racers) => {
    const race = racers
      .filter(({ source }) => source === null)
      .map(({ rule, hyper }) => `${rule}:${Object.entries(hyper).map((pair) => pair.join("=")).join(",")}`);
    const parts = { ...(landscape && { landscape, start }), steps, noise, seed, race: race.join(";") };
    return `#${Object.entries(parts).map((pair) => pair.join("=")).join("&")}`;
  };

  // What a link says, as far as it is right; null if it is not the link of a race.
  const raceOf = (hash, { landscapes, rules, ranges, limits }) => {
    let text;
    try {
      text = decodeURIComponent(hash.slice(1));
    } catch {
      return null;
    }
    const said = new Map(text.split("&").map((part) => part.split(/=(.*)/s).slice(0, 2)));
    if (!said.has("race")) return null;
    const race = { racers: [] };
    if (Object.hasOwn(landscapes, said.get("landscape"))) race.landscape = said.get("landscape");
    for (const [name, [low, high]] of Object.entries(limits)) {
      const value = Number(said.get(name) || NaN);
      if (value >= low && value <= high) race[name] = name === "noise" ? value : Math.round(value);
    }
    const start = (said.get("start") ?? "").split(",").map(Number);
    if (start.length === 2 && start.every((value) => Math.abs(value) < 1e6)) race.start = start;
    for (const racer of said.get("race").split(";").slice(0, 40)) {
      const [rule, settings = ""] = racer.split(":");
      if (!Object.hasOwn(rules, rule)) continue;
      const pairs = settings.split(",").map((pair) => pair.split("="));
      const right = pairs.filter(
        ([name, value]) => Object.hasOwn(rules[rule].hyper, name) && value?.trim() && lies(Number(value), ranges[name]),
      );
      race.racers.push([rule, Object.fromEntries(right.map(([name, value]) => [name, Number(value)]))]);
    }
    return race.racers.length ? race : null;
  };

  const number = (value) => (Number.isInteger(value) && Math.abs(value) < 1e15 ? `${value}.0` : String(value));

  // An entry of the program's dictionary, on as many lines as it needs.
  const entryOf = (key, parts) => {
    const line = `    "${key}": minimize(${parts.flat().join(", ")}),`;
    if (line.length <= 88) return line;
    return [`    "${key}": minimize(`, ...parts.map((part) => `        ${part.join(", ")},`), "    ),"].join("\n");
  };

  // The calls of lossopt that run the same race.
  const programOf = ({ landscape, own, start, steps, noise, seed }, racers, { rules, landscapes, functions }, labelOf) => {
    const imports = new Map([["lossopt", new Set(["minimize"])]]);
    const need = (module, name) => imports.set(module, (imports.get(module) ?? new Set()).add(name));
    const definitions = [];
    if (own === null) need("lossopt.landscapes", landscape);
    else {
      functions.filter((name) => RegExp(`\\b${name}\\b`).test(own)).forEach((name) => need("lossopt.dual", name));
      const body = /\breturn\b/.test(own) ? own : `return ${own}`; // it may be an expression or a body
      definitions.push(`def f(x, y):\n    ${body}`);
    }
    const ground = own === null ? landscapes[landscape].import : "f";
    const calls = racers.map((racer, index) => {
      const { rule, source, hyper } = racer;
      const { family, names } = rules[rule];
      let name = rule;
      if (source === null) need(family === "dialects" ? "lossopt.rules.dialects" : "lossopt.rules", rule);
      else {
        const defined = /^def\s+(\w+)/m.exec(source)?.[1] ?? rule;
        name = `${defined}_edited_${index + 1}`; // the package's rule keeps its own name
        const called = names.filter((each) => each !== defined && RegExp(`\\b${each}\\s*\\(`).test(source));
        called.forEach((each) => need(`lossopt.rules.${family}`, each));
        definitions.push(source.trimEnd().replace(RegExp(`^def\\s+${defined}\\b`, "m"), `def ${name}`));
      }
      const settings = Object.entries(hyper).map(([key, value]) => `${key}=${number(value)}`);
      const noises = noise > 0 ? [[`noise=${number(noise)}`, `rng=np.random.RandomState(${seed})`]] : [];
      return entryOf(labelOf(racer), [[name, ground, "start", "steps"], ...noises, settings]);
    });
    const lines = [...imports].sort().map(([module, from]) => `from ${module} import ${[...from].sort().join(", ")}`);
    return [
      ...(noise > 0 ? ["import numpy as np"] : []),
      ...lines,
      "",
      ...definitions.flatMap((text) => ["", text, ""]),
      ...(definitions.length ? [""] : []),
      `start, steps = (${start.map(number).join(", ")}), ${steps}`,
      "race = {",
      ...calls,
      "}",
      "for name, path in race.items():",
      "    print(name, path.loss[-1])",
      "",
    ].join("\n");
  };

  Object.assign(lossoptPlayground, { linkOf, raceOf, programOf });
})();
