// The job page: ties the stream to the store, the store to charts and header, and the toolbar to both.

import { Charts } from "./charts.js";
import { Header } from "./header.js";
import { Live } from "./live.js";
import { logTail } from "./log.js";
import { menu } from "./menu.js";
import { news } from "./news.js";
import { sayLive } from "./page.js";
import { Store } from "./store.js";
import { toolbar } from "./toolbar.js";
import { View } from "./view.js";

const page = JSON.parse(document.getElementById("page-data").textContent);
const box = document.getElementById("charts");
const view = new View(page.smoothing ?? 0);
const store = new Store(page.job, view.weight);
const header = new Header(store, page.total_steps);
const charts = box && new Charts(box, store, view, { startedAt: page.started_at, ending: page.ending });
const addLine = logTail();
const live = page.ended ? null : new Live(page.job, page.cursor, heard, said);
const tell = charts && live ? news(store, live, page) : () => {};

store.loaded = !charts; // pages without charts ask for no history
for (const name of charts?.names() ?? []) store.names.add(name);

async function reload() {
  if (!charts) return;
  try {
    await store.load();
    header.draw();
  } catch (error) {
    store.failed = error.message;
  }
  charts.settle();
  charts.markAll();
}

let telling;
/** The server's fragments (badge, buttons, results) are fetched again, at most once a second. */
function changed() {
  telling ??= setTimeout(() => {
    telling = null;
    document.body.dispatchEvent(new CustomEvent("job-changed"));
  }, 300);
}

function said(state, words) {
  sayLive(state, words);
  tell(state, words);
  if (state === "live") charts?.markAll(); // what came while the tab was hidden
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
      if (message.resumed_step) reload();
      changed();
      break;
    case "checkpoint":
      store.marks = [...store.marks, { kind: "checkpoint", step: message.step }];
      charts?.pointsCame();
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
  charts?.told?.();
});

if (charts) {
  const bar = toolbar(charts, reload);
  const menus = charts.all.map((chart) => menu(chart, charts, reload));
  charts.told = () => [bar, ...menus].forEach((show) => show());
  charts.retry = reload;
  charts.pressed = async (chart, at) => {
    if (chart.figure.data[0].meta.series.startsWith("eval_")) (await import("./checkpoints.js")).toCheckpoint(chart, charts, at);
  };
  charts.told();
  reload().then(() => charts.look());
}
document.getElementById("live")?.addEventListener("click", () => live?.toggle());
live?.open();
