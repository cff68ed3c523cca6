// A chart's points as a table in a dialog: what the curve shows, for those who read numbers. Loaded when asked for.

import { inUnit, shownIn, whole } from "./numbers.js";

const ROWS_AT_MOST = 500;

export function showTable(chart, store) {
  const dialog = document.getElementById("table");
  dialog.querySelector("h2").textContent = `${chart.figure.title}${chart.figure.unit ? `, ${chart.figure.unit}` : ""}`;
  dialog.querySelector(".body").replaceChildren(table(rows(chart, store, ROWS_AT_MOST)));
  dialog.showModal();
}

function table({ names, lines, total }) {
  const made = document.createElement("table");
  const head = made.createTHead().insertRow();
  for (const name of ["Step", ...names.map((each) => each.replaceAll("_", " "))]) {
    const cell = document.createElement("th");
    Object.assign(cell, { scope: "col", className: "number", textContent: name });
    head.append(cell);
  }
  const body = made.createTBody();
  for (const line of lines) {
    const row = body.insertRow();
    for (const text of line) Object.assign(row.insertCell(), { className: "number", textContent: text });
  }
  if (total > lines.length) made.createCaption().textContent = `The newest ${lines.length} of ${total} steps; the CSV has all.`;
  return made;
}

/** The rows of a chart's table, newest first. */
function rows(chart, store, most) {
  const names = [...new Set(chart.figure.data.map((trace) => trace.meta.series))].filter((name) => store.series.has(name));
  const steps = new Map();
  for (const name of names) {
    const each = store.series.get(name);
    each.step.forEach((step, i) => steps.set(step, { ...steps.get(step), [name]: shownIn(chart, each.raw[i]) }));
  }
  const sorted = [...steps.keys()].sort((a, b) => b - a).slice(0, most);
  const cells = (step) => names.map((name) => (steps.get(step)[name] === undefined ? "–" : inUnit(name, steps.get(step)[name], chart.figure.unit)));
  return { names, lines: sorted.map((step) => [whole(step), ...cells(step)]), total: steps.size };
}
