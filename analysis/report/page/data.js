"use strict";
// The page of a report, drawn from the JSON in the element "data" (see report/data.py, study_data).
// The files data.js, map.js, curves.js, search.js and page.js stand in this order in one script.
// Every text from a study becomes a text node, so that no description can be taken for HTML.

const content = JSON.parse(document.getElementById("data").textContent);
const MOST_MAP_CELLS = 20000, MOST_CURVES = 12;
const LINES = [0, 1, 2, 3, 4, 5].map((i) => `var(--line-${i})`);
let study = null; // the one that is shown: its data, opened by `open`
let state = null; // what is chosen of it

// -- data ---------------------------------------------------------------------------------------------------

/** The array in {type, data}, as `packed` in report/data.py encodes it. */
async function unpack({ type, data }) {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const kinds = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array };
  return new kinds[type](await new Response(stream).arrayBuffer());
}

/** A study with its arrays unpacked; confusion counts stay packed until a cell of their run is chosen. */
async function open(packed) {
  const [run, trained, test, n, correct, right] = await Promise.all(
    ["run", "trained", "test", "n", "correct", "right"].map((name) => packed[name] && unpack(packed[name])));
  const bitsAt = [0]; // where the bits of a cell at an SNR begin in `right`, whole bytes
  for (const count of n) bitsAt.push(bitsAt.at(-1) + Math.ceil(count / 8));
  const fields = await Promise.all(packed.fields.map(async (f) => ({ ...f, codes: await unpack(f.codes) })));
  const firstCell = []; // of every run: the cells of a run are numbered one after another
  run.forEach((r, cell) => (firstCell[r] ??= cell));
  const byName = Object.fromEntries(fields.map((field) => [field.name, field]));
  return { ...packed, run, trained, test, n, correct, right, bitsAt, fields, byName, firstCell, confusions: new Map() };
}

/** Confusion counts of a run, over its cells × SNRs × sent × recognised. */
function confusionOf(of, run) {
  if (!of.confusions.has(run)) of.confusions.set(run, unpack(of.confusion[run]));
  return of.confusions.get(run);
}

// -- statistics ---------------------------------------------------------------------------------------------

/**
 * Of every training, by its seed, a map over the strata of cells (the instances of a test at an SNR), from one SNR's place
 * to another's: what `add(before, place)` makes of the places of counts. Seeds whose runs ended in the same weights are one
 * training.
 */
function strataOf(cells, from, to, add) {
  const levels = study.snrs.length, seeds = new Map(), known = new Set();
  for (const cell of cells) {
    const run = study.runs[study.run[cell]];
    if (!seeds.has(run.seed)) seeds.set(run.seed, { weights: new Set(), strata: new Map() });
    const { weights, strata } = seeds.get(run.seed);
    weights.add(run.weights);
    for (let level = from; level <= to; level++) {
      const place = cell * levels + level, stratum = study.test[cell] * levels + level;
      if (study.n[place]) strata.set(stratum, add(strata.get(stratum), place));
    }
  }
  return new Map([...seeds].sort(([a], [b]) => a - b).filter(([, { weights, strata }]) => {
    const key = [...weights].sort().join(" ");
    return strata.size && !known.has(key) && known.add(key);
  }).map(([seed, { strata }]) => [seed, strata]));
}

/** The counts of cells for each training: a map from stratum to {n, correct, once}. */
function trainings(cells, from, to) {
  const add = (sum = { n: 0, correct: 0 }, place) => ({ n: sum.n + study.n[place], once: sum.once ?? study.n[place],
    correct: sum.correct + study.correct[place] });
  return [...strataOf(cells, from, to, add).values()];
}

/** Counts of cells, pooled over the SNRs from one place to another, with the accuracy's 95 % interval. */
function tally(cells, from = state.from, to = state.to) {
  const each = trainings(cells, from, to), all = new Map();
  for (const strata of each)
    for (const [stratum, { n, correct, once }] of strata) {
      const sum = all.get(stratum) ?? { n: 0, correct: 0, once };
      all.set(stratum, { n: sum.n + n, correct: sum.correct + correct, once });
    }
  const sum = (name) => [...all.values()].reduce((total, counts) => total + counts[name], 0);
  const n = sum("n"), correct = sum("correct");
  return { n, correct, accuracy: correct / n, trainings: each.length, ...interval(each, all, n, correct / n) };
}

