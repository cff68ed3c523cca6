// What a mouse over a plot reads: the nearest point's values in a box beside it. Our own, for plotly's labels are measured
// and drawn anew inside each move. Loaded when a pointer first comes over a plot.

import { lastAt, placesOf } from "./axes.js";
import { inUnit, significant, whole } from "./numbers.js";

export function hover(chart, charts) {
  const { plot } = chart;
  const tip = document.createElement("div");
  Object.assign(tip, { className: "tip", hidden: true, ariaHidden: "true" });
  plot.after(tip);
  const lines = new Map();
  const head = line(tip, null);
  for (const trace of chart.figure.data) {
    const { series, colour } = trace.meta;
    if (!lines.has(series)) lines.set(series, line(tip, { name: trace.name, colour }));
  }

  plot.addEventListener("pointermove", (event) => {
    if (event.buttons || event.pointerType === "touch") return;
    const axis = chart.drawn && plot._fullLayout?.xaxis;
    if (!axis) return;
    const along = event.clientX - plot.getBoundingClientRect().left - axis._offset;
    charts.hair.to(along < 0 || along > axis._length ? null : nearest(chart, charts, axis.p2l(along)), chart);
  });
  plot.addEventListener("pointerleave", () => charts.hair.to(null));

  /** Called with the crosshair, once a frame: nothing here asks the browser for a size. */
  chart.tip = (place) => {
    const { hair } = charts;
    tip.hidden = hair.x === null || hair.from !== chart || !Number.isFinite(place);
    if (tip.hidden) return;
    const axis = plot._fullLayout.xaxis;
    let step = null;
    for (const [series, row] of lines) {
      const value = hair.valueOf(series);
      row.hidden = !value;
      if (!value) continue;
      step ??= value.step;
      row.lastChild.textContent = said(chart, charts, series, value, value.step === step ? "" : ` at ${whole(value.step)}`);
    }
    head.lastChild.textContent = headed(charts, hair.x, step);
    const left = place > axis._offset + axis._length / 2;
    tip.style.transform = `translateX(${Math.round(place + (left ? -10 : 10))}px)${left ? " translateX(-100%)" : ""}`;
  };
}

function line(tip, of) {
  const row = document.createElement("p");
  if (of) {
    const mark = document.createElement("i");
    mark.style.borderColor = `var(${of.colour})`;
    row.append(mark, `${of.name} `);
  }
  row.append(document.createElement("b"));
  tip.append(row);
  return row;
}

/** The place of a point of the chart's longest series. */
function nearest(chart, { store, view, startedAt }, x) {
  const held = chart.figure.data.map((trace) => store.series.get(trace.meta.series)).filter((each) => each?.step.length);
  const [most] = held.sort((a, b) => b.step.length - a.step.length);
  if (!most) return null;
  const xs = placesOf(most, view.axis, startedAt);
  const i = Math.max(0, lastAt(xs, x));
  return i + 1 < xs.length && xs[i + 1] - x < x - xs[i] ? xs[i + 1] : xs[i];
}

function said(chart, { store }, series, { raw, smooth }, where) {
  const { scale, unit } = chart.figure;
  const shown = (value) => inUnit(series, chart.exponential ? Math.exp(value) : value * scale, unit);
  const drawnSmooth = store.weightOf(series) && chart.figure.data.some(({ meta }) => meta.series === series && meta.part === "smooth");
  return drawnSmooth ? `${shown(smooth)} (raw ${shown(raw)})${where}` : `${shown(raw)}${where}`;
}

function headed({ view }, x, step) {
  if (view.axis === "step") return `Step ${whole(step ?? x)}`;
  const place = view.axis === "wall" ? new Date(x).toISOString().slice(0, 19).replace("T", " ") : significant(x, 4);
  return step === null ? place : `${place}, step ${whole(step)}`;
}
