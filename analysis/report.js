"use strict";
// The page of a report, drawn from the JSON in the element "data" (see report.py, study_data).
// From top to bottom: data, statistics, elements, heat map, confusion matrix, curves, tables, the page itself.
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
  const [run, seen, n, correct] = await Promise.all(["run", "seen", "n", "correct"].map((name) => unpack(packed[name])));
  const fields = await Promise.all(packed.fields.map(async (f) => ({ ...f, codes: await unpack(f.codes) })));
  const firstCell = []; // of every run: the cells of a run are numbered one after another
  run.forEach((r, cell) => (firstCell[r] ??= cell));
  const byName = Object.fromEntries(fields.map((field) => [field.name, field]));
  return { ...packed, run, seen, n, correct, fields, byName, firstCell, confusions: new Map() };
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
const proportion = (p) => `${percent(p.accuracy)} % (${percent(p.low)} … ${percent(p.high)} %), n = ${count(p.n)}`;
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
const byId = (id) => document.getElementById(id);

/** Shows a text beside a rectangle of the window, or hides it. */
function tip(text, box) {
  const shown = byId("tip");
  shown.hidden = !text;
  if (!text) return;
  shown.textContent = text;
  const left = Math.min(box.left + box.width / 2 + 12, innerWidth - shown.offsetWidth - 8);
  const below = box.bottom + 8 + shown.offsetHeight < innerHeight;
  Object.assign(shown.style, { left: `${Math.max(8, left)}px`, top: `${below ? box.bottom + 8 : box.top - shown.offsetHeight - 8}px` });
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

// -- axes of the heat map -----------------------------------------------------------------------------------

const varied = (side) => study.fields.filter((f) => f.side === side && !["model", "seed"].includes(f.name)).map((f) => f.name);

/** What can stand along rows or columns: {id, label, names of fields}. "rest" is known once the columns are. */
function axes() {
  const together = [["train", "training setting"], ["test", "test setting"]]
    .map(([side, label]) => ({ id: side, label: `${label}, all of it`, names: varied(side) }))
    .filter((axis) => axis.names.length > 1);
  const single = study.fields.map((field) => ({ id: field.name, label: field.label, names: [field.name] }));
  return [...together, ...single, { id: "none", label: "nothing (pooled)", names: [] }];
}
const axis = (id) => axes().find((each) => each.id === id);

/** The fields along the rows and columns, "rest" being whatever varies and is not along the columns. */
function axisNames() {
  const columns = axis(state.columns).names;
  const rest = [...varied("train"), ...varied("test")].filter((name) => !columns.includes(name));
  return { rows: state.rows === "rest" ? rest : axis(state.rows).names, columns };
}

/** A field is along one axis only: where both have it, the axis that was not touched gives way. */
function separate(touched) {
  if (state.rows === "rest" || touched === null) return;
  const other = touched === "rows" ? "columns" : "rows";
  const taken = axis(state[touched]).names;
  const free = (each) => each && !each.names.some((name) => taken.includes(name));
  if (!free(axis(state[other])))
    state[other] = other === "rows" ? "rest" : axes().find((each) => free(each) && each.id !== "none")?.id ?? "none";
}

/** The columns with which the page opens: the test field with most values, as in analysis.train_test. */
function usualColumns() {
  const most = (side) => varied(side).map((name) => study.byName[name]).sort((a, b) => b.values.length - a.values.length)[0];
  return (most("test") ?? most("train"))?.name ?? "none";
}

const codesOf = (cell, names) => names.map((name) => study.byName[name].codes[cell]);

/** Distinct combinations of codes among cells, in order; as {codes, key}. */
function combinations(cells, names) {
  const found = new Map();
  for (const cell of cells) {
    const codes = codesOf(cell, names), key = codes.join(" ");
    if (!found.has(key)) found.set(key, { codes, key });
  }
  return [...found.values()].sort((a, b) => a.codes.reduce((sign, code, i) => sign || code - b.codes[i], 0));
}

/** "training channel awgn, test samples per symbol L 8"; "train channel awgn, test L 8" with the names called "short" */
const told = (names, codes, called = "label") =>
  names.map((name, i) => `${study.byName[name][called]} ${study.byName[name].values[codes[i]]}`).join(", ");

/** The panels of the heat map: one for each model, unless models are along an axis; each with its rows and groups. */
function panels() {
  const { rows, columns } = axisNames();
  const model = study.byName.model, onAxis = [...rows, ...columns].includes("model");
  const filters = Object.entries(state.filters).filter(([name]) => ![...rows, ...columns].includes(name));
  const kept = [...study.run.keys()].filter((cell) =>
    filters.every(([name, code]) => study.byName[name].codes[cell] === code) &&
    (!model || state.model === "all" || model.codes[cell] === state.model));
  const filtered = filters.map(([name, code]) => told([name], [code], "short"));
  const split = model && !onAxis ? combinations(kept, ["model"]).map(({ codes }) => codes[0]) : [null];
  const acrossColumns = combinations(kept, columns);
  return split.map((code) => {
    const cells = code === null ? kept : kept.filter((cell) => model.codes[cell] === code);
    // A field that varies for another model only would be a row heading that says nothing.
    const own = state.rows === "rest" ? rows.filter((name) => new Set(cells.map((c) => study.byName[name].codes[c])).size > 1) : rows;
    const title = model ? (code === null ? "" : model.values[code]) : study.runs[0].model;
    const groups = new Map();
    for (const cell of cells) {
      const key = `${codesOf(cell, own).join(" ")}|${codesOf(cell, columns).join(" ")}`;
      groups.has(key) ? groups.get(key).push(cell) : groups.set(key, [cell]);
    }
    return { title, filtered, cells, rowNames: own, columnNames: columns, rows: combinations(cells, own), columns: acrossColumns, groups };
  });
}

// -- heat map -----------------------------------------------------------------------------------------------

let squares = []; // of the heat map: {element, panel, row, column (places), cells, words}

function drawHeatMap() {
  const found = panels(), target = byId("panels");
  squares = [];
  const size = found.reduce((sum, panel) => sum + panel.rows.length * panel.columns.length, 0);
  if (size > MOST_MAP_CELLS) {
    target.replaceChildren(el("p", { class: "notice" },
      `These axes make a map of ${count(size)} cells, more than the ${count(MOST_MAP_CELLS)} that can be looked at: choose others.`));
    return;
  }
  target.replaceChildren(...found.map(drawPanel));
  for (const table of target.querySelectorAll("table")) stickRowHeadings(table);
  paintHeatMap();
  // To begin with, where a network was trained: there all that follows has something to show.
  const learnt = (square) => square.cells.some((cell) => study.runs[study.run[cell]].epochs > 1);
  const trained = squares.filter((square) => square.cells.every((cell) => study.seen[cell]));
  choose([trained.find(learnt) ?? trained[0] ?? squares[0]].filter(Boolean));
}

function drawPanel(panel) {
  const columnHead = panel.columnNames.map((name, level) => el("tr", {},
    level === 0 && panel.rowNames.map((row) =>
      el("th", { class: "name", scope: "col", rowspan: panel.columnNames.length, title: study.byName[row].label }, study.byName[row].short)),
    !panel.rowNames.length && level === 0 && el("th", { class: "name", rowspan: panel.columnNames.length }, ""),
    spans(panel.columns, level).map(({ code, span }) => heading(panel.columns.length, name, code, { scope: "col", colspan: span }))));
  const title = panel.columnNames.map((name) => study.byName[name].label).join(", ") || "all test settings";
  const head = el("thead", {},
    el("tr", {}, el("th", { class: "name", colspan: Math.max(1, panel.rowNames.length), "aria-hidden": true }, ""),
      el("th", { class: "title", scope: "colgroup", colspan: panel.columns.length }, title)), columnHead,
    !panel.columnNames.length && panel.rowNames.length > 0 && el("tr", {},
      panel.rowNames.map((row) => el("th", { class: "name", scope: "col", title: study.byName[row].label }, study.byName[row].short)), el("th", {}, "all")));
  const levels = panel.rowNames.map((_, level) => spans(panel.rows, level));
  const body = panel.rows.map((row, r) => el("tr", {},
    levels.map((level, i) => {
      const start = level.find((each) => each.at === r);
      return start && el("th", { scope: "row", rowspan: start.span, "data-level": i }, study.byName[panel.rowNames[i]].values[start.code]);
    }),
    !panel.rowNames.length && el("th", { scope: "row" }, panel.title || "all"),
    panel.columns.map((column, c) => drawSquare(panel, row, r, column, c))));
  const dense = panel.columns.length > 16 || panel.rows.length > 40;
  const table = el("table", { class: dense ? "map dense" : "map", role: "grid", "aria-label": `Accuracy ${panel.title}`,
    onclick: (event) => pick(event, event.target.closest("td")), onkeydown: walk }, head, el("tbody", {}, body));
  tipsOn(table, (cell) => squareOf(cell)?.words());
  const first = table.querySelector("td:not(.empty)");
  if (first) first.tabIndex = 0;
  return el("section", {}, panel.title && el("h3", {}, panel.title), el("div", { class: "scroll" }, table));
}

function drawSquare(panel, row, r, column, c) {
  const cells = panel.groups.get(`${row.key}|${column.key}`);
  if (!cells) return el("td", { class: "empty", role: "gridcell", "aria-label": "not in the store" });
  const seen = cells.filter((cell) => study.seen[cell]).length;
  const kind = seen === cells.length ? "trained" : seen ? "partly" : "";
  const element = el("td", { class: kind, role: "gridcell", tabindex: -1, "data-square": squares.length });
  const labels = [panel.title, ...panel.filtered, told(panel.rowNames, row.codes, "short"), told(panel.columnNames, column.codes, "short")];
  const label = labels.filter(Boolean).join(", ");
  const frame = { trained: "\nthe setting of training", partly: "\nin part the setting of training" }[kind] ?? "";
  const runs = new Set(cells.map((cell) => study.run[cell])).size;
  const words = () => {
    const { n, correct, accuracy, low, high } = tally(cells);
    if (!n) return `${label}\nno counts at ${snrWords()}`;
    return `${label}\n${percent(accuracy)} % (95 % interval ${percent(low)} … ${percent(high)} %)\n` +
      `${count(correct)} of ${count(n)} right, ${plural(runs, "run")}, ${plural(cells.length, "cell")}, ${snrWords()}${frame}`;
  };
  squares.push({ element, panel, row: r, column: c, rowKey: row.key, cells, label, words, dense: panel.columns.length > 16 });
  return element;
}

const squareOf = (element) => squares[element?.dataset.square];

/** Runs of the same code at a level of a multi-level heading, within equal codes of the levels before. */
function spans(entries, level) {
  const found = [];
  entries.forEach((entry, at) => {
    const prefix = entry.codes.slice(0, level + 1).join(" "), last = found.at(-1);
    if (last?.prefix === prefix) last.span++;
    else found.push({ prefix, at, span: 1, code: entry.codes[level] });
  });
  return found;
}

function heading(columns, name, code, attributes) {
  const text = study.byName[name].values[code];
  const upright = attributes.colspan === 1 && text.length * columns > 110 && text.length > 4;
  return el("th", { ...attributes, class: upright ? "upright" : null }, el("span", {}, text));
}

/** Row headings of several levels stay in sight, each to the right of those before. */
function stickRowHeadings(table) {
  const heads = [...table.querySelectorAll("tbody tr:first-child th")], names = [...table.querySelectorAll("thead th.name")].slice(1);
  let left = 0;
  heads.forEach((head, level) => {
    for (const each of table.querySelectorAll(`th[data-level="${level}"]`)) each.style.left = `${left}px`;
    if (names[level]) names[level].style.left = `${left}px`;
    left += head.offsetWidth;
  });
}

/** Fills in numbers and colours for the chosen SNRs. */
function paintHeatMap() {
  const shares = squares.map((square) => tally(square.cells).accuracy);
  const known = shares.filter((share) => !Number.isNaN(share));
  const fitted = state.fitted && known.length > 1;
  const lowest = fitted ? Math.floor(10 * Math.min(...known)) / 10 : 0;
  const highest = fitted ? Math.max(lowest + 0.1, Math.ceil(10 * Math.max(...known)) / 10) : 1;
  squares.forEach((square, i) => {
    const { element } = square, share = shares[i];
    element.textContent = Number.isNaN(share) ? "" : percent(share, square.dense ? 0 : 1);
    element.setAttribute("aria-label", square.words().replaceAll("\n", "; "));
    Number.isNaN(share) ? (element.style.background = "") : paint(element, (share - lowest) / (highest - lowest));
  });
  byId("scale-low").textContent = `${percent(lowest, 0)} %`;
  byId("scale-high").textContent = `${percent(highest, 0)} %`;
}

/** A click or Enter chooses a square; with Shift or Ctrl it is added, or taken away. */
function pick(event, element) {
  const square = squareOf(element);
  if (!square) return;
  const adds = event.shiftKey || event.ctrlKey || event.metaKey;
  const others = state.chosen.filter((each) => each !== square);
  if (!adds) choose([square]);
  else if (others.length < state.chosen.length) choose(others.length ? others : [square]);
  else choose([...others, square]);
  element.focus({ preventScroll: true });
}

/** Arrow keys, Home and End go from square to square, over the empty ones; Enter and the space bar choose. */
function walk(event) {
  const square = squareOf(event.target.closest("td"));
  if (!square) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    return pick(event, square.element);
  }
  const own = squares.filter((each) => each.panel === square.panel);
  const inRow = own.filter((each) => each.row === square.row), inColumn = own.filter((each) => each.column === square.column);
  const next = {
    ArrowRight: () => inRow.find((each) => each.column > square.column),
    ArrowLeft: () => inRow.findLast((each) => each.column < square.column),
    ArrowDown: () => inColumn.find((each) => each.row > square.row),
    ArrowUp: () => inColumn.findLast((each) => each.row < square.row),
    Home: () => inRow[0],
    End: () => inRow.at(-1),
  }[event.key]?.();
  if (!next) return;
  event.preventDefault();
  square.element.tabIndex = -1;
  next.element.tabIndex = 0;
  next.element.focus();
}

