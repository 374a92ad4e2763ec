// -- axes of the heat map -----------------------------------------------------------------------------------

const varied = (side) => study.fields.filter((f) => f.side === side && !["model", "seed"].includes(f.name))
  .map((f) => f.name);

/** The possible axes: {id, label, names of fields}. "rest" depends on the columns. */
function axes() {
  const together = [["train", "training setting"], ["test", "test setting"]]
    .map(([side, label]) => ({ id: side, label: `${label}, all of it`, names: varied(side) }))
    .filter((axis) => axis.names.length > 1);
  const single = study.fields.map((field) => ({ id: field.name, label: field.label, names: [field.name] }));
  return [...together, ...single, { id: "none", label: "nothing (pooled)", names: [] }];
}
const axis = (id) => axes().find((each) => each.id === id);

/** The fields along the rows and columns; "rest" stands for all that vary and are not along the columns. */
function axisNames() {
  const columns = axis(state.columns).names;
  const rest = [...varied("train"), ...varied("test")].filter((name) => !columns.includes(name));
  return { rows: state.rows === "rest" ? rest : axis(state.rows).names, columns };
}

/** Keeps a field along one axis only: if both have it, the axis that the user did not change is reset. */
function separate(touched) {
  if (state.rows === "rest" || touched === null) return;
  const other = touched === "rows" ? "columns" : "rows";
  const taken = axis(state[touched]).names;
  const free = (each) => each && !each.names.some((name) => taken.includes(name));
  if (!free(axis(state[other])))
    state[other] = other === "rows" ? "rest" : axes().find((each) => free(each) && each.id !== "none")?.id ?? "none";
}

/**
 * The axes with which the page opens: along the columns the test field with most values, as in analysis.train_test;
 * where the rows would be too many to be seen at once, training settings × test settings.
 */
function usualAxes() {
  const most = (side) => varied(side).map((name) => study.byName[name])
    .sort((a, b) => b.values.length - a.values.length)[0];
  const columns = (most("test") ?? most("train"))?.name ?? "none", cells = [...study.run.keys()];
  const number = (names) => combinations(cells, names).length;
  const [train, test] = [varied("train"), varied("test")];
  const long = number([...train, ...test].filter((name) => name !== columns)) > 40;
  if (long && train.length && test.length > 1 && number(test) <= 64) return { rows: train.length > 1 ? "train"
    : train[0], columns: "test" };
  return { rows: "rest", columns };
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

/** "training channel awgn, test samples per symbol L 8", or with short names "train channel awgn, test L 8" */
const told = (names, codes, called = "label") => names.map((name, i) => [study.byName[name], codes[i]])
  .filter(([field, code]) => field.values[code] !== "–")
    .map(([field, code]) => `${field[called]} ${field.values[code]}`).join(", ");

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
  return split.map((code) => {
    const cells = code === null ? kept : kept.filter((cell) => model.codes[cell] === code);
    const own = rows.length > 1 ? rows.filter((name) => tells(name, cells)) : rows;
    const title = model ? (code === null ? "" : model.values[code]) : study.runs[0].model;
    const groups = new Map();
    for (const cell of cells) {
      const key = `${codesOf(cell, own).join(" ")}|${codesOf(cell, columns).join(" ")}`;
      groups.has(key) ? groups.get(key).push(cell) : groups.set(key, [cell]);
    }
    return { title, filtered, cells, rowNames: own, columnNames: columns, rows: combinations(cells, own),
      columns: combinations(cells, columns), groups };
  });
}

const valueOf = (cell, name) => study.byName[name].values[study.byName[name].codes[cell]];

/** Is a field informative as a row heading? Not if it varies only for another model, or is as in training. */
function tells(name, cells) {
  const trained = name.replace("test_", "train_");
  const asTrained = trained !== name && trained in study.byName
    && cells.every((cell) => valueOf(cell, name) === valueOf(cell, trained));
  return !asTrained && cells.some((cell) => valueOf(cell, name) !== valueOf(cells[0], name));
}

// -- heat map -----------------------------------------------------------------------------------------------

let squares = []; // of the heat map: {element, panel, row, column (places), cells, words}

function drawHeatMap() {
  const found = panels(), target = byId("panels");
  squares = [];
  const size = found.reduce((sum, panel) => sum + panel.rows.length * panel.columns.length, 0);
  if (size > MOST_MAP_CELLS) {
    fill(target, el("p", { class: "notice" },
      `A map with these axes has ${count(size)} cells; at most ${count(MOST_MAP_CELLS)} are drawn: choose other axes.`));
    return;
  }
  fill(target, ...found.map(drawPanel));
  for (const table of target.querySelectorAll("table")) stickRowHeadings(table);
  paintHeatMap();
  // At first a cell tested as it was trained is chosen, if possible of a network with learning curves.
  const learnt = (square) => square.cells.some((cell) => study.runs[study.run[cell]].epochs > 1);
  const trained = squares.filter((square) => square.cells.every((cell) => study.trained[cell]));
  const asked = (state.asked ?? []).map((place) => squares[place]).filter(Boolean);
  state.asked = null;
  choose(asked.length ? asked : [trained.find(learnt) ?? trained[0] ?? squares[0]].filter(Boolean));
}

