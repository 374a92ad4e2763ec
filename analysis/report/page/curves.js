// -- curves -------------------------------------------------------------------------------------------------

/** Round numbers from low to high, about `wanted` of them. */
function ticks(low, high, wanted) {
  const rough = (high - low) / wanted || 1, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const found = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9;
    k++) found.push(+(k * step).toPrecision(12));
  return found;
}

/**
 * A line chart with legend and, folded, its numbers as a table.
 * curves: [{name, x, y, low?, high?, colour?, dashed?, unlisted?, other?, end?, dot? (a place in x)}]; missing values
 * are null; `end` is written where the curve ends, if every curve has one and they are few, in place of a legend;
 * others are grey; `points` has a dot at every value. file: the name of files to save, where there are to be buttons.
 */
function chart({ label, curves, xLabel, yLabel, yRange, yTold, range, chance, file }) {
  const ends = curves.length <= 10 && curves.every((c) => c.end != null);
  const longest = Math.max(...curves.map((c) => c.end?.length ?? 0)); // room for about 8.6 a character, in bold
  const [W, H, left, right, top, bottom] = [640, 340, 68, ends ? 16 + 8.6 * longest : 14, 14, 46];
  const xs = [...new Set(curves.flatMap((c) => c.x))].sort((a, b) => a - b),
    ys = curves.flatMap((c) => c.y).filter((v) => v != null);
  const [xLow, xHigh] = xs.length > 1 ? [xs[0], xs.at(-1)] : [xs[0] - 1, xs[0] + 1];
  const [yLow, yHigh] = yRange ?? [Math.min(0, ...ys), Math.max(...ys) * 1.05 || 1];
  const X = (x) => left + ((x - xLow) / (xHigh - xLow)) * (W - left - right);
  const Y = (y) => H - bottom - ((y - yLow) / (yHigh - yLow)) * (H - top - bottom);
  const line = (points) => points.map(([x, y], i) =>
    `${i && points[i - 1][1] != null ? "L" : "M"}${X(x).toFixed(1)} ${Y(y).toFixed(1)}`);
  const path = (c) => line(c.x.map((x, i) => [x, c.y[i]]).filter(([, y]) => y != null)).join("");
  const bound = (c, name) => c.x.map((x, i) => [x, c[name][i]]);
  const outline = (c) => [...line(bound(c, "high")), ...line(bound(c, "low").reverse())].join("");
  const interval = (c) => outline(c).replace(/(?!^)M/, "L") + "Z";
  const xTicks = xs.length <= 14 ? xs : ticks(xLow, xHigh, 8).filter(Number.isInteger);
  const groups = curves.map((c) => svg("g", {},
    c.low && !c.other && c.x.length > 1 && svg("path",
      { class: "interval", d: interval(c), style: { fill: c.colour } }),
    !c.points && svg("path", { class: `curve ${c.dashed ? "dashed" : ""} ${c.other ? "other" : ""}`, d: path(c), style: c.other ? {}
      : { stroke: c.colour } }),
    c.x.map((x, i) => c.y[i] != null && (c.points || c.x.length === 1 || c.dot === i) &&
      svg("circle", { class: "dot", cx: X(x), cy: Y(c.y[i]), r: 5, style: { fill: c.colour ?? "var(--muted)" } }))));
  const places = []; // of the labels at the ends of curves, moved down where they would overlap
  for (const [y, k] of ends ? curves.map((c, k) => [Y(c.y.at(-1)), k]).sort((a, b) => a[0] - b[0]) : [])
    places.push({ k, y: Math.max(y, (places.at(-1)?.y ?? -99) + 14) });
  const spill = Math.max(0, (places.at(-1)?.y ?? 0) - (H - bottom)); // back up, where that goes below the axis
  const ordered = [...groups.keys()].sort((a, b) => !!curves[b].other - !!curves[a].other); // the chosen ones on top
  const drawing = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label },
    range && svg("rect", { class: "range", x: X(range[0]) - 4, width: X(range[1]) - X(range[0]) + 8, y: top,
      height: H - top - bottom }),
    ticks(yLow, yHigh, 5).map((y) => [svg("line", { class: "grid", x1: left, x2: W - right, y1: Y(y), y2: Y(y) }),
      svg("text", { x: left - 8, y: Y(y) + 4, "text-anchor": "end" }, yTold(y))]),
    xTicks.map((x) => svg("text", { x: X(x), y: H - bottom + 20, "text-anchor": "middle" }, decibels(x))),
    svg("line", { class: "axis", x1: left, x2: W - right, y1: H - bottom, y2: H - bottom }),
    chance != null && [svg("line", { class: "chance", x1: left, x2: W - right, y1: Y(chance), y2: Y(chance) }),
      svg("text", { x: W - right - 4, y: Y(chance) - 5, "text-anchor": "end" }, "chance")],
    svg("text", { x: (left + W - right) / 2, y: H - 6, "text-anchor": "middle" }, xLabel),
    svg("text", { transform: `translate(14 ${(H - bottom + top) / 2}) rotate(-90)`, "text-anchor": "middle" }, yLabel),
    ordered.map((i) => groups[i]),
    places.map(({ k, y }) => svg("text", { x: W - right + 8, y: y + 4 - spill, style: curves[k].other ? {}
      : { fill: curves[k].colour, fontWeight: 600 } }, curves[k].end)));
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
    tip(c && `${c.name}\n${xLabel} ${c.x[best.i]}: ${yTold(c.y[best.i], 1)}` +
      (c.low ? ` (${yTold(c.low[best.i], 1)} … ${yTold(c.high[best.i], 1)})` : ""),
      { left: event.clientX, width: 0, top: event.clientY - 6, bottom: event.clientY + 6 });
  });
  drawing.addEventListener("mouseleave", () => (light(-1), tip(null)));
  const legend = el("ul", { class: "legend" }, curves
    .map((c, i) => !c.unlisted && el("li", { onmouseenter: () => light(i), onmouseleave: () => light(-1) },
    el("i", { class: c.other ? "other" : null, style: c.other ? {} : { borderTopColor: c.colour } }), c.name)));
  const numbers = el("details", { class: "unprinted" }, el("summary", {}, "These numbers as a table"));
  numbers.addEventListener("toggle", () => { // filled when it is opened first
    if (numbers.children.length > 1) return;
    numbers.append(el("div", { class: "scroll tall" }, el("table", { class: "plain" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, xLabel), curves
        .map((c) => el("th", { scope: "col", class: "number" }, c.name)))),
      el("tbody", {}, xs.map((x) => el("tr", {}, el("th", { scope: "row" }, decibels(x)), curves.map((c) => {
        const y = c.y[c.x.indexOf(x)];
        return el("td", { class: "number" }, y == null ? "" : yTold(y, 1));
      })))))));
  });
  const saves = file && el("div", { class: "saves unprinted" }, "Save as",
    [["SVG", () => saveSvg(drawing, file)], ["PNG", () => savePng(drawing, file)],
      ["CSV", () => saveText(asCsv(xLabel, curves), `${file}.csv`, "text/csv")]]
      .map(([kind, onclick]) => el("button", { type: "button", onclick, "data-save": kind }, kind)));
  return [drawing, !ends && curves.length <= 24 && legend, saves, numbers];
}