/** Makes squares the chosen ones; the last of them is the one whose confusion matrix is shown. */
function choose(chosen) {
  state.chosen = chosen;
  for (const { element } of squares) element.classList.remove("chosen");
  for (const { element } of chosen) {
    element.classList.add("chosen");
    element.setAttribute("aria-selected", "true");
    for (const other of element.closest("table").querySelectorAll('td[tabindex="0"]')) other.tabIndex = -1;
    element.tabIndex = 0;
  }
  for (const { element } of squares) if (!element.classList.contains("chosen")) element.removeAttribute("aria-selected");
  drawLearningCurves();
  drawRuns();
  drawChosen();
}

/** Everything that depends on the chosen squares and SNRs. */
function drawChosen() {
  const square = state.chosen.at(-1), target = byId("chosen");
  if (!square) return target.replaceChildren();
  const counts = tally(square.cells);
  target.replaceChildren(el("strong", {}, counts.n ? `${percent(counts.accuracy)} %` : "no counts"),
    counts.n ? ` 95 % interval ${percent(counts.low)} … ${percent(counts.high)} %; ${count(counts.correct)} of ${count(counts.n)} right` : "",
    el("br"), `${square.label || "all settings"}, ${snrWords()}. `,
    el("span", { class: "unprinted small" }, "Below: ", [["confusion", "confusion matrix"], ["snr-curves", "SNR curves"], ["learning", "learning curves"], ["reproduce", "how to reproduce"]]
      .map(([id, text], i) => [i ? ", " : "", el("a", { href: `#at-${id}` }, text)])));
  drawConfusion(square);
  drawSnrCurves();
  drawReproduction(square);
}