/**
 * The 95 % interval of an accuracy, as in analysis.accuracy_by and amc_core/statistics.py: of another training if there
 * are several, else of the network. all: counts of each stratum, summed over the trainings.
 */
function interval(each, all, n, mean) {
  let variance = 0, simple = 0; // of the mean, from the instances, each once: as they are, and as one stratum
  for (const counts of all.values()) {
    const weight = counts.n / n, { once } = counts;
    const drawn = ((counts.correct / counts.n) * once + 2 * mean) / (once + 2);
    const lost = ((1 - 1 / all.size) * once) / (once + 2) ** 2;
    variance += (weight ** 2 * drawn * (1 - drawn)) / once / (1 - lost);
    simple += weight ** 2 / once;
  }
  if (each.length < 2) return wilson(mean, variance > 0 ? (mean * (1 - mean)) / variance : 1 / simple);
  const accuracies = each.map((strata) => [...all].reduce((total, [stratum, counts]) => {
    const own = strata.get(stratum) ?? counts;
    return total + ((counts.n / n) * own.correct) / own.n;
  }, 0));
  const centre = accuracies.reduce((a, b) => a + b) / each.length, freedom = each.length - 1;
  const spread = accuracies.reduce((total, a) => total + (a - centre) ** 2, 0) / freedom / each.length;
  const student = content.student[Math.min(freedom, content.student.length) - 1];
  const half = Math.sqrt(student ** 2 * spread + content.normal ** 2 * variance);
  return { low: Math.max(0, centre - half), high: Math.min(1, centre + half) };
}

/** Wilson's score interval of a proportion p of n. */
function wilson(p, n) {
  const z = content.normal, centre = (p * n + z ** 2 / 2) / (n + z ** 2);
  const half = (z / (n + z ** 2)) * Math.sqrt(n * p * (1 - p) + z ** 2 / 4);
  return { low: centre - half, high: centre + half };
}

/** The places of counts, by seed and stratum; null where a training was tested twice on the same instances. */
function answers(cells, from, to) {
  let twice = false;
  const places = strataOf(cells, from, to, (before, place) => {
    twice ||= before !== undefined;
    return place;
  });
  return twice ? null : places;
}

const ONES = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll("0", "").length);

/** For trainings of two sides tested on the same instances: numbers right on the first side only, second only, tested. */
function discordant(own, other) {
  if (own.size !== other.size) return null;
  const sum = { first: 0, second: 0, n: 0 };
  for (const [stratum, place] of own) {
    const against = other.get(stratum);
    if (against === undefined || study.n[place] !== study.n[against]) return null;
    sum.n += study.n[place];
    for (let i = 0; i < study.bitsAt[place + 1] - study.bitsAt[place]; i++) {
      const [a, b] = [study.right[study.bitsAt[place] + i], study.right[study.bitsAt[against] + i]];
      sum.first += ONES[a & ~b & 255];
      sum.second += ONES[b & ~a & 255];
    }
  }
  return sum;
}

/**
 * Accuracy of cells minus that of others, with its 95 % interval: paired if both were tested on the same instances, as
 * in analysis.significance, else from the bounds of both (Newcombe 1998, method 10).
 */
function difference(cells, others, from = state.from, to = state.to) {
  const sides = study.right ? [answers(cells, from, to), answers(others, from, to)] : [null, null];
  if (sides.every(Boolean)) {
    const [own, other] = sides, single = Math.min(own.size, other.size) === 1;
    const seeds = single ? null : [...own.keys()].filter((seed) => other.has(seed));
    const pairs = single ? [...own.values()].flatMap((a) => [...other.values()].map((b) => [a, b]))
      : seeds.map((seed) => [own.get(seed), other.get(seed)]);
    const counts = pairs.map(([a, b]) => discordant(a, b));
    if (counts.length && counts.every(Boolean)) return paired(counts);
  }
  const [a, b] = [tally(cells, from, to), tally(others, from, to)], value = a.accuracy - b.accuracy;
  return { value, low: value - Math.hypot(a.accuracy - a.low, b.high - b.accuracy),
    high: value + Math.hypot(a.high - a.accuracy, b.accuracy - b.low), trainings: 0 };
}

