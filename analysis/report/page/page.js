// -- tables -------------------------------------------------------------------------------------------------

/**
 * A table whose rows are sorted by the column that was clicked last. columns: [heading, value, order of values or null,
 * words for a value]. sort: {column, descending}, kept by the caller. attributes: of a row.
 */
function sortable(target, label, columns, entries, sort, attributes) {
  const rank = (entry) => {
    const [, value, order] = columns[sort.column] ?? [null, () => 0];
    return order ? order.indexOf(value(entry)) : value(entry);
  };
  const order = entries.map((entry, i) => [entry, i]), sign = sort.descending ? -1 : 1;
  if (sort.column !== null)
    order.sort(([a], [b]) => (rank(a) < rank(b) ? -1 : rank(a) > rank(b) ? 1 : 0) * sign);
  const isNumber = (i) => entries.some((entry) => typeof columns[i][1](entry) === "number");
  const sortBy = (i) => {
    Object.assign(sort, { descending: sort.column === i && !sort.descending, column: i });
    sortable(target, label, columns, entries, sort, attributes);
    target.querySelectorAll("th button")[i].focus();
  };
  fill(target, el("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": label },
    el("table", { class: "plain" },
      el("thead", {}, el("tr", {}, columns.map(([heading], i) =>
        el("th", { scope: "col", class: isNumber(i) ? "number" : null,
          "aria-sort": sort.column === i ? (sort.descending ? "descending" : "ascending") : null },
          el("button", { type: "button", onclick: () => sortBy(i) }, heading))))),
      el("tbody", {}, order.map(([entry, place]) => el("tr", attributes(entry, place),
        columns.map(([, value, , words = String], i) => el("td", { class: isNumber(i) ? "number" : null },
          words(value(entry) ?? "", entry)))))))));
}

/** The table of runs; runs of the chosen row are shaded. */
function drawRuns() {
  const chosen = new Set(runsOfRows()), code = (text) => text && el("code", {}, text);
  sortable(byId("runs"), "Runs", [
    ["model", (run) => run.model],
    ...settingFields().map((field, i) => [field.short, (run) => run.settings[i] ?? "–", field.values]),
    ["seed", (run) => run.seed], ["parameters", (run) => run.parameters, null, count],
    ["kept epoch", (run) => run.kept_epoch, null, (value, run) => `${value} of ${run.epochs}`],
    ["validation accuracy", (run) => run.validation_accuracy, null, (value) => (value === "" ? "" : `${percent(value)} %`)],
    ["training time", (run) => run.seconds, null, duration], ["started (UTC)", (run) => run.started],
    ["finished (UTC)", (run) => run.finished], ["device", (run) => run.device], ["host", (run) => run.host],
    ["threads", (run) => run.threads], ["vector instructions", (run) => run.vector_instructions],
    ["torch", (run) => run.torch], ["weights", (run) => run.weights, null, code],
    ["started from", (run) => run.parent, null, code], ["key", (run) => run.key, null, code],
  ], study.runs, state.sort, (run, place) => ({ class: chosen.has(place) ? "chosen" : null, "data-run": run.key }));
}

function drawReproduction(square) {
  const { store, study: name, scale } = study.load, quoted = JSON.stringify;
  const runs = [...new Set(square.cells.map((cell) => study.run[cell]))].map((i) => study.runs[i].key);
  const cells = square.cells.map((cell) => study.cells[cell]);
  const atScale = scale ? `, scale=${quoted(scale)}` : "";
  const list = (keys) => (keys.length === 1 ? `[${quoted(keys[0])}]`
    : `[\n    ${keys.map(quoted).join(",\n    ")},\n]`);
  const devices = [...new Set(study.runs.map((run) => `${run.device}, torch ${run.torch}`))].join("; ");
  fill(byId("reproduce"),
    el("p", {}, `With amc-sweeps ${content.version}, definitions of version ${content.definitions}; on ${devices}.`),
    el("pre", { tabindex: 0 }, study.command),
    el("p", {}, `The accuracy of the chosen cell (${square.label || "all settings"}, ${snrWords()}), computed from the tables:`),
    el("pre", { id: "snippet", tabindex: 0 },
      "from analysis import load\n\n" +
      `cells = load("cells", store=${quoted(store)}, study=${quoted(name)}${atScale})\n` +
      `snrs = ${snrsInPython()}\n` +
      `chosen = cells[snrs & cells["cell"].isin(${list(cells)})]\n` +
      `print(chosen["correct"].sum() / chosen["n"].sum())  # ${tally(square.cells).accuracy.toFixed(6)}`),
    el("p", {}, `Its ${runs.length === 1 ? "run is" : `${runs.length} runs are`} `,
      runs.slice(0, 30).flatMap((key, i) => [i ? ", " : "", el("code", {}, key)]),
      runs.length > 30 ? " …" : "", ", in the store under runs/."),
    el("details", {}, el("summary", {}, "The study file"), el("pre", { tabindex: 0 }, study.source)));
}