// -- confusion matrix ---------------------------------------------------------------------------------------

/** Confusion counts of cells at the chosen SNRs, summed: an array over sent × recognised. */
async function pooledConfusion(cells) {
  const levels = study.snrs.length, side = study.modulations.length, area = side * side, of = study;
  const { from, to } = state, sum = new Float64Array(area);
  for (const cell of cells) {
    const counts = await confusionOf(of, of.run[cell]);
    const start = (cell - of.firstCell[of.run[cell]]) * levels;
    for (let level = start + from; level <= start + to; level++)
      for (let i = 0; i < area; i++) sum[i] += counts[level * area + i];
  }
  return sum;
}

let latestConfusion = 0; // unpacking takes a moment: only the matrix asked for last is drawn

async function drawConfusion(square) {
  const target = byId("confusion");
  if (!study.confusion) {
    target.replaceChildren(el("p", { class: "notice" },
      `The confusion counts would add ${(study.confusion_characters / 1e6).toFixed(1)} MB to this page, which takes at most ` +
      `${(content.largest / 1e6).toFixed(0)} MB of them, so they are left out. The table "confusion" of the store has them.`));
    return;
  }
  const mine = ++latestConfusion, names = study.modulations, side = names.length;
  const sum = await pooledConfusion(square.cells);
  if (mine !== latestConfusion) return;
  const totals = names.map((_, sent) => sum.subarray(sent * side, (sent + 1) * side).reduce((a, b) => a + b, 0));
  const share = (sent, seen) => (totals[sent] ? sum[sent * side + seen] / totals[sent] : 0);
  const words = (sent, seen) => `${names[sent]} sent, ${names[seen]} recognised\n` +
    `${count(sum[sent * side + seen])} of ${count(totals[sent])}: ${percent(share(sent, seen))} %`;
  const cellAt = (sent, seen) => {
    const number = sum[sent * side + seen];
    const shown = state.counts ? count(number) : percent(share(sent, seen), 0);
    const cell = el("td", { class: number ? null : "zero", "data-sent": sent, "data-seen": seen,
      "data-count": number, "aria-label": words(sent, seen).replace("\n", ": ") }, shown);
    paint(cell, share(sent, seen));
    if (!number) cell.classList.remove("deep", "light");
    return cell;
  };
  const table = el("table", { class: side > 12 ? "map confusion many" : "map confusion", "aria-label": "Confusion matrix" },
    el("thead", {},
      el("tr", {}, el("th", { class: "name" }, "sent ↓"), el("th", { class: "title", colspan: side, scope: "colgroup" }, "recognised as →"), el("th")),
      el("tr", {}, el("th", { class: "name" }), names.map((name) => el("th", { scope: "col", class: "upright" }, el("span", {}, name))), el("th", { scope: "col" }, "n"))),
    el("tbody", {}, names.map((name, sent) => el("tr", {}, el("th", { scope: "row" }, name),
      names.map((_, seen) => cellAt(sent, seen)), el("th", { class: "total" }, count(totals[sent]))))));
  tipsOn(table, (cell) => words(+cell.dataset.sent, +cell.dataset.seen));
  const mistakes = names.flatMap((_, sent) => names.map((_, seen) => [sent, seen])).filter(([sent, seen]) => sent !== seen && share(sent, seen) > 0)
    .sort((a, b) => share(...b) - share(...a)).slice(0, 5);
  target.replaceChildren(
    el("p", { class: "muted small" }, `${square.label || "all settings"}, ${snrWords()}. ${state.counts ? "Counts" : "In % of the instances sent"}; coloured from 0 to 100 % of a row.`),
    el("div", { class: "scroll" }, table),
    mistakes.length > 0 && el("p", { class: "small" }, "Most frequent mistakes: ",
      mistakes.map(([sent, seen]) => `${names[sent]} taken for ${names[seen]} (${percent(share(sent, seen), 0)} %)`).join(", "), "."));
}

