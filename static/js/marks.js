// What happened along the way, on a chart's axis: attempts, checkpoints, the best one, values that are no numbers, the end.

import { places } from "./axes.js";
import { whole } from "./numbers.js";
import { css } from "./theme.js";

const ODD_AT_MOST = 3;
const CHECKPOINTS_AT_MOST = 40;

/** Shapes and annotations of one chart. */
export function marksOf(chart, data, charts) {
  const at = (step) => charts.atStep(step);
  const made = { shapes: [], annotations: [] };
  for (const mark of charts.store.marks) {
    if (mark.kind === "attempt") seam(made, at(mark.step), mark, chart);
    if (mark.kind === "best") best(made, at(mark.step), mark, chart);
  }
  const kept = charts.store.marks.filter((mark) => mark.kind === "checkpoint").slice(-CHECKPOINTS_AT_MOST);
  for (const mark of kept) checkpoint(made, at(mark.step), mark);
  odd(made, chart, charts);
  if (chart.peak) highest(made, at(chart.peak.step), chart);
  if (charts.ending) end(made, charts, chart);
  return made;
}

function line(x, colour, dash) {
  return { type: "line", x0: x, x1: x, yref: "paper", y0: 0, y1: 1, layer: "below", line: { width: 1, dash, color: css(colour) } };
}

function label(x, y, text, colour, more) {
  return { x, y, yref: "paper", showarrow: false, text, font: { size: 11, color: css(colour) }, ...more };
}

function seam(made, x, mark, chart) {
  if (x === null) return;
  const words = `attempt ${mark.attempt}, resumed from ${whole(mark.step)}`;
  made.shapes.push(line(x, "--axis", "dot"));
  made.annotations.push(label(x, 1, roomy(chart) ? words : `attempt ${mark.attempt}`, "--muted", { yanchor: "bottom", xanchor: "auto", hovertext: words }));
}

function checkpoint(made, x, mark) {
  if (x === null) return;
  made.annotations.push(label(x, 0, "▴", "--muted", { yanchor: "bottom", font: { size: 9, color: css("--muted") }, hovertext: `checkpoint, step ${whole(mark.step)}` }));
}

function best(made, x, mark, chart) {
  if (x === null) return;
  made.shapes.push(line(x, "--good-text", "dash"));
  if (chart.figure.wide) made.annotations.push(label(x, 0, "best", "--good-text", { yanchor: "bottom", xanchor: "auto", bgcolor: css("--card"), hovertext: `best so far, step ${whole(mark.step)}` }));
}

/** Whether a long label has its place above the plot. */
function roomy(chart) {
  return chart.size.width > 560;
}

/** A gap in the line, and in red where and what it was. */
function odd(made, chart, charts) {
  const found = [];
  for (const name of new Set(chart.figure.data.map((trace) => trace.meta.series))) {
    const each = charts.store.series.get(name);
    if (!each) continue;
    const xs = places(each, charts.view.axis, charts.startedAt);
    each.raw.forEach((value, i) => Number.isFinite(value) || found.push({ x: xs[i], step: each.step[i], word: Number.isNaN(value) ? "NaN" : "∞" }));
  }
  for (const { x } of found) made.shapes.push({ ...line(x, "--bad-text", "solid"), y1: 0.05, line: { width: 3, color: css("--bad-text") } });
  found.slice(0, ODD_AT_MOST).forEach(({ x, step, word }, i) => {
    const more = i === ODD_AT_MOST - 1 && found.length > ODD_AT_MOST ? ` and ${found.length - ODD_AT_MOST} more` : "";
    made.annotations.push(label(x, 0.05 + 0.09 * i, `${word} at step ${whole(step)}${more}`, "--bad-text", { yanchor: "bottom", xanchor: "auto", bgcolor: css("--card") }));
  });
}

/** The highest use of memory, where it first came to that. */
function highest(made, x, { peak, figure }) {
  if (x === null) return;
  made.annotations.push(label(x, peak.value * figure.scale, "▾ peak", "--text", { yref: "y", yanchor: "bottom", xanchor: "auto", hovertext: `step ${whole(peak.step)}` }));
}

function end(made, charts, chart) {
  const x = charts.extent()[1];
  made.shapes.push(line(x, "--axis", "solid"));
  if (!chart.figure.wide) return;
  made.annotations.push(label(x, 1, charts.ending.words, charts.ending.colour, { yanchor: "bottom", xanchor: "right", hovertext: charts.ending.why }));
}
