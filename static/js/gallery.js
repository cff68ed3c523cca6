// The gallery's charts: cards as a job page shows them, from canned answers instead of a job's.

import { Charts } from "./charts.js";
import { menu } from "./menu.js";
import { Store } from "./store.js";
import { View } from "./view.js";

class Canned extends Store {
  async ask() {
    const { history, failed, never } = this.told;
    if (never) return new Promise(() => {});
    if (failed) throw new Error(failed);
    return history;
  }
}

for (const root of document.querySelectorAll("[data-told]")) {
  const told = JSON.parse(document.getElementById(root.dataset.told).textContent);
  const view = new View(0.6);
  view.axis = told.axis ?? "step";
  const store = Object.assign(new Canned(0, view.weight), { told });
  const charts = new Charts(root, store, view, { startedAt: 0, ending: told.ending ?? null });
  const load = async () => {
    try {
      await store.load();
    } catch (error) {
      store.failed = error.message;
    }
    charts.markAll();
  };
  charts.useAxis = (axis) => {
    view.axis = axis;
    charts.markAll();
  };
  charts.retry = load;
  for (const chart of charts.all) menu(chart, charts, load);
  load();
}