function drawPanel(panel) {
  const columnHead = panel.columnNames.map((name, level) => el("tr", {},
    level === 0 && panel.rowNames.map((row) =>
      el("th", { class: "name", scope: "col", rowspan: panel.columnNames.length, title: study.byName[row].label },
        study.byName[row].short)),
    !panel.rowNames.length && level === 0 && el("th", { class: "name", rowspan: panel.columnNames.length }, ""),
    spans(panel.columns, level).map(({ code, span }) =>
      heading(panel.columns.length, name, code, { scope: "col", colspan: span }))));
  const title = panel.columnNames.map((name) => study.byName[name].label).join(", ") || "all test settings";
  const head = el("thead", {},
    el("tr", {}, el("th", { class: "name", colspan: Math.max(1, panel.rowNames.length), "aria-hidden": true }, ""),
      el("th", { class: "title", scope: "colgroup", colspan: panel.columns.length }, title)), columnHead,
    !panel.columnNames.length && panel.rowNames.length > 0 && el("tr", {},
      panel.rowNames.map((row) => el("th", { class: "name", scope: "col", title: study.byName[row].label },
        study.byName[row].short)), el("th", {}, "all")));
  const levels = panel.rowNames.map((_, level) => spans(panel.rows, level));
  const body = panel.rows.map((row, r) => el("tr", {},
    levels.map((level, i) => {
      const start = level.find((each) => each.at === r);
      return start && el("th", { scope: "row", rowspan: start.span, "data-level": i },
        study.byName[panel.rowNames[i]].values[start.code]);
    }),
    !panel.rowNames.length && el("th", { scope: "row" }, panel.title || "all"),
    panel.columns.map((column, c) => drawSquare(panel, row, r, column, c))));
  const dense = panel.columns.length > 16 || panel.rows.length > 40;
  const table = el("table", { class: dense ? "map dense" : "map", role: "grid", "aria-label": `Accuracy ${panel.title}`,
    onclick: (event) => pick(event, event.target.closest("td")), onkeydown: walk }, head, el("tbody", {}, body));
  tipsOn(table, (cell) => squareOf(cell)?.words());
  table.addEventListener("click", () => tip(null)); // the box below tells it then, and may not be covered
  const first = table.querySelector("td:not(.empty)");
  if (first) first.tabIndex = 0;
  return el("section", {}, panel.title && el("h3", {}, panel.title),
    el("div", { class: panel.rows.length > 24 ? "scroll long" : "scroll" }, table));
}

function drawSquare(panel, row, r, column, c) {
  const cells = panel.groups.get(`${row.key}|${column.key}`);
  if (!cells) return el("td", { class: "empty", role: "gridcell", "aria-label": "not in the store" });
  const inTraining = cells.filter((cell) => study.trained[cell]).length;
  const kind = inTraining === cells.length ? "trained" : inTraining ? "partly" : "";
  const element = el("td", { class: kind, role: "gridcell", tabindex: -1, "data-square": squares.length });
  const labels = [panel.title, ...panel.filtered, told(panel.rowNames, row.codes, "short"),
    told(panel.columnNames, column.codes, "short")];
  const label = labels.filter(Boolean).join(", ");
  const frame = { trained: "\nthe setting of training", partly: "\nin part the setting of training" }[kind] ?? "";
  const runs = new Set(cells.map((cell) => study.run[cell])).size;
  const words = () => {
    const { n, correct, accuracy, low, high, trainings } = tally(cells);
    if (!n) return `${label}\nno counts at ${snrWords()}`;
    return `${label}\n${percent(accuracy)} % (95 % interval ${percent(low)} … ${percent(high)} %)\n` +
      `${count(correct)} of ${count(n)} right, ${plural(runs, "run")}, ${plural(cells.length, "cell")}, ` +
      `${snrWords()}${frame}\nthe interval is of ${covers(trainings)}`;
  };
  squares.push({ element, panel, row: r, column: c, rowKey: row.key, cells, label, words,
    dense: panel.columns.length > 16 });
  return element;
}