// -- curves -------------------------------------------------------------------------------------------------

/** Round numbers from low to high, about `wanted` of them. */
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) found.push(+(k * step).toPrecision(12));
  return found;
}

/**
 * A line chart with legend and, folded, its numbers as a table.
 * curves: [{name, x, y, low?, high?, colour?, dashed?, unlisted?, other?, end?, dot? (a place in x)}]; missing values
 * are null; `end` is written where the curve ends, if every curve has one and they are few; others are grey.
 */
function chart({ label, curves, xLabel, yLabel, yRange, yTold, range, chance }) {
  const ends = curves.length <= 10 && curves.every((c) => c.end != null);
  const [W, H, left, right, top, bottom] = [640, 340, 68, ends ? 62 : 14, 14, 46];
  const xs = [...new Set(curves.flatMap((c) => c.x))].sort((a, b) => a - b), ys = curves.flatMap((c) => c.y).filter((v) => v != null);
  const [xLow, xHigh] = xs.length > 1 ? [xs[0], xs.at(-1)] : [xs[0] - 1, xs[0] + 1];
  const [yLow, yHigh] = yRange ?? [Math.min(0, ...ys), Math.max(...ys) * 1.05 || 1];
  const X = (x) => left + ((x - xLow) / (xHigh - xLow)) * (W - left - right);
  const Y = (y) => H - bottom - ((y - yLow) / (yHigh - yLow)) * (H - top - bottom);
  const line = (points) => points.map(([x, y], i) => `${i && points[i - 1][1] != null ? "L" : "M"}${X(x).toFixed(1)} ${Y(y).toFixed(1)}`);
  const path = (c) => line(c.x.map((x, i) => [x, c.y[i]]).filter(([, y]) => y != null)).join("");
  const interval = (c) => `${line(c.x.map((x, i) => [x, c.high[i]])).join("")}${line(c.x.map((x, i) => [x, c.low[i]]).reverse()).join("").replace("M", "L")}Z`;
  const xTicks = xs.length <= 14 ? xs : ticks(xLow, xHigh, 8).filter(Number.isInteger);
  const groups = curves.map((c) => svg("g", {},
    c.low && !c.other && c.x.length > 1 && svg("path", { class: "interval", d: interval(c), style: { fill: c.colour } }),
    svg("path", { class: `curve ${c.dashed ? "dashed" : ""} ${c.other ? "other" : ""}`, d: path(c), style: c.other ? {} : { stroke: c.colour } }),
    c.x.map((x, i) => c.y[i] != null && (c.x.length === 1 || c.dot === i) &&
      svg("circle", { class: "dot", cx: X(x), cy: Y(c.y[i]), r: 5, style: { fill: c.colour ?? "var(--muted)" } }))));
  const places = []; // of the labels at the ends of curves, moved down where they would overlap
  for (const [y, k] of ends ? curves.map((c, k) => [Y(c.y.at(-1)), k]).sort((a, b) => a[0] - b[0]) : [])
    places.push({ k, y: Math.max(y, (places.at(-1)?.y ?? -99) + 14) });
  const spill = Math.max(0, (places.at(-1)?.y ?? 0) - (H - bottom)); // back up, where that goes below the axis
  const ordered = [...groups.keys()].sort((a, b) => !!curves[b].other - !!curves[a].other); // the chosen ones on top
  const drawing = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label },
    range && svg("rect", { class: "range", x: X(range[0]) - 4, width: X(range[1]) - X(range[0]) + 8, y: top, height: H - top - bottom }),
    ticks(yLow, yHigh, 5).map((y) => [svg("line", { class: "grid", x1: left, x2: W - right, y1: Y(y), y2: Y(y) }),
      svg("text", { x: left - 8, y: Y(y) + 4, "text-anchor": "end" }, yTold(y))]),
    xTicks.map((x) => svg("text", { x: X(x), y: H - bottom + 20, "text-anchor": "middle" }, decibels(x))),
    svg("line", { class: "axis", x1: left, x2: W - right, y1: H - bottom, y2: H - bottom }),
    chance != null && [svg("line", { class: "chance", x1: left, x2: W - right, y1: Y(chance), y2: Y(chance) }),
      svg("text", { x: W - right - 4, y: Y(chance) - 5, "text-anchor": "end" }, "chance")],
    svg("text", { x: (left + W - right) / 2, y: H - 6, "text-anchor": "middle" }, xLabel),
    svg("text", { transform: `translate(14 ${(H - bottom + top) / 2}) rotate(-90)`, "text-anchor": "middle" }, yLabel),
    ordered.map((i) => groups[i]),
    places.map(({ k, y }) => svg("text", { x: W - right + 8, y: y + 4 - spill, style: curves[k].other ? {} : { fill: curves[k].colour, fontWeight: 600 } }, curves[k].end)));
  const light = (i) => groups.forEach((group, k) => group.classList.toggle("lit", k === i));
  drawing.addEventListener("mousemove", (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
    let best = { distance: 30 };
    curves.forEach((c, k) => c.x.forEach((x, i) => {
      const distance = c.y[i] == null ? Infinity : Math.hypot(X(x) - point.x, Y(c.y[i]) - point.y);
      if (distance < best.distance) best = { distance, k, i };
    }));
    light(best.k);
    const c = curves[best.k];
    tip(c && `${c.name}\n${xLabel} ${c.x[best.i]}: ${yTold(c.y[best.i], 1)}` + (c.low ? ` (${yTold(c.low[best.i], 1)} … ${yTold(c.high[best.i], 1)})` : ""),
      { left: event.clientX, width: 0, top: event.clientY - 6, bottom: event.clientY + 6 });
  });
  drawing.addEventListener("mouseleave", () => (light(-1), tip(null)));
  const legend = el("ul", { class: "legend" }, curves.map((c, i) => !c.unlisted && el("li", { onmouseenter: () => light(i), onmouseleave: () => light(-1) },
    el("i", { class: c.other ? "other" : null, style: c.other ? {} : { borderTopColor: c.colour } }), c.name)));
  const numbers = el("details", { class: "unprinted" }, el("summary", {}, "These numbers as a table"));
  numbers.addEventListener("toggle", () => { // filled when it is opened first
    if (numbers.children.length > 1) return;
    numbers.append(el("div", { class: "scroll tall" }, el("table", { class: "plain" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, xLabel), curves.map((c) => el("th", { scope: "col", class: "number" }, c.name)))),
      el("tbody", {}, xs.map((x) => el("tr", {}, el("th", { scope: "row" }, decibels(x)), curves.map((c) => {
        const y = c.y[c.x.indexOf(x)];
        return el("td", { class: "number" }, y == null ? "" : yTold(y, 1));
      })))))));
  });
  return [drawing, curves.length <= 24 && legend, numbers];
}