// -- files --------------------------------------------------------------------------------------------------

function saveBlob(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
const saveText = (text, name, type) => saveBlob(new Blob([text], { type }), name);

/** A copy of a drawing that needs no style sheet: each element has its computed style. */
function standalone(drawing) {
  const copy = drawing.cloneNode(true), [, , width, height] = drawing.getAttribute("viewBox").split(" ");
  const names = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linejoin", "opacity", "font-size",
    "font-weight", "font-family"];
  const originals = [drawing, ...drawing.querySelectorAll("*")];
  for (const [i, element] of [copy, ...copy.querySelectorAll("*")].entries()) {
    const style = getComputedStyle(originals[i]);
    for (const name of names) element.setAttribute(name, style.getPropertyValue(name));
    element.removeAttribute("style");
    element.removeAttribute("class");
  }
  for (const [name, value] of Object.entries({ xmlns: "http://www.w3.org/2000/svg", width, height }))
    copy.setAttribute(name, value);
  copy.prepend(svg("rect", { width, height, fill: getComputedStyle(document.body).backgroundColor }));
  return new XMLSerializer().serializeToString(copy);
}
const saveSvg = (drawing, name) => saveText(standalone(drawing), `${name}.svg`, "image/svg+xml");

/** At three times the size, for print. */
function savePng(drawing, name) {
  const image = new Image(), canvas = document.createElement("canvas");
  const [, , width, height] = drawing.getAttribute("viewBox").split(" ").map(Number);
  Object.assign(canvas, { width: 3 * width, height: 3 * height });
  image.onload = () => {
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    canvas.toBlob((blob) => saveBlob(blob, `${name}.png`));
  };
  image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(standalone(drawing))}`;
}

/** A row per value of x, and of every curve its values with their bounds. */
function asCsv(xLabel, curves) {
  const quoted = (text) => (/[",\n]/.test(text) ? `"${String(text).replaceAll('"', '""')}"` : text);
  const xs = [...new Set(curves.flatMap((c) => c.x))].sort((a, b) => a - b);
  const head = [xLabel, ...curves.flatMap((c) => [c.name, ...(c.low ? [`${c.name}, low`, `${c.name}, high`] : [])])];
  const rows = xs.map((x) => [x, ...curves.flatMap((c) => {
    const i = c.x.indexOf(x);
    return (c.low ? ["y", "low", "high"] : ["y"]).map((key) => c[key][i] ?? "");
  })]);
  return [head, ...rows].map((row) => row.map(quoted).join(",")).join("\n") + "\n";
}

