"use strict";
// The page of a report, drawn from the JSON in the element "data" (see report/data.py, study_data).
// The files data.js, map.js, curves.js and page.js stand in this order in one script.
// Every text from a study becomes a text node, so that no description can be taken for HTML.

const content = JSON.parse(document.getElementById("data").textContent);
const MOST_MAP_CELLS = 20000, MOST_CURVES = 12;
const LINES = [0, 1, 2, 3, 4, 5].map((i) => `var(--line-${i})`);
let study = null; // the one that is shown: its data, opened by `open`
let state = null; // what is chosen of it

// -- data ---------------------------------------------------------------------------------------------------

/** The array of which `packed` in report/data.py made {type, data}. */
async function unpack({ type, data }) {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const kinds = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array };
  return new kinds[type](await new Response(stream).arrayBuffer());
}

/** A study with its arrays unpacked; confusion counts stay packed until a cell of their run is chosen. */
async function open(packed) {
  const [run, trained, test, n, correct] = await Promise.all(["run", "trained", "test", "n", "correct"]
    .map((name) => unpack(packed[name])));
  const fields = await Promise.all(packed.fields.map(async (f) => ({ ...f, codes: await unpack(f.codes) })));
  const firstCell = []; // of every run: the cells of a run are numbered one after another
  run.forEach((r, cell) => (firstCell[r] ??= cell));
  const byName = Object.fromEntries(fields.map((field) => [field.name, field]));
  return { ...packed, run, trained, test, n, correct, fields, byName, firstCell, confusions: new Map() };
}

/** Confusion counts of a run, over its cells × SNRs × sent × recognised. */
function confusionOf(of, run) {
  if (!of.confusions.has(run)) of.confusions.set(run, unpack(of.confusion[run]));
  return of.confusions.get(run);
}

// -- statistics ---------------------------------------------------------------------------------------------

/**
 * What each training made of cells, over the SNRs from one place to another: a map for each seed, from a stratum (the
 * instances of a test at an SNR) to {n, correct, once}. Seeds whose runs ended in the same weights are one training.
 */
function trainings(cells, from, to) {
  const levels = study.snrs.length, seeds = new Map();
  for (const cell of cells) {
    const run = study.runs[study.run[cell]];
    if (!seeds.has(run.seed)) seeds.set(run.seed, { weights: new Set(), strata: new Map() });
    const { weights, strata } = seeds.get(run.seed);
    weights.add(run.weights);
    for (let level = from; level <= to; level++) {
      const n = study.n[cell * levels + level], stratum = study.test[cell] * levels + level;
      if (!n) continue;
      if (!strata.has(stratum)) strata.set(stratum, { n: 0, correct: 0, once: n });
      const counts = strata.get(stratum);
      counts.n += n;
      counts.correct += study.correct[cell * levels + level];
    }
  }
  const known = new Set();
  return [...seeds].sort(([a], [b]) => a - b).map(([, each]) => each).filter(({ weights, strata }) => {
    const key = [...weights].sort().join(" ");
    return strata.size && !known.has(key) && known.add(key);
  }).map(({ strata }) => strata);
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
 * The 95 % interval of an accuracy, as analysis.accuracy_by and amc_core/statistics.py have it: of another training
 * where there are several, else of the network. all: what the trainings made of each stratum together.
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

/** Gives an element these children instead of those it has; what is null or false is left out. */
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

// cividis at 0, 0.1, … 1: dark blue to yellow, of even lightness steps, the same to colour-blind eyes
const CIVIDIS = [[0, 34, 78], [8, 51, 112], [53, 69, 108], [79, 87, 108], [102, 105, 112], [125, 124, 120],
  [148, 142, 119], [174, 163, 113], [200, 184, 102], [229, 207, 82], [254, 232, 56]];

/** Paints a cell by a share in [0, 1], with letters that stand out. */
function paint(cell, share) {
  const x = 10 * Math.min(1, Math.max(0, share)), i = Math.min(9, Math.floor(x));
  const rgb = CIVIDIS[i].map((value, k) => Math.round(value + (x - i) * (CIVIDIS[i + 1][k] - value)));
  cell.style.background = `rgb(${rgb.join(" ")})`;
  cell.classList.toggle("light", x > 5.2);
  cell.classList.toggle("deep", x <= 5.2);
}
