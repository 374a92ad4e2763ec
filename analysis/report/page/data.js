"use strict";
// The page of a report, drawn from the JSON in the element "data" (see report.py, study_data).
// The files data.js, map.js, curves.js and page.js stand in this order in one script.
// Every text from a study becomes a text node, so that no description can be taken for HTML.

const content = JSON.parse(document.getElementById("data").textContent);
const Z = 1.959964; // of the 95 % intervals, as in analysis.tables.wilson
const MOST_MAP_CELLS = 20000, MOST_CURVES = 12;
const LINES = [0, 1, 2, 3, 4, 5].map((i) => `var(--line-${i})`);
let study = null; // the one that is shown: its data, opened by `open`
let state = null; // what is chosen of it

// -- data ---------------------------------------------------------------------------------------------------

/** The array of which `_packed` in report.py made {type, data}. */
async function unpack({ type, data }) {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const kinds = { uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array };
  return new kinds[type](await new Response(stream).arrayBuffer());
}

/** A study with its arrays unpacked; confusion counts stay packed until a cell of their run is chosen. */
async function open(packed) {
  const [run, trained, n, correct] = await Promise.all(["run", "trained", "n", "correct"]
    .map((name) => unpack(packed[name])));
  const fields = await Promise.all(packed.fields.map(async (f) => ({ ...f, codes: await unpack(f.codes) })));
  const firstCell = []; // of every run: the cells of a run are numbered one after another
  run.forEach((r, cell) => (firstCell[r] ??= cell));
  const byName = Object.fromEntries(fields.map((field) => [field.name, field]));
  return { ...packed, run, trained, n, correct, fields, byName, firstCell, confusions: new Map() };
}

/** Confusion counts of a run, over its cells × SNRs × sent × recognised. */
function confusionOf(of, run) {
  if (!of.confusions.has(run)) of.confusions.set(run, unpack(of.confusion[run]));
  return of.confusions.get(run);
}

// -- statistics ---------------------------------------------------------------------------------------------

/** Counts of cells, pooled over the SNRs from one place to another. */
function tally(cells, from = state.from, to = state.to) {
  const levels = study.snrs.length;
  let n = 0, correct = 0;
  for (const cell of cells)
    for (let i = cell * levels + from; i <= cell * levels + to; i++) {
      n += study.n[i];
      correct += study.correct[i];
    }
  return { n, correct, accuracy: correct / n, ...wilson(correct, n) };
}

/** Wilson's score interval of a proportion. */
function wilson(correct, n) {
  const centre = (correct + Z ** 2 / 2) / (n + Z ** 2);
  const half = (Z / (n + Z ** 2)) * Math.sqrt((correct * (n - correct)) / n + Z ** 2 / 4);
  return { low: centre - half, high: centre + half };
}

const percent = (share, digits = 1) => (100 * share).toFixed(digits);
const decibels = (snr) => String(snr).replace("-", "−");
const count = (number) => number.toLocaleString("en");
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

function duration(seconds) {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 3600) return `${(seconds / 60).toFixed(1)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function snrWords() {
  const [from, to] = [study.snrs[state.from], study.snrs[state.to]];
  return state.from === state.to ? `SNR ${decibels(from)} dB` : `SNR ${decibels(from)} … ${decibels(to)} dB`;
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
