// What a chart's menu holds: axis, y range, smoothing, place on the page, and the ways out: PNG, SVG, CSV, link, table.

import { mayBeLog } from "./drawing.js";

/** Wires the menu of one chart; returns what shows the view in it. */
export function panel(chart, charts, { obey, reload }) {
  const box = chart.card.querySelector("details.menu");
  const { name } = chart.figure;
  const { view, store } = charts;
  const find = (selector) => box.querySelector(selector);
  const flags = [...box.querySelectorAll("[data-flag]")];
  const log = find('[data-flag="log"]');
  const weight = find("[data-weight]");
  const range = [find("[data-from]"), find("[data-to]")];

  function show() {
    for (const box of flags) box.checked = view[box.dataset.flag].has(name);
    log.disabled = !mayBeLog(chart.plot.data ?? []);
    find("[data-log-why]").hidden = !log.disabled;
    const own = view.ranges.get(name);
    range.forEach((input, i) => document.activeElement !== input && (input.value = own ? own[i] : ""));
    if (weight) weight.value = view.weights.get(name) ?? store.weight;
    find("[data-forget]").hidden = !view.differs(name);
    find("[data-csv]").href = csv(chart, store);
    find("[data-enlarge]").textContent = view.big === name ? "Make small again" : "Enlarge";
    if (find("[data-pin]")) find("[data-pin]").textContent = view.pin.has(name) ? "Unpin" : "Pin to the top";
  }

  const pressed = (selector, then) => find(selector)?.addEventListener("click", then);
  const toggle = (names) => names.delete(name) || names.add(name);

  function changed(anew) {
    obey();
    charts.changed();
    if (anew) reload();
  }

  for (const box of flags) {
    box.addEventListener("change", () => {
      toggle(view[box.dataset.flag]);
      changed();
    });
  }
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
    changed(true);
  });
  pressed("[data-forget]", () => {
    view.forget(name);
    changed(true);
  });
  pressed("[data-enlarge]", () => {
    view.big = view.big === name ? null : name;
    charts.changed();
    chart.card.scrollIntoView({ block: "nearest" });
  });
  for (const [selector, names] of [["[data-pin]", view.pin], ["[data-hide]", view.hide]]) {
    pressed(selector, () => {
      toggle(names);
      charts.arrange();
      charts.changed();
      const next = names === view.hide ? document.getElementById("show-hidden") : box.querySelector("summary");
      next.focus(); // what was pressed has moved, or is gone
    });
  }
  for (const format of ["png", "svg"]) pressed(`[data-${format}]`, async () => (await import("./taking.js")).picture(chart, charts, format));
  pressed("[data-table]", async () => (await import("./table.js")).showTable(chart, charts.store));
  pressed("[data-link]", async ({ currentTarget }) => (await import("./taking.js")).copyLink(currentTarget));
  for (const button of chart.card.querySelectorAll("[data-zoom]")) {
    const [factor, by] = button.dataset.zoom.split(" ").map(Number);
    button.addEventListener("click", () => charts.zoomBy(factor, by));
  }
  box.addEventListener("click", (event) => event.target.closest(".menu-panel :is(button, a):not([data-link])") && (box.open = false));
  find(".menu-panel").inert = false;
  return show;
}

function csv(chart, store) {
  const names = [...new Set(chart.figure.data.map((trace) => trace.meta.series))];
  const weight = Math.max(0, ...names.map((name) => store.weightOf(name)));
  return `/api/v1/jobs/${store.job}/metrics?format=csv&series=${names.join(",")}&smooth=${weight}`;
}
