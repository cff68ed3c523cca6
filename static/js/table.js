// A chart's points as a table in a dialog: what the curve shows, for those who read numbers. Loaded when asked for.

import { rows } from "./charts.js";

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
