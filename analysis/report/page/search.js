// -- search -------------------------------------------------------------------------------------------------

const told4 = (value) => +value.toPrecision(4) + "";

/** The section of a search: its objectives over the proposals, importances, all values, and the table. */
function drawSearch() {
  const { objectives, dimensions, proposals } = study.search;
  const complete = proposals.filter(({ state: word }) => word === "complete");
  const table = el("div", { id: "proposals" });
  fill(byId("search"),
    el("p", { class: "muted small" }, `${count(complete.length)} of ${plural(proposals.length, "proposal")} complete.`),
    complete.length > 0 && [
      el("div", { class: "beside" }, objectives.map((objective, k) => el("section", {},
        el("h3", {}, `${objective.name.replaceAll("_", " ")}, ${objective.direction}d`),
        ...drawHistory(objective, k, complete), drawImportances(objective, dimensions)))),
      el("h3", {}, "All values side by side"),
      el("p", { class: "muted small" }, `A line is a proposal, coloured by ${objectives[0].name.replaceAll("_", " ")}; ` +
        "the best are thick."),
      drawParallel(objectives, dimensions, complete)],
    el("h3", {}, "Proposals"), table);
  const runs = new Set(study.runs.map(({ key }) => key));
  sortable(table, "Proposals", [
    ["number", (each) => each.number], ["state", (each) => each.state + (each.best ? ", best" : "")],
    ...objectives.map(({ name }, k) => [name, (each) => each.objectives[k], null, (v) => (v === "" ? "" : told4(v))]),
    ...dimensions.map(({ label }, k) => [label, (each) => each.values[k], null,
      (v) => (typeof v === "number" ? told4(v) : v)]),
    ["runs", (each) => each.runs.filter((key) => runs.has(key)).join(" "), null, (text) => el("code", {}, text)],
  ], proposals, state.sortProposals, (each) => ({ class: each.best ? "chosen" : null, "data-proposal": each.number }));
}

function drawHistory({ name, direction }, k, complete) {
  const x = complete.map(({ number }) => number), y = complete.map(({ objectives }) => objectives[k]);
  const better = direction === "maximize" ? Math.max : Math.min, room = 0.08 * (Math.max(...y) - Math.min(...y)) || 0.05;
  const best = y.map((_, i) => better(...y.slice(0, i + 1)));
  return chart({ label: `${name} of the proposals`, xLabel: "proposal", yLabel: name.replaceAll("_", " "), yTold: told4,
    yRange: [Math.min(...y) - room, Math.max(...y) + room], file: `${study.name}-search`,
    curves: [{ name: "a proposal", x, y, colour: LINES[0], points: true },
      { name: "the best so far", x, y: best, colour: LINES[1] }] });
}

function drawImportances({ importances }, dimensions) {
  if (!importances)
    return el("p", { class: "muted small" }, "The importances are not known: too few proposals are complete, or all are equally good.");
  const label = Object.fromEntries(dimensions.map((each) => [each.name, each.label]));
  return el("table", { class: "plain importances" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "dimension"),
      el("th", { scope: "col", colspan: 2 }, "importance: share of the variance (fANOVA)"))),
    el("tbody", {}, Object.entries(importances).sort(([, a], [, b]) => b - a).map(([name, value]) =>
      el("tr", {}, el("th", { scope: "row" }, label[name] ?? name),
        el("td", {}, el("span", { class: "share", style: { width: `${10 * value}rem` } })),
        el("td", { class: "number" }, `${percent(value, 0)} %`)))));
}

/** Parallel coordinates: an upright axis for every dimension and objective, a line for every proposal. */
function drawParallel(objectives, dimensions, complete) {
  const axes = [...dimensions.map((each, k) => ({ ...each, of: (p) => p.values[k] })),
    ...objectives.map(({ name }, k) => ({ label: name.replaceAll("_", " "), of: (p) => p.objectives[k] }))];
  const [gap, top, height] = [150, 34, 240], width = 80 + gap * (axes.length - 1) + 110;
  for (const each of axes) {
    const values = complete.map(each.of).filter((value) => value != null);
    const named = each.choice || values.some((value) => typeof value !== "number");
    const scale = each.log ? Math.log10 : (value) => value;
    const choices = [...new Set(values)].sort((a, b) => (a < b ? -1 : 1));
    const [low, high] = named ? [0, choices.length - 1] : [Math.min(...values), Math.max(...values)].map(scale);
    const at = (value) => (named ? choices.indexOf(value) : scale(value));
    each.y = (value) => (high > low ? top + height - ((at(value) - low) / (high - low)) * height : top + height / 2);
    each.marks = named ? choices : [...new Set([Math.min(...values), Math.max(...values)])];
  }
  const first = complete.map(({ objectives: [value] }) => value), [least, most] = [Math.min(...first), Math.max(...first)];
  const sign = objectives[0].direction === "maximize" ? 1 : -1;
  const colour = ({ objectives: [value] }) => {
    const share = most > least ? (value - least) / (most - least) : 1;
    return `rgb(${shade(0.9 * (sign > 0 ? share : 1 - share)).join(" ")})`;
  };
  const X = (k) => 60 + gap * k;
  const path = (proposal) => axes.map((each, k) => [each.of(proposal), each, k]).filter(([value]) => value != null)
    .map(([value, each, k], i) => `${i ? "L" : "M"}${X(k)} ${each.y(value).toFixed(1)}`).join("");
  const words = (proposal) => `proposal ${proposal.number}\n` + axes.map((each) => [each.label, each.of(proposal)])
    .filter(([, value]) => value != null).map(([label, value]) =>
      `${label} ${typeof value === "number" ? told4(value) : value}`).join("\n");
  const drawing = svg("svg", { class: "parallel", viewBox: `0 0 ${width} ${top + height + 24}`, role: "img",
    style: { minWidth: `${0.7 * width}px`, maxWidth: `${width}px` }, "aria-label": "Values of the proposals side by side" },
    complete.toSorted((a, b) => a.best - b.best).map((proposal) => svg("path", { d: path(proposal),
      class: `proposal ${proposal.best ? "best" : ""}`, style: { stroke: colour(proposal) },
      onmousemove: ({ clientX, clientY }) => tip(words(proposal),
        { left: clientX, width: 0, top: clientY - 6, bottom: clientY + 6 }), onmouseleave: () => tip(null) })),
    axes.map((each, k) => [svg("line", { class: "axis", x1: X(k), x2: X(k), y1: top, y2: top + height }),
      svg("text", { x: X(k), y: 14, "text-anchor": "middle" }, each.label),
      each.marks.map((value) => svg("text", { x: X(k) + 6, y: each.y(value) + 4 },
        typeof value === "number" ? told4(value) : value))]));
  return el("div", { class: "scroll" }, drawing);
}
