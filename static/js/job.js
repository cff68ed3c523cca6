// The job page: ties the stream to the store, the store to charts and header, and the toolbar to both.

import { Charts, rows } from "./charts.js";
import { Header } from "./header.js";
import { Live } from "./live.js";
import { logTail } from "./log.js";
import { sayLive } from "./page.js";
import { Store } from "./store.js";

const ROWS_IN_TABLE = 500;
const page = JSON.parse(document.getElementById("page-data").textContent);
const box = document.getElementById("charts");
const store = new Store(page.job, page.smoothing ?? 0);
const header = new Header(store, page.total_steps);
const view = { axis: "step", outliers: true, zoom: null };
const charts = box && new Charts(box, store, view, page.started_at);
const addLine = logTail();

store.loaded = !charts; // pages without charts ask for no history

async function reload() {
  if (!charts) return;
  try {
    if (await store.load()) charts.markAll();
    header.draw();
  } catch {
    for (const note of document.querySelectorAll(".chart .waiting")) note.textContent = "The points could not be loaded. Reload the page to try again.";
  }
}

let telling;
/** The server's fragments (badge, buttons, results) are fetched again, at most once a second. */
function changed() {
  telling ??= setTimeout(() => {
    telling = null;
    document.body.dispatchEvent(new CustomEvent("job-changed"));
  }, 300);
}

function heard(message) {
  switch (message.kind) {
    case "metrics":
      header.heard(message);
      if (store.append(message)) reload();
      charts?.pointsCame();
      break;
    case "log":
      addLine(message.text ?? "", message.level ?? "info");
      break;
    case "plan":
      header.totalSteps = message.total_steps;
      page.total_steps = message.total_steps;
      changed();
      break;
    case "attempt":
    case "reset":
      reload();
      changed();
      break;
    case "state":
      document.getElementById("announce").textContent = `The job is ${message.after}.`;
      changed();
      break;
    default:
      changed();
  }
}

document.body.addEventListener("htmx:afterSwap", () => {
  header.draw();
  view.changed?.();
});

// ---- Toolbar -------------------------------------------------------------------------------------

function toolbar() {
  const slider = document.getElementById("smoothing");
  const shown = document.getElementById("smoothing-value");
  let settle;
  slider.addEventListener("input", () => {
    shown.textContent = Number(slider.value).toFixed(2);
    store.preview(Number(slider.value));
    charts.markAll();
    clearTimeout(settle);
    settle = setTimeout(reload, 150);
  });
  document.getElementById("x-axis").addEventListener("change", (event) => {
    view.axis = event.target.value;
    charts.zoomed(null);
  });
  document.getElementById("outliers").addEventListener("change", (event) => {
    view.outliers = event.target.checked;
    charts.markAll();
  });
  document.getElementById("reset-zoom").addEventListener("click", () => charts.zoomed(null));
  view.changed = () => {
    const ended = document.getElementById("head").dataset.ended === "1";
    document.getElementById("following").textContent = view.zoom ? "Zoomed in; the range stays" : ended ? "" : "Following the newest step";
  };
  view.changed();
}

function tables() {
  const dialog = document.getElementById("table");
  for (const chart of charts.all) {
    chart.card.querySelector("[data-table]").addEventListener("click", () => {
      dialog.querySelector("h2").textContent = `${chart.figure.title}${chart.figure.unit ? `, ${chart.figure.unit}` : ""}`;
      dialog.querySelector(".body").replaceChildren(table(rows(chart, store, ROWS_IN_TABLE)));
      dialog.showModal();
    });
  }
}

function table({ names, lines, total }) {
  const made = document.createElement("table");
  const head = made.createTHead().insertRow();
  for (const name of ["Step", ...names.map((each) => each.replaceAll("_", " "))]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.className = "number";
    cell.textContent = name;
    head.append(cell);
  }
  const body = made.createTBody();
  for (const line of lines) for (const [i, text] of line.entries()) cellOf(body, i).textContent = text;
  if (total > lines.length) made.createCaption().textContent = `The newest ${lines.length} of ${total} steps; the CSV has all.`;
  return made;
}

function cellOf(body, i) {
  const row = i === 0 ? body.insertRow() : body.rows[body.rows.length - 1];
  const cell = row.insertCell();
  cell.className = "number";
  return cell;
}

if (charts) {
  toolbar();
  tables();
  reload();
}
if (!page.ended) {
  const live = new Live(page.job, page.cursor, heard, sayLive);
  document.getElementById("live")?.addEventListener("click", () => live.toggle());
  live.open();
}