/** The papers' numbers and ours, with the scale of ours if it is another than the paper's. */
function drawComparison() {
  const names = Object.keys(study.comparison[0]);
  return el("div", { class: "scroll tall" }, el("table", { class: "plain wrapped", id: "comparison" },
    el("thead", {}, el("tr", {}, names.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, study.comparison.map((row) => el("tr", {}, names.map((name) => el("td", {}, row[name])))))));
}

// -- the page -----------------------------------------------------------------------------------------------

function summary() {
  const { total, runs, parts, snrs } = study, seconds = runs.reduce((sum, run) => sum + run.seconds, 0);
  const devices = new Map();
  for (const run of runs) devices.set(run.device, (devices.get(run.device) ?? 0) + 1);
  const tile = (term, value, small) => el("div", {}, el("dt", {}, term),
    el("dd", {}, value, small && el("small", {}, small)));
  const missing = total.runs > runs.length || total.cells > study.cells.length;
  const accuracy = (p) => (p ? [`${percent(p.accuracy)} %`,
    el("small", {}, `${percent(p.low)} … ${percent(p.high)} %`)] : "–");
  const extreme = (p) => (p ? [el("button", { class: "link", type: "button", onclick: () => lookAt(p.where),
    title: "choose it in the heat map" }, `${percent(p.accuracy)} %`),
    el("small", {}, told(...settingOf(p.where)))] : "–");
  const settingOf = ({ model, ...where }) => [Object.keys(where), Object.values(where)]; // the model stands in the row
  const testing = [["best", "best unseen setting"], ["worst", "worst unseen setting"]];
  return [
    el("h1", {}, study.name, study.scale && el("span", { class: "muted" }, `, scale ${study.scale}`)),
    study.description && el("p", { class: "description" }, study.description),
    missing && el("p", { class: "notice" }, 
      `${plural(total.runs - runs.length, "run")} and ${plural(total.cells - study.cells.length, "cell")} of this ` +
      "study are missing in the store. This page shows the others. ",
      el("code", {}, study.command), " computes the missing ones."),
    el("dl", { class: "tiles" },
      tile("Runs", `${count(runs.length)} of ${count(total.runs)}`, "trained"),
      tile("Cells", `${count(study.cells.length)} of ${count(total.cells)}`, "runs × test settings"),
      tile("Modulations", count(study.modulations.length), study.modulations.join(", ")),
      tile("SNR", snrs.length > 1 ? `${decibels(snrs[0])} … ${inDecibels(snrs.at(-1))}` : inDecibels(snrs[0]),
        plural(snrs.length, "value")),
      tile("Instances", count(study.instances), "per modulation, SNR and setting: " +
        `${count(parts.train)} to train, ${count(parts.validation)} to validate, ${count(parts.test)} to test`),
      tile("Length", study.lengths.map(count).join(", "), "samples"),
      tile("Seeds", study.seeds.join(", "), "pooled, unless they are an axis"),
      tile("Time", duration(seconds), `of training; finished ${runs.map((run) => run.finished).sort().at(-1)} UTC`),
      tile("Devices", [...devices.keys()].join(", "),
        [...devices].map(([, number]) => plural(number, "run")).join(", "))),
    study.fixed.length > 0 && el("p", { class: "muted small" }, `Fields that do not vary: ${study.fixed.join(", ")}.`),
    el("div", { class: "scroll" }, el("table", { class: "plain", id: "models" },
      el("thead", {}, el("tr", {}, ["model", "where trained", "unseen, mean", ...testing.map(([, label]) => label),
        "parameters", "runs", "training time"].map((name, i) =>
        el("th", { scope: "col", class: i > 4 ? "number" : null }, name)))),
      el("tbody", {}, study.summary.map((row) => el("tr", {}, el("th", { scope: "row" }, row.model),
        ["trained", "unseen"].map((key) => el("td", { class: "tight" }, accuracy(row[key]))),
        testing.map(([key]) => el("td", {}, extreme(row[key]))),
          el("td", { class: "number" }, row.parameters.map(count).join(", ")),
        el("td", { class: "number" }, count(row.runs)), el("td", { class: "number" }, duration(row.seconds))))))),
    el("p", { class: "muted small" }, "Accuracies are pooled over all SNRs and seeds. Their 95 % intervals are of " +
      "another training if there are several seeds, else of these networks. Those of the best and the worst setting " +
      "allow for the choice among several. A test scenario is unseen if the training of neither the run nor one that " +
      "it started from had or could have drawn it."),
  ];
}

/** Chooses the square of a setting, {name of field: code}, on the axes with which the page opens. */
function lookAt(where) {
  Object.assign(state, { model: "all", filters: {}, ...usualAxes() });
  drawControls();
  drawHeatMap();
  const square = squares.find(({ cells }) => Object.entries(where).every(([name, code]) =>
    study.byName[name].codes[cells[0]] === code));
  if (!square) return;
  choose([square]);
  square.element.focus();
  square.element.scrollIntoView({ block: "center" });
}

function select(label, id, options, value, change) {
  const list = el("select", { id, onchange: () => change(list.value) }, options
    .map(([key, text]) => el("option", { value: key, selected: String(key) === String(value) }, text)));
  return el("label", {}, label, list);
}

/** The controls above the heat map: axes, model, what else to pool over or to pick, and colours. */
function drawControls() {
  const { rows, columns } = axisNames(), options = axes().map(({ id, label }) => [id, label]),
    model = study.byName.model;
  const again = () => { drawControls(); drawHeatMap(); };
  const setAxis = (which) => (id) => { state[which] = id; separate(which); again(); byId(which).focus(); };
  const free = study.fields.filter(({ name }) => name !== "model" && ![...rows, ...columns].includes(name));
  const filter = (field) => select(field.label, `filter-${field.name}`,
    [["", "all, pooled"], ...field.values.map((value, code) => [code, value])],
    state.filters[field.name] ?? "", (code) => {
      if (code === "") delete state.filters[field.name];
      else state.filters[field.name] = Number(code);
      again();
      byId(`filter-${field.name}`).focus();
    });
  fill(byId("controls"),
    select("Rows", "rows", [["rest", "all that varies, without the columns"], ...options], state.rows, setAxis("rows")),
    select("Columns", "columns", options, state.columns, setAxis("columns")),
    model ? select("Model", "model", [["all", [...rows, ...columns].includes("model") ? "all" : "all, side by side"],
      ...model.values.map((value, code) => [code, value])],
      state.model, (value) => { state.model = value === "all" ? value : Number(value); again(); byId("model").focus();
        }) : "",
    ...free.map(filter));
}

/** The SNRs that are chosen, as pandas selects them. */
function snrsInPython() {
  const chosen = study.snrs.slice(state.from, state.to + 1), known = chosen.filter((snr) => snr !== null);
  const parts = known.length ? [`cells["snr_db"].between(${known[0]}, ${known.at(-1)})`] : [];
  return [...parts, ...(known.length < chosen.length ? ['cells["snr_db"].isna()'] : [])].join(" | ");
}

/** SNRs: all, one, or a range, chosen with sliders. */
function snrControls() {
  const last = study.snrs.length - 1;
  const slider = (id, label) => el("input", { type: "range", id, min: 0, max: last, step: 1, value: id === "snr-to"
    ? state.to : state.from, "aria-label": label, oninput: () => moved(id) });
  const from = slider("snr-from", "lowest SNR"), to = slider("snr-to", "highest SNR"),
    out = el("output", { id: "snr-told", for: "snr-from snr-to" });
  const modes = ["all", "one", "range"].map((mode) =>
    el("label", {}, el("input", { type: "radio", name: "snr-mode", value: mode, checked: mode === state.snrMode,
    onchange: () => turned(mode) }),
    { all: "all, pooled", one: "one", range: "from … to" }[mode]));
  const update = () => {
    from.hidden = state.snrMode === "all";
    to.hidden = state.snrMode !== "range";
    from.value = state.from;
    to.value = state.to;
    from.setAttribute("aria-label", state.snrMode === "one" ? "SNR" : "lowest SNR");
    for (const each of [from, to]) each.setAttribute("aria-valuetext", inDecibels(study.snrs[each.value]));
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
  from.hidden = state.snrMode === "all";
  to.hidden = state.snrMode !== "range";
  out.textContent = snrWords();
  return el("div", { id: "snr", class: "group", role: "group", "aria-label": "SNR" }, el("span", {}, "SNR"), last > 0
    && [modes, from, to], out);
}

/** Keeps what is chosen in the address, so that it leads back there. */
function remember() {
  const known = { rows: state.rows, columns: state.columns, model: state.model, snr: state.snrMode === "all" ? "all"
    : `${state.snrMode},${state.from},${state.to}`, fitted: +state.fitted, counts: +state.counts,
    chosen: state.chosen.map((square) => squares.indexOf(square)).join(",") };
  for (const [name, code] of Object.entries(state.filters)) known[`only.${name}`] = code;
  follow.query = new URLSearchParams(known).toString();
  history.replaceState(null, "", `#study-${content.studies.indexOf(follow.shown)}?${follow.query}`);
}

/** Takes from an address what it knows of this study; what is not there stays as it is. */
function recall(query) {
  const asked = new URLSearchParams(query), whole = (text, most) => /^\d+$/.test(text ?? "") && +text <= most;
  const [mode, from, to] = (asked.get("snr") ?? "").split(","), last = study.snrs.length - 1;
  for (const which of ["rows", "columns"])
    if (axis(asked.get(which)) || (which === "rows" && asked.get(which) === "rest")) state[which] = asked.get(which);
  separate("columns");
  if (whole(asked.get("model"), (study.byName.model?.values.length ?? 0) - 1)) state.model = +asked.get("model");
  if (["one", "range"].includes(mode) && whole(from, last) && whole(to, last) && +from <= +to)
    Object.assign(state, { snrMode: mode, from: +from, to: +to });
  for (const field of study.fields)
    if (whole(asked.get(`only.${field.name}`), field.values.length - 1))
      state.filters[field.name] = +asked.get(`only.${field.name}`);
  if (asked.has("fitted")) state.fitted = asked.get("fitted") === "1";
  state.counts = asked.get("counts") === "1";
  state.asked = (asked.get("chosen") ?? "").split(",").filter((text) => text !== "").map(Number);
}

async function show(index, query) {
  const opened = await open(content.studies[index]), last = opened.snrs.length - 1;
  if (follow.shown !== content.studies[index]) return; // another was asked for meanwhile
  study = opened;
  state = { model: "all", filters: {}, snrMode: "all", from: 0, to: last, fitted: true, chosen: [], counts: false,
    sort: { column: null, descending: false }, sortProposals: { column: null, descending: false } };
  Object.assign(state, usualAxes());
  recall(query);
  document.title = `Report: ${study.name}`;
  const section = (title, id, ...before) => el("section", { id: `at-${id}` }, el("h2", {}, title), ...before,
    el("div", { id }));
  fill(byId("page"),
    el("header", {}, summary()),
    el("section", { "aria-label": "Accuracy of train × test pairs" },
      el("h2", {}, "Train × test"),
      el("div", { id: "controls", class: "controls" }),
      el("div", { class: "controls", style: { marginTop: ".4rem" } }, snrControls(),
        el("div", { class: "group" }, el("label", {},
          el("input", { type: "checkbox", id: "fitted", checked: state.fitted,
          onchange: (event) => { state.fitted = event.target.checked; paintHeatMap(); remember(); } }),
          "colours fitted to the numbers"))),
      el("div", { class: "key" },
        el("span", {}, el("span", { id: "scale-low" }), el("i", { class: "bar" }), el("span", { id: "scale-high" }),
          " accuracy; numbers are in %"),
        el("span", {}, el("i", { class: "frame" }), "the setting of training"),
          el("span", {}, el("i", { class: "dashed" }), "in part the setting of training"),
        el("span", { class: "unprinted" }, "Click, or arrow keys and Enter: choose a cell; with Shift: add it.")),
      el("div", { id: "panels", class: "panels" }),
      el("p", { id: "chosen", class: "chosen-cell", role: "status" })),
    el("div", { class: "beside" },
      section("Confusion matrix", "confusion", el("div", { class: "group unprinted" },
        el("label", {}, el("input", { type: "checkbox", id: "counts",
        checked: state.counts,
        onchange: (event) => { state.counts = event.target.checked; drawConfusion(state.chosen.at(-1)); remember(); } }),
          "show counts instead of %"))),
      section("Accuracy against SNR", "snr-curves")),
    section("Learning curves", "learning"),
    study.search && section("Search", "search"),
    section("Runs", "runs"),
    study.comparison && el("section", {}, el("h2", {}, "Comparison with the papers"), drawComparison()),
    section("How to reproduce", "reproduce"));
  drawControls();
  drawHeatMap();
  if (study.search) drawSearch();
  for (const [i, link] of [...document.querySelectorAll("#studies a")].entries())
    i === index ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
}

/** The address's fragment says which study is shown, and what is chosen of it. */
function follow() {
  const [, asked, query] = /^#study-(\d+)(?:\?(.*))?$/.exec(location.hash) ?? [null, 0, ""];
  if (study === null || content.studies[asked] !== follow.shown || (query ?? "") !== follow.query) {
    follow.shown = content.studies[asked] ?? content.studies[0];
    follow.query = query ?? "";
    show(content.studies.indexOf(follow.shown), query);
  }
}

if (content.studies.length > 1) {
  byId("studies").hidden = false;
  byId("studies").append(...content.studies.map((each, i) => el("a",
    { href: `#study-${i}`, title: `${count(each.cells.length)} of ${plural(each.total.cells, "cell")}` }, each.name, each.scale
    && ` (${each.scale})`)));
}
addEventListener("hashchange", () => { if (!location.hash || location.hash.startsWith("#study-")) follow(); });
follow();