/** The paired interval: for one training by Bonett and Price 2012, for several that of another training of both. */
function paired(counts) {
  const each = counts.map(({ first, second, n }) => (first - second) / n), seeds = counts.length;
  const value = each.reduce((a, b) => a + b) / seeds;
  const once = counts.reduce((sum, { n }) => sum + n, 0) / seeds;
  const share = (name) => (counts.reduce((sum, count) => sum + count[name] / count.n, 0) / seeds * once + 1) / (once + 2);
  const [own, other] = [share("first"), share("second")], variance = own + other - (own - other) ** 2;
  const bounds = (centre, half) => ({ low: Math.max(-1, centre - half), high: Math.min(1, centre + half) });
  if (seeds === 1) return { value, n: once, trainings: 1,
    ...bounds(own - other, content.normal * Math.sqrt(variance / (once + 2))) };
  const spread = each.reduce((sum, d) => sum + (d - value) ** 2, 0) / (seeds - 1) / seeds;
  const student = content.student[Math.min(seeds - 1, content.student.length) - 1];
  return { value, n: once, trainings: seeds,
    ...bounds(value, Math.sqrt(student ** 2 * spread + content.normal ** 2 * variance / once)) };
}

const percent = (share, digits = 1) => (100 * share).toFixed(digits);
const decibels = (snr) => String(snr).replace("-", "−");
const inDecibels = (snr) => snr === null ? "unknown" : `${decibels(snr)} dB`; // of an SNR that nobody knows
const count = (number) => number.toLocaleString("en");
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 3600) return `${(seconds / 60).toFixed(1)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function snrWords() {
  const [from, to] = [study.snrs[state.from], study.snrs[state.to]];
  if (state.from === state.to) return `SNR ${inDecibels(from)}`;
  return `SNR ${to === null ? inDecibels(from) : decibels(from)} … ${inDecibels(to)}`;
}

// -- elements -----------------------------------------------------------------------------------------------

/** Sets attributes, listeners ("onclick") and styles of an element, and appends its children. */
function put(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "style") Object.assign(element.style, value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}
const el = (tag, attributes = {}, ...children) => put(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  put(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** Replaces the children of an element; null and false are left out. */
function fill(element, ...children) {
  element.replaceChildren();
  return put(element, {}, children);
}

const byId = (id) => document.getElementById(id);

/** Shows a text beside a rectangle of the window, or hides it. */
function tip(text, box) {
  const shown = byId("tip");
  shown.hidden = !text;
  if (!text) return;
  shown.textContent = text;
  const left = Math.min(box.left + box.width / 2 + 12, innerWidth - shown.offsetWidth - 8);
  const below = box.bottom + 8 + shown.offsetHeight < innerHeight;
  Object.assign(shown.style, { left: `${Math.max(8, left)}px`,
    top: `${below ? box.bottom + 8 : box.top - shown.offsetHeight - 8}px` });
}

/** Lets the cells of a table tell `words(cell)` on hover and focus. */
function tipsOn(table, words) {
  const show = (event) => {
    const cell = event.target.closest?.("td");
    tip(cell && words(cell), cell?.getBoundingClientRect());
  };
  for (const name of ["mouseover", "focusin"]) table.addEventListener(name, show);
  for (const name of ["mouseleave", "focusout"]) table.addEventListener(name, () => tip(null));
}

// viridis at 0, 0.1, … 1: lightness rises evenly, the same to colour-blind eyes, and nothing of it is grey
const SHADES = [[68, 1, 84], [72, 36, 117], [65, 68, 135], [53, 95, 141], [42, 120, 142], [33, 145, 140],
  [34, 168, 132], [68, 191, 112], [122, 209, 81], [189, 223, 38], [253, 231, 37]];

/** Relative luminance of a colour (WCAG 2.1). */
function luminance(rgb) {
  const [r, g, b] = rgb.map((value) => (value <= 10 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function shade(share) {
  const x = 10 * Math.min(1, Math.max(0, share)), i = Math.min(9, Math.floor(x));
  return SHADES[i].map((value, k) => Math.round(value + (x - i) * (SHADES[i + 1][k] - value)));
}

/** Paints a cell by a share in [0, 1], with black or white letters, whichever stand out more: at least 4.5 : 1. */
function paint(cell, share) {
  const rgb = shade(share), light = luminance(rgb) + 0.05 > Math.sqrt(1.05 * 0.05);
  cell.style.background = `rgb(${rgb.join(" ")})`;
  cell.classList.toggle("light", light);
  cell.classList.toggle("deep", !light);
}