const asPercent = (share, digits = 0) => `${percent(share, digits)} %`;

/** Accuracy against SNR of the chosen squares, and of the others in their row, if it is one. */
function drawSnrCurves() {
  const rows = new Set(state.chosen.map((square) => `${squareRow(square)}`));
  const others = rows.size > 1 ? [] // the chosen ones are enough to look at
    : squares.filter((square) => !state.chosen.includes(square) && rows.has(squareRow(square)));
  // A curve's name has the fields in which the curves differ.
  const each = (names, codes) => names.map((name, i) => told([name], [codes[i]], "short"));
  const parts = ({ panel, row, column }) => [panel.title, ...each(panel.rowNames, panel.rows[row].codes),
    ...each(panel.columnNames, panel.columns[column].codes)];
  const drawn = [...state.chosen, ...others].map(parts);
  const telling = [...drawn[0].keys()].filter((i) => drawn.some((own) => own[i] !== drawn[0][i]));
  const onlyColumns = telling.length > 0 && telling[0] > state.chosen[0].panel.rowNames.length;
  const crowded = drawn.some((own) => telling.map((i) => own[i]).filter(Boolean).join(", ").length > 21);
  const curve = (square, i) => {
    const points = study.snrs.map((x, level) => ({ x, ...tally(square.cells, level, level) }))
      .filter((point) => point.n && point.x !== null);
    const own = parts(square), name = telling.map((part) => own[part]).filter(Boolean).join(", ")
      || own.findLast(Boolean) || "all";
    const values = (key) => points.map((point) => point[key]);
    const fields = ["", ...square.panel.rowNames, ...square.panel.columnNames];
    const short = onlyColumns || crowded
      ? telling.map((part) => (part ? valueOf(square.cells[0], fields[part]) : own[0])).join(", ") : name;
    return { name, x: values("x"), y: values("accuracy"), low: values("low"), high: values("high"), other: i === null,
      colour: LINES[i % LINES.length], end: short.replace(/^(.{20}).{2,}$/, "$1…") };
  };
  const row = state.chosen.at(-1), known = study.snrs.filter((snr) => snr !== null);
  const near = (level) => known[Math.min(level, known.length - 1)];
  if (!known.length) return fill(byId("snr-curves"), el("p", { class: "muted small" }, "The SNRs of these tests are not known."));
  fill(byId("snr-curves"),
    el("p", { class: "muted small" }, rows.size > 1 ? "The chosen cells, with 95 % intervals."
      : [row.panel.title, told(row.panel.rowNames, row.panel.rows[row.row].codes, "short")].filter(Boolean).join(", "),
      rows.size === 1 && (others.length ? ": " + (state.chosen.length > 1 ? "the chosen cells" : "the chosen cell") +
        " (coloured, with 95 % intervals) and the others in the row (grey)." : ".")),
    ...chart({
      label: "Accuracy against SNR of the chosen cells", xLabel: "SNR in dB", yLabel: "accuracy", yRange: [0, 1],
        yTold: asPercent,
      curves: [...state.chosen.map(curve), ...limitCurve(), ...others.map((square) => curve(square, null))],
      range: state.from === 0 && state.to === study.snrs.length - 1 ? null
        : [near(state.from), near(state.to)],
      chance: 1 / study.modulations.length, file: `${study.name}-snr`,
    }));
}