const asPercent = (share, digits = 0) => `${percent(share, digits)} %`;

/** Accuracy against SNR of the chosen squares, and of the others in their rows. */
function drawSnrCurves() {
  const rows = new Set(state.chosen.map((square) => `${squareRow(square)}`));
  const others = squares.filter((square) => !state.chosen.includes(square) && rows.has(squareRow(square)));
  const several = rows.size > 1, severalPanels = new Set(state.chosen.map((square) => square.panel)).size > 1;
  const curve = (square, i) => {
    const points = study.snrs.map((x, level) => ({ x, ...tally(square.cells, level, level) })).filter((point) => point.n);
    const row = told(square.panel.rowNames, square.panel.rows[square.row].codes, "short");
    const column = told(square.panel.columnNames, square.panel.columns[square.column].codes, "short");
    const name = [several && severalPanels && square.panel.title, (several || !column) && row, column].filter(Boolean).join(", ") || square.panel.title;
    const values = (key) => points.map((point) => point[key]);
    return { name, x: values("x"), y: values("accuracy"), low: values("low"), high: values("high"), other: i === null, colour: LINES[i % LINES.length],
      end: several || !column ? null : square.panel.columnNames.map((field, j) => study.byName[field].values[square.panel.columns[square.column].codes[j]]).join(", ").slice(0, 9) };
  };
  const row = state.chosen.at(-1);
  byId("snr-curves").replaceChildren(
    el("p", { class: "muted small" }, [row.panel.title, told(row.panel.rowNames, row.panel.rows[row.row].codes, "short")].filter(Boolean).join(", "),
      others.length ? `: the chosen ${state.chosen.length > 1 ? "cells" : "cell"} (coloured, with 95 % intervals) and the others in the row (grey).` : "."),
    ...chart({
      label: "Accuracy against SNR of the chosen cells", xLabel: "SNR in dB", yLabel: "accuracy", yRange: [0, 1], yTold: asPercent,
      curves: [...state.chosen.map(curve), ...others.map((square) => curve(square, null))],
      range: state.from === 0 && state.to === study.snrs.length - 1 ? null : [study.snrs[state.from], study.snrs[state.to]],
      chance: 1 / study.modulations.length,
    }).filter(Boolean));
}

const squareRow = (square) => `${square.panel.title}|${square.rowKey}`;

/** The runs behind all squares in the rows of the chosen ones. */
function runsOfRows() {
  const rows = new Set(state.chosen.map(squareRow)), runs = new Set();
  for (const square of squares) if (rows.has(squareRow(square))) for (const cell of square.cells) runs.add(study.run[cell]);
  return [...runs].sort((a, b) => a - b);
}

/** A run by what tells it from others: "Mod-LCNN, train channel awgn, seed 1" */
function runWords(run, others) {
  const differing = settingFields().map((field, i) => others.some((other) => other.settings[i] !== run.settings[i]) && `${field.short} ${run.settings[i]}`);
  return [others.some((other) => other.model !== run.model) && run.model, ...differing, `seed ${run.seed}`].filter(Boolean).join(", ");
}
const settingFields = () => study.fields.filter((field) => field.side === "train" && !["model", "seed"].includes(field.name));

