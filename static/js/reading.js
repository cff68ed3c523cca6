// A focused chart reads its points by keyboard: arrows move, Shift by ten, Home and End jump, Escape leaves.

import { inUnit, whole } from "./numbers.js";

const MOVES = { ArrowLeft: -1, ArrowRight: 1 };

export function reading(chart, charts) {
  let at = null;
  chart.plot.addEventListener("keydown", (event) => {
    const steps = stepsOf(chart, charts.store);
    if (!steps.length || !(event.key in MOVES || ["Home", "End", "Escape"].includes(event.key))) return;
    event.preventDefault();
    if (event.key === "Escape") {
      at = null;
      globalThis.Plotly?.Fx.unhover(chart.plot);
      return;
    }
    const last = steps.length - 1;
    const move = (MOVES[event.key] ?? 0) * (event.shiftKey ? 10 : 1);
    at = event.key === "Home" ? 0 : event.key === "End" ? last : Math.min(last, Math.max(0, (at ?? last) + move));
    show(chart, charts, steps[at], at);
  });
}

function stepsOf(chart, store) {
  return store.series.get(chart.figure.data[0].meta.series)?.step ?? [];
}

function show(chart, charts, step, at) {
  const curve = chart.figure.data.findIndex((trace) => trace.hoverinfo !== "skip");
  globalThis.Plotly?.Fx.hover(chart.plot, [{ curveNumber: curve, pointNumber: at }]);
  const said = new Map();
  for (const trace of chart.figure.data) {
    const each = charts.store.series.get(trace.meta.series);
    const i = each ? each.step.indexOf(step) : -1;
    if (i >= 0) said.set(trace.name, inUnit(each.name, each.raw[i] * chart.figure.scale, chart.figure.unit));
  }
  const values = [...said].map(([name, value]) => `${name} ${value}`).join(", ");
  document.getElementById("announce").textContent = `Step ${whole(step)}: ${values}`;
}
