// Steps' mean seconds by part, stacked: a bar for so many steps that about fifty stand side by side. Loaded by its chart.

import { placesOf } from "./axes.js";
import { whole } from "./numbers.js";
import { css } from "./theme.js";

const BARS = 50;

/** One bar trace a part; all parts are logged with the same steps. */
export function bars(chart, { store, view, startedAt }) {
  const held = chart.figure.data.map((trace) => store.series.get(trace.meta.series));
  const longest = held.filter(Boolean).sort((a, b) => b.step.length - a.step.length)[0];
  const bins = longest ? grouped(longest.step, view.axis === "step" ? view.zoom : null) : { width: 1, of: [] };
  const note = chart.card.querySelector("[data-facts]");
  if (note) note.textContent = bins.width > 1 ? `each bar the mean of ${whole(bins.width)} steps` : "each bar one step";
  const xs = longest ? placesOf(longest, view.axis, startedAt) : [];
  const middle = ({ from, members }) => (view.axis === "step" ? from + (bins.width - 1) / 2 : xs[members[members.length >> 1]]);
  return chart.figure.data.map((trace, i) => ({
    ...trace,
    x: held[i] ? bins.of.map(middle) : [],
    y: held[i] ? bins.of.map(({ members }) => chart.figure.scale * mean(held[i], members)) : [],
    ...(view.axis === "step" ? { width: bins.width } : {}),
    hoverinfo: "skip",
    marker: { color: css(trace.meta.colour), line: { width: 0 } },
  }));
}

/** Indices of steps in groups of a round number of steps. */
function grouped(steps, zoom) {
  const [first, last] = zoom ?? [steps[0], steps.at(-1)];
  const width = round(Math.max(1, (last - first + 1) / BARS));
  const of = [];
  steps.forEach((step, i) => {
    const from = Math.floor((step - 1) / width) * width + 1;
    if (of.at(-1)?.from !== from) of.push({ from, members: [] });
    of.at(-1).members.push(i);
  });
  return { width, of };
}

/** The next of 1, 2, 5, 10, 20 … */
function round(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return power * [1, 2, 5, 10].find((each) => each * power >= least - 1e-9);
}

/** A point stands for all steps since the one before it. */
function mean({ step, raw }, members) {
  let [sum, weight] = [0, 0];
  for (const i of members) {
    const stands = step[i] - (i ? step[i - 1] : step[i] - 1);
    if (!Number.isFinite(raw[i])) continue;
    sum += stands * raw[i];
    weight += stands;
  }
  return weight ? sum / weight : null;
}