function drawLearningCurves() {
  const target = byId("learning"), all = runsOfRows().map((i) => study.runs[i]);
  const learnt = all.filter((run) => run.epochs > 1), shown = learnt.slice(0, MOST_CURVES);
  if (!shown.length)
    return target.replaceChildren(el("p", { class: "muted" }, all.length ? `${all[0].model} was fitted in one step, or trained for one epoch: there is no curve.` : "No cell is chosen."));
  const curves = (part) => shown.flatMap((run, i) => ["validation", "train"].map((side) => ({
    name: `${runWords(run, shown)}${side === "train" ? ", training" : ""}`, unlisted: side === "train",
    x: run.curves.epoch, y: run.curves[`${side}_${part}`], colour: LINES[i % LINES.length], dashed: side === "train",
    dot: side === "validation" ? run.curves.epoch.indexOf(run.kept_epoch) : null,
  })));
  const number = (value) => +value.toPrecision(3) + "";
  target.replaceChildren(
    el("p", { class: "muted small" }, `${[...new Set(learnt.map((run) => run.model))].join(", ")}: the ${learnt.length > 1 ? plural(learnt.length, "run") : "run"} of the chosen row; validation solid, training dashed; the dot is the epoch whose weights were kept.`,
      learnt.length > shown.length && ` The first ${shown.length} are drawn: choose a row with fewer to see the others.`),
    el("div", { class: "beside" },
      el("section", {}, el("h3", {}, "Loss"), ...chart({ label: "Loss per epoch", curves: curves("loss"), xLabel: "epoch", yLabel: "cross-entropy, nats", yTold: number }).filter(Boolean)),
      el("section", {}, el("h3", {}, "Accuracy"), ...chart({ label: "Accuracy per epoch", curves: curves("accuracy"), xLabel: "epoch", yLabel: "accuracy", yRange: [0, 1], yTold: asPercent }).filter(Boolean))));
}

// -- tables -------------------------------------------------------------------------------------------------

/** The table of runs, sorted by the column that was clicked last; runs of the chosen row are shaded. */
function drawRuns() {
  const chosen = new Set(runsOfRows());
  const columns = [
    ["model", (run) => run.model],
    ...settingFields().map((field, i) => [field.short, (run) => run.settings[i] ?? "–", field.values]),
    ["seed", (run) => run.seed], ["parameters", (run) => run.parameters, null, count],
    ["kept epoch", (run) => run.kept_epoch, null, (value, run) => `${value} of ${run.epochs}`],
    ["validation accuracy", (run) => run.validation_accuracy, null, (value) => (value == null ? "" : `${percent(value)} %`)],
    ["training time", (run) => run.seconds, null, duration], ["device", (run) => run.device], ["finished (UTC)", (run) => run.finished], ["key", (run) => run.key],
  ];
  const { column, descending } = state.sort;
  const rank = (run) => {
    const [, value, order] = columns[column] ?? [null, () => 0];
    return order ? order.indexOf(value(run)) : value(run);
  };
  const order = study.runs.map((run, i) => [run, i]);
  if (column !== null) order.sort(([a], [b]) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0) * (descending ? -1 : 1));
  const isNumber = (i) => typeof columns[i][1](study.runs[0]) === "number";
  const sortBy = (i) => {
    state.sort = { column: i, descending: column === i && !descending };
    drawRuns();
    byId("runs").querySelectorAll("th button")[i].focus();
  };
  byId("runs").replaceChildren(el("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": "Runs" }, el("table", { class: "plain" },
    el("thead", {}, el("tr", {}, columns.map(([label], i) => el("th", { scope: "col", class: isNumber(i) ? "number" : null,
      "aria-sort": column === i ? (descending ? "descending" : "ascending") : null }, el("button", { type: "button", onclick: () => sortBy(i) }, label))))),
    el("tbody", {}, order.map(([run, place]) => el("tr", { class: chosen.has(place) ? "chosen" : null, "data-run": run.key },
      columns.map(([label, value, , format = String], i) => el("td", { class: isNumber(i) ? "number" : null },
        label === "key" ? el("code", {}, run.key) : format(value(run), run)))))))));
}

function drawReproduction(square) {
  const { store, study: name, scale } = study.load, quoted = JSON.stringify;
  const runs = [...new Set(square.cells.map((cell) => study.run[cell]))].map((i) => study.runs[i].key);
  const cells = square.cells.map((cell) => study.cells[cell]);
  const list = (keys) => (keys.length === 1 ? `[${quoted(keys[0])}]` : `[\n    ${keys.map(quoted).join(",\n    ")},\n]`);
  const devices = [...new Set(study.runs.map((run) => `${run.device}, torch ${run.torch}`))].join("; ");
  byId("reproduce").replaceChildren(
    el("p", {}, `With amc-sweeps ${content.version} (definitions of version ${content.definitions}); computed on ${devices}.`),
    el("pre", { tabindex: 0 }, study.command),
    el("p", {}, `The number that is chosen, ${square.label || "all settings"}, ${snrWords()}, from the tables:`),
    el("pre", { id: "snippet", tabindex: 0 },
      `from analysis import load\n\ncells = load("cells", store=${quoted(store)}, study=${quoted(name)}${scale ? `, scale=${quoted(scale)}` : ""})\n` +
      `chosen = cells[cells["cell"].isin(${list(cells)}) & cells["snr_db"].between(${study.snrs[state.from]}, ${study.snrs[state.to]})]\n` +
      `print(chosen["correct"].sum() / chosen["n"].sum())  # ${tally(square.cells).accuracy.toFixed(6)}`),
    el("p", {}, `Its ${runs.length === 1 ? "run is" : `${runs.length} runs are`} `, runs.slice(0, 30).flatMap((key, i) => [i ? ", " : "", el("code", {}, key)]),
      runs.length > 30 ? " …" : "", `, each in runs/KEY of the store.`),
    el("details", {}, el("summary", {}, "The study file"), el("pre", { tabindex: 0 }, study.source)));
}

