// From a point of an evaluation to the checkpoint of its step. Loaded by the first press on one.

import { placeOf, places } from "./axes.js";
import { whole } from "./numbers.js";

const NEAR_PX = 12;

/** `at`: where the press was, in pixels of the plot; null for the place where the crosshair stands. */
export function toCheckpoint(chart, charts, at) {
  const point = nearest(chart, charts, at);
  if (!point) return;
  if (charts.store.marks.some(({ kind, step }) => kind === "checkpoint" && step === point.step)) location.assign(`?tab=checkpoints#step-${point.step}`);
  else document.getElementById("announce").textContent = `No checkpoint was saved at step ${whole(point.step)}.`;
}

function nearest(chart, { store, view, startedAt, hair }, at) {
  const { xaxis, yaxis } = chart.plot._fullLayout ?? {};
  if (!xaxis) return null;
  const across = (x) => xaxis._offset + xaxis.d2p(x);
  const found = chart.plot.data.flatMap((trace) => {
    const each = store.series.get(trace.meta.series);
    if (!each || trace.meta.part !== "raw") return [];
    const xs = places(each, view.axis, startedAt);
    return each.step.map((step, i) => ({ step, x: across(xs[i]), y: yaxis._offset + yaxis.d2p(trace.y[i]) }));
  });
  const aim = at ?? { x: across(placeOf(hair.x)) };
  const away = ({ x, y }) => Math.hypot(x - aim.x, at ? y - aim.y : 0);
  return found.filter((each) => away(each) <= NEAR_PX).sort((a, b) => away(a) - away(b))[0];
}
