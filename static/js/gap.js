// The area between the smoothed train loss and the eval loss. Loaded when somebody wants it.

import { lastAt, places } from "./axes.js";
import { shownIn } from "./numbers.js";
import { css } from "./theme.js";

/** A trace of the chart that has both; null without two evaluations. */
export function gap(chart, { store, view, startedAt }) {
  const [train, evaluated] = ["loss", "eval_loss"].map((name) => store.series.get(name));
  if (!train || !evaluated) return null;
  const xs = places(evaluated, view.axis, startedAt);
  const held = evaluated.step.map((step, i) => ({ x: xs[i], above: evaluated.raw[i], below: train.smooth[lastAt(train.step, step)] }));
  const both = held.filter(({ above, below }) => Number.isFinite(above) && Number.isFinite(below));
  if (both.length < 2) return null;
  const back = both.toReversed();
  return {
    uid: "gap",
    name: "eval above train",
    type: "scatter",
    mode: "lines",
    x: [...both, ...back].map(({ x }) => x),
    y: [...both.map(({ above }) => shownIn(chart, above)), ...back.map(({ below }) => shownIn(chart, below))],
    fill: "toself",
    fillcolor: css("--trace-2"),
    opacity: 0.15,
    line: { width: 0 },
    hoverinfo: "skip",
    showlegend: false,
    meta: { series: "eval_loss", part: "gap", colour: "--trace-2" },
  };
}