function drawComparison() {
  const { columns, rows } = study.comparison;
  const number = (i) => rows.some((row) => typeof row[i] === "number");
  const cell = (value) => (value === null ? "" : typeof value === "number" && !Number.isInteger(value) ? +value.toPrecision(4) + "" : String(value));
  return el("div", { class: "scroll" }, el("table", { class: "plain", id: "comparison" },
    el("thead", {}, el("tr", {}, columns.map((name, i) => el("th", { scope: "col", class: number(i) ? "number" : null }, name.replaceAll("_", " "))))),
    el("tbody", {}, rows.map((row) => el("tr", {}, row.map((value, i) => el("td", { class: number(i) ? "number" : null }, cell(value))))))));
}

// -- the page -----------------------------------------------------------------------------------------------

function summary() {
  const { total, runs, parts, snrs } = study, seconds = runs.reduce((sum, run) => sum + run.seconds, 0);
  const devices = new Map();
  for (const run of runs) devices.set(run.device, (devices.get(run.device) ?? 0) + 1);
  const tile = (term, value, small) => el("div", {}, el("dt", {}, term), el("dd", {}, value, small && el("small", {}, small)));
  const missing = total.runs > runs.length || total.cells > study.cells.length;
  const accuracy = (p) => (p ? [`${percent(p.accuracy)} %`, el("small", {}, `${percent(p.low)} … ${percent(p.high)} %`)] : "–");
  const extreme = (p) => (p ? [el("button", { class: "link", type: "button", onclick: () => lookAt(p.where), title: "choose it in the heat map" }, `${percent(p.accuracy)} %`),
    el("small", {}, told(...settingOf(p.where)))] : "–");
  const settingOf = ({ model, ...where }) => [Object.keys(where), Object.values(where)]; // the model stands in the row
  const testing = [["best", "best unseen setting"], ["worst", "worst unseen setting"]];
  return [
    el("h1", {}, study.name, study.scale && el("span", { class: "muted" }, `, scale ${study.scale}`)),
    study.description && el("p", { class: "description" }, study.description),
    missing && el("p", { class: "notice" }, `${plural(total.runs - runs.length, "run")} and ${plural(total.cells - study.cells.length, "cell")} of this study ` +
      "are not in the store: the page shows what is there. ", el("code", {}, study.command), " computes the rest."),
    el("dl", { class: "tiles" },
      tile("Runs", `${count(runs.length)} of ${count(total.runs)}`, "trained"),
      tile("Cells", `${count(study.cells.length)} of ${count(total.cells)}`, "runs × test settings"),
      tile("Modulations", count(study.modulations.length), study.modulations.join(", ")),
      tile("SNR", snrs.length > 1 ? `${decibels(snrs[0])} … ${decibels(snrs.at(-1))} dB` : `${decibels(snrs[0])} dB`, plural(snrs.length, "value")),
      tile("Instances", count(study.instances), `per modulation, SNR and setting: ${count(parts.train)} to train, ${count(parts.validation)} to validate, ${count(parts.test)} to test`),
      tile("Length", study.lengths.map(count).join(", "), "samples"),
      tile("Seeds", study.seeds.join(", "), "pooled, where they are not an axis"),
      tile("Time", duration(seconds), `of training; last finished ${runs.map((run) => run.finished).sort().at(-1)} UTC`),
      tile("Devices", [...devices.keys()].join(", "), [...devices].map(([, number]) => plural(number, "run")).join(", "))),
    study.fixed.length > 0 && el("p", { class: "muted small" }, `The same everywhere: ${study.fixed.join(", ")}.`),
    el("div", { class: "scroll" }, el("table", { class: "plain", id: "models" },
      el("thead", {}, el("tr", {}, ["model", "where trained", "unseen, mean", ...testing.map(([, label]) => label), "parameters", "runs", "training time"].map((name, i) =>
        el("th", { scope: "col", class: i > 4 ? "number" : null }, name)))),
      el("tbody", {}, study.summary.map((row) => el("tr", {}, el("th", { scope: "row" }, row.model), ["seen", "unseen"].map((key) => el("td", { class: "tight" }, accuracy(row[key]))),
        testing.map(([key]) => el("td", {}, extreme(row[key]))), el("td", { class: "number" }, row.parameters.map(count).join(", ")),
        el("td", { class: "number" }, count(row.runs)), el("td", { class: "number" }, duration(row.seconds))))))),
    el("p", { class: "muted small" }, "Accuracies are pooled over all SNRs and seeds, with 95 % Wilson intervals; unseen is every test setting in which the run was not trained."),
  ];
}

/** Chooses the square of a setting, {name of field: code}, on the axes with which the page opens. */
function lookAt(where) {
  Object.assign(state, { model: "all", rows: "rest", columns: usualColumns(), filters: {} });
  drawControls();
  drawHeatMap();
  const square = squares.find(({ cells }) => Object.entries(where).every(([name, code]) => study.byName[name].codes[cells[0]] === code));
  if (!square) return;
  choose([square]);
  square.element.focus();
  square.element.scrollIntoView({ block: "center" });
}

function select(label, id, options, value, change) {
  const list = el("select", { id, onchange: () => change(list.value) }, options.map(([key, text]) => el("option", { value: key, selected: String(key) === String(value) }, text)));
  return el("label", {}, label, list);
}

