// A chart's own menu: log axis, y range, smoothing, enlarging, and the ways out: PNG, SVG, CSV, link, table.

import { mayBeLog } from "./drawing.js";

export function menu(chart, charts, reload) {
  const box = chart.card.querySelector("details.menu");
  const { name } = chart.figure;
  const { view, store } = charts;
  const find = (selector) => box.querySelector(selector);
  const log = find("[data-log]");
  const weight = find("[data-weight]");
  const range = [find("[data-from]"), find("[data-to]")];
  const smoothed = [...new Set(chart.figure.data.filter((trace) => trace.meta.part === "smooth").map((trace) => trace.meta.series))];

  function show() {
    log.checked = view.log.has(name);
    if (box.open) log.disabled = !mayBeLog(chart.plot.data ?? []);
    find("[data-log-why]").hidden = !log.disabled;
    const own = view.ranges.get(name);
    range.forEach((input, i) => document.activeElement !== input && (input.value = own ? own[i] : ""));
    if (weight) weight.value = view.weights.get(name) ?? store.weight;
    find("[data-own]").hidden = !view.differs(name);
    find("[data-forget]").hidden = !view.differs(name);
    find("[data-csv]").href = csv(chart, store);
    chart.card.classList.toggle("enlarged", view.big === name);
    find("[data-enlarge]").textContent = view.big === name ? "Make small again" : "Enlarge";
  }

  function weigh() {
    for (const series of smoothed) {
      if (view.weights.has(name)) store.own.set(series, view.weights.get(name));
      else store.own.delete(series);
    }
    store.preview();
  }

  log.addEventListener("change", () => {
    if (log.checked) view.log.add(name);
    else view.log.delete(name);
    charts.changed();
  });
  for (const input of range) {
    input.addEventListener("change", () => {
      const [from, to] = range.map((each) => (each.value === "" ? NaN : Number(each.value)));
      if (from < to) view.ranges.set(name, [from, to]);
      else view.ranges.delete(name);
      charts.changed();
    });
  }
  weight?.addEventListener("change", () => {
    view.weights.set(name, Number(weight.value));
    weigh();
    charts.changed();
    reload();
  });
  find("[data-forget]").addEventListener("click", () => {
    view.forget(name);
    weigh();
    charts.changed();
    reload();
  });
  find("[data-enlarge]").addEventListener("click", () => {
    view.big = view.big === name ? null : name;
    charts.changed();
    chart.card.scrollIntoView({ block: "nearest" });
  });
  for (const format of ["png", "svg"]) find(`[data-${format}]`).addEventListener("click", async () => (await import("./taking.js")).picture(chart, charts, format));
  find("[data-table]").addEventListener("click", async () => (await import("./table.js")).showTable(chart, charts.store));
  find("[data-link]").addEventListener("click", async ({ currentTarget }) => (await import("./taking.js")).copyLink(currentTarget));
  for (const button of chart.card.querySelectorAll("[data-zoom]")) {
    const [factor, by] = button.dataset.zoom.split(" ").map(Number);
    button.addEventListener("click", () => charts.zoomBy(factor, by));
  }
  box.addEventListener("toggle", show);
  box.addEventListener("click", (event) => event.target.closest(".menu-panel :is(button, a):not([data-link])") && (box.open = false));
  weigh();
  show();
  return show;
}

function csv(chart, store) {
  const names = [...new Set(chart.figure.data.map((trace) => trace.meta.series))];
  const weight = Math.max(0, ...names.map((name) => store.weightOf(name)));
  return `/api/v1/jobs/${store.job}/metrics?format=csv&series=${names.join(",")}&smooth=${weight}`;
}