/** What an interval is of: of another training if there are two or more, else of the network. */
const covers = (trainings) => (trainings > 1 ? `another training, from ${trainings}` : "this network");

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
  const heads = [...table.querySelectorAll("tbody tr:first-child th")],
    names = [...table.querySelectorAll("thead th.name")].slice(1);
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
  const inRow = own.filter((each) => each.row === square.row), inColumn = own
    .filter((each) => each.column === square.column);
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
  for (const { element } of squares) {
    element.classList.remove("chosen");
    element.removeAttribute("aria-selected");
  }
  for (const { element } of chosen) {
    element.classList.add("chosen");
    element.setAttribute("aria-selected", "true");
    for (const other of element.closest("table").querySelectorAll('td[tabindex="0"]')) other.tabIndex = -1;
    element.tabIndex = 0;
  }
  drawLearningCurves();
  drawRuns();
  drawChosen();
}

/** Everything that depends on the chosen squares and SNRs. */
function drawChosen() {
  const square = state.chosen.at(-1), target = byId("chosen");
  if (!square) return fill(target);
  const counts = tally(square.cells);
  fill(target, el("strong", {}, counts.n ? `${percent(counts.accuracy)} %` : "no counts"),
    counts.n > 0 && ` 95 % interval ${percent(counts.low)} … ${percent(counts.high)} %, of ` +
      `${covers(counts.trainings)}; `,
    counts.n > 0 && `${count(counts.correct)} of ${count(counts.n)} correct`,
    state.chosen.length === 2 && againstOther(square, state.chosen[0]),
    el("br"), `${square.label || "all settings"}, ${snrWords()}. `,
    el("span", { class: "unprinted small" }, "Below: ",
      [["confusion", "confusion matrix"], ["snr-curves", "SNR curves"], ["learning", "learning curves"],
      ["reproduce", "how to reproduce"]]
      .map(([id, text], i) => [i ? ", " : "", el("button", { class: "link", type: "button",
        onclick: () => byId(`at-${id}`).scrollIntoView() }, text)])));
  remember();
  drawConfusion(square);
  drawSnrCurves();
  drawReproduction(square);
}

/** The difference of the two chosen squares, in a sentence of its own. */
function againstOther(square, other) {
  const { value, low, high, n, trainings } = difference(square.cells, other.cells);
  if (Number.isNaN(value)) return "";
  const points = (share) => `${share > 0 ? "+" : ""}${percent(share)}`.replace("-", "−");
  const basis = trainings > 1 ? `paired on ${count(n)} instances, of another training of both, from ${trainings}`
    : trainings ? `paired on the same ${count(n)} instances, of these networks` : "from both intervals, not paired";
  return [el("br"), el("span", { id: "difference" }, el("strong", {}, `${points(value)} points`),
    ` against ${other.label || "all settings"}: 95 % interval ${points(low)} … ${points(high)}, ${basis}.`)];
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
    fill(target, el("p", { class: "notice" },
      `The confusion counts are left out: they have ${(study.confusion_characters / 1e6).toFixed(1)} MB, and this ` +
      `page may have at most ${(content.largest / 1e6).toFixed(0)} MB of them. ` +
      'analysis.load("confusion") reads them from the store.'));
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
  const table = el("table", { class: side > 12 ? "map confusion many" : "map confusion",
    "aria-label": "Confusion matrix" },
    el("thead", {},
      el("tr", {}, el("th", { class: "name" }, "sent ↓"),
        el("th", { class: "title", colspan: side, scope: "colgroup" }, "recognised as →"), el("th")),
      el("tr", {}, el("th", { class: "name" }), names
        .map((name) => el("th", { scope: "col", class: "upright" }, el("span", {}, name))),
        el("th", { scope: "col" }, "n"))),
    el("tbody", {}, names.map((name, sent) => totals[sent] > 0 && el("tr", {}, el("th", { scope: "row" }, name),
      names.map((_, seen) => cellAt(sent, seen)), el("th", { class: "total" }, count(totals[sent]))))));
  tipsOn(table, (cell) => words(+cell.dataset.sent, +cell.dataset.seen));
  const mistakes = names.flatMap((_, sent) => names.map((_, seen) => [sent, seen]))
    .filter(([sent, seen]) => sent !== seen && share(sent, seen) > 0)
    .sort((a, b) => share(...b) - share(...a)).slice(0, 5);
  fill(target,
    el("p", { class: "muted small" }, `${square.label || "all settings"}, ${snrWords()}. ` +
      `${state.counts ? "Counts" : "In % of the instances sent"}; colours go from 0 to 100 % of a row.`),
    el("div", { class: "scroll" }, table),
    mistakes.length > 0 && el("p", { class: "small" }, "Most frequent mistakes: ",
      mistakes.map(([sent, seen]) => `${names[sent]} taken for ${names[seen]} (${percent(share(sent, seen), 0)} %)`)
        .join(", "), "."));
}