/** The controls above the heat map: axes, model, what else to pool over or to pick, and colours. */
function drawControls() {
  const { rows, columns } = axisNames(), options = axes().map(({ id, label }) => [id, label]), model = study.byName.model;
  const again = () => { drawControls(); drawHeatMap(); };
  const setAxis = (which) => (id) => { state[which] = id; separate(which); again(); byId(which).focus(); };
  const free = study.fields.filter(({ name }) => name !== "model" && ![...rows, ...columns].includes(name));
  const filter = (field) => select(field.label, `filter-${field.name}`, [["", "all, pooled"], ...field.values.map((value, code) => [code, value])],
    state.filters[field.name] ?? "", (code) => {
      if (code === "") delete state.filters[field.name];
      else state.filters[field.name] = Number(code);
      again();
      byId(`filter-${field.name}`).focus();
    });
  byId("controls").replaceChildren(
    select("Rows", "rows", [["rest", "all that varies, but the columns"], ...options], state.rows, setAxis("rows")),
    select("Columns", "columns", options, state.columns, setAxis("columns")),
    model ? select("Model", "model", [["all", [...rows, ...columns].includes("model") ? "all" : "all, side by side"], ...model.values.map((value, code) => [code, value])],
      state.model, (value) => { state.model = value === "all" ? value : Number(value); again(); byId("model").focus(); }) : "",
    ...free.map(filter));
}

/** SNRs: all, one, or a range, chosen with sliders. */
function snrControls() {
  const last = study.snrs.length - 1;
  const slider = (id, label) => el("input", { type: "range", id, min: 0, max: last, step: 1, value: id === "snr-to" ? last : 0, "aria-label": label, oninput: () => moved(id) });
  const from = slider("snr-from", "lowest SNR"), to = slider("snr-to", "highest SNR"), out = el("output", { id: "snr-told", for: "snr-from snr-to" });
  const modes = ["all", "one", "range"].map((mode) => el("label", {}, el("input", { type: "radio", name: "snr-mode", value: mode, checked: mode === "all", onchange: () => turned(mode) }),
    { all: "all, pooled", one: "one", range: "from … to" }[mode]));
  const update = () => {
    from.hidden = state.snrMode === "all";
    to.hidden = state.snrMode !== "range";
    from.value = state.from;
    to.value = state.to;
    from.setAttribute("aria-label", state.snrMode === "one" ? "SNR" : "lowest SNR");
    for (const each of [from, to]) each.setAttribute("aria-valuetext", `${study.snrs[each.value]} dB`);
    out.textContent = snrWords();
    paintHeatMap();
    drawChosen();
  };
  const turned = (mode) => {
    state.snrMode = mode;
    if (mode === "all") [state.from, state.to] = [0, last];
    if (mode === "one") state.to = state.from = Math.min(last, state.from || Math.ceil(last / 2));
    if (mode === "range" && state.from === state.to) [state.from, state.to] = [0, last];
    update();
  };
  const moved = (id) => {
    if (state.snrMode === "one") state.from = state.to = +from.value;
    else if (id === "snr-from") [state.from, state.to] = [+from.value, Math.max(+from.value, state.to)];
    else [state.from, state.to] = [Math.min(state.from, +to.value), +to.value];
    update();
  };
  from.hidden = to.hidden = true;
  out.textContent = snrWords();
  return el("div", { id: "snr", class: "group", role: "group", "aria-label": "SNR" }, el("span", {}, "SNR"), last > 0 && [modes, from, to], out);
}

async function show(index) {
  const opened = await open(content.studies[index]), last = opened.snrs.length - 1;
  study = opened;
  state = { model: "all", rows: "rest", columns: null, filters: {}, snrMode: "all", from: 0, to: last, fitted: true, chosen: [], counts: false, sort: { column: null, descending: false } };
  state.columns = usualColumns();
  document.title = `Report: ${study.name}`;
  const section = (title, id, ...before) => el("section", { id: `at-${id}` }, el("h2", {}, title), ...before, el("div", { id }));
  put(byId("page"), {}, [byId("page").replaceChildren(),
    el("header", {}, summary()),
    el("section", { "aria-label": "Accuracy of train × test pairs" },
      el("h2", {}, "Train × test"),
      el("div", { id: "controls", class: "controls" }),
      el("div", { class: "controls", style: { marginTop: ".4rem" } }, snrControls(),
        el("div", { class: "group" }, el("label", {}, el("input", { type: "checkbox", id: "fitted", checked: true, onchange: (event) => { state.fitted = event.target.checked; paintHeatMap(); } }), "colours fitted to the numbers"))),
      el("div", { class: "key" },
        el("span", {}, el("span", { id: "scale-low" }), el("i", { class: "bar" }), el("span", { id: "scale-high" }), " accuracy; numbers are in %"),
        el("span", {}, el("i", { class: "frame" }), "the setting of training"), el("span", {}, el("i", { class: "dashed" }), "in part the setting of training"),
        el("span", { class: "unprinted" }, "Click, or arrow keys and Enter: choose a cell; with Shift: add it.")),
      el("div", { id: "panels", class: "panels" }),
      el("p", { id: "chosen", class: "chosen-cell", role: "status" })),
    el("div", { class: "beside" },
      section("Confusion matrix", "confusion", el("div", { class: "group unprinted" }, el("label", {}, el("input", { type: "checkbox", id: "counts",
        onchange: (event) => { state.counts = event.target.checked; drawConfusion(state.chosen.at(-1)); } }), "show counts instead of %"))),
      section("Accuracy against SNR", "snr-curves")),
    section("Learning curves", "learning"),
    section("Runs", "runs"),
    study.comparison && el("section", {}, el("h2", {}, "Beside the papers"), drawComparison()),
    section("How to reproduce", "reproduce")]);
  drawControls();
  drawHeatMap();
  for (const [i, link] of [...document.querySelectorAll("#studies a")].entries())
    i === index ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
}

/** With several studies, the address's fragment says which is shown. */
function follow() {
  const asked = /^#study-(\d+)$/.exec(location.hash)?.[1] ?? 0;
  if (study === null || content.studies[asked] !== follow.shown) {
    follow.shown = content.studies[asked] ?? content.studies[0];
    show(content.studies.indexOf(follow.shown));
  }
}

if (content.studies.length > 1) {
  byId("studies").hidden = false;
  byId("studies").append(...content.studies.map((each, i) => el("a", { href: `#study-${i}` }, each.name, each.scale && ` (${each.scale})`)));
}
addEventListener("hashchange", () => { if (!location.hash || location.hash.startsWith("#study-")) follow(); });
follow();