/**
 * The upper bound of any classifier, in a list of one curve; [] unless all chosen squares have the same tests and it is
 * known. Over several tests, it is weighted by their instances.
 */
function limitCurve() {
  const tests = (square) => [...new Set(square.cells.map((cell) => study.test[cell]))].sort().join(" ");
  if (!study.limit || new Set(state.chosen.map(tests)).size > 1) return [];
  const { cells } = state.chosen[0], levels = study.snrs.length, points = [];
  for (const [level, x] of study.snrs.entries()) {
    const tested = cells.filter((cell) => study.n[cell * levels + level]);
    const sum = (value) => tested.reduce((total, cell) => total + value(cell) * study.n[cell * levels + level], 0);
    if (!tested.length || x === null) continue;
    if (tested.some((cell) => study.limit[cell][level] == null)) return [];
    points.push([x, sum((cell) => study.limit[cell][level]) / sum(() => 1)]);
  }
  return [{ name: "upper bound of any classifier", end: "upper bound", dashed: true, colour: "var(--ink)",
    x: points.map(([x]) => x), y: points.map(([, y]) => y) }];
}

const squareRow = (square) => `${square.panel.title}|${square.rowKey}`;

/** The runs behind all squares in the rows of the chosen ones. */
function runsOfRows() {
  const rows = new Set(state.chosen.map(squareRow)), runs = new Set();
  for (const square of squares.filter((each) => rows.has(squareRow(each))))
    for (const cell of square.cells) runs.add(study.run[cell]);
  return [...runs].sort((a, b) => a - b);
}

/** A run by the fields in which it differs from others: "Mod-LCNN, train channel awgn, seed 1" */
function runWords(run, others) {
  const differing = settingFields().map((field, i) => others.some((other) => other.settings[i] !== run.settings[i])
    && `${field.short} ${run.settings[i]}`);
  return [others.some((other) => other.model !== run.model) && run.model, ...differing, `seed ${run.seed}`]
    .filter(Boolean).join(", ");
}
const settingFields = () => study.fields.filter((field) => field.side === "train"
  && !["model", "seed"].includes(field.name));

function drawLearningCurves() {
  const target = byId("learning"), all = runsOfRows().map((i) => study.runs[i]);
  const learnt = all.filter((run) => run.epochs > 1), shown = learnt.slice(0, MOST_CURVES);
  if (!shown.length)
    return fill(target, el("p", { class: "muted" }, all.length
      ? `${all[0].model} was fitted in one step or trained for one epoch, so it has no curve.` : "No cell is chosen."));
  const curves = (part) => shown.flatMap((run, i) => ["validation", "train"].map((side) => ({
    name: `${runWords(run, shown)}${side === "train" ? ", training" : ""}`, unlisted: side === "train",
    x: run.curves.epoch, y: run.curves[`${side}_${part}`], colour: LINES[i % LINES.length], dashed: side === "train",
    dot: side === "validation" ? run.curves.epoch.indexOf(run.kept_epoch) : null,
  })));
  const number = (value) => +value.toPrecision(3) + "";
  fill(target,
    el("p", { class: "muted small" }, [...new Set(learnt.map((run) => run.model))].join(", "),
      `: the ${learnt.length > 1 ? plural(learnt.length, "run") : "run"} of the chosen row; `,
      "validation solid, training dashed; the dot is the epoch whose weights were kept.",
      learnt.length > shown.length && ` Only the first ${shown.length} are drawn: choose a row with fewer runs to see others.`),
    el("div", { class: "beside" },
      el("section", {}, el("h3", {}, "Loss"), ...chart({ label: "Loss per epoch", curves: curves("loss"),
        xLabel: "epoch", yLabel: "cross-entropy, nats", yTold: number })),
      el("section", {}, el("h3", {}, "Accuracy"),
        ...chart({ label: "Accuracy per epoch", curves: curves("accuracy"), xLabel: "epoch", yLabel: "accuracy",
        yRange: [0, 1], yTold: asPercent }))));
}
