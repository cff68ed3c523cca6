// The table under a figure of many lines: each job's value where the pointer stands, the lowest first, else its last one.

import { lastAt } from "./axes.js";
import { loss, whole } from "./numbers.js";

const EVERY_MS = 500;

export function legend(card, plot) {
  const table = card.querySelector("[data-legend]");
  if (!table) return;
  const series = table.dataset.legend;
  const [head, body] = [table.querySelector("[data-head]"), table.tBodies[0]];
  const last = head.textContent;
  const hair = Object.assign(document.createElement("div"), { className: "cross", hidden: true });
  plot.after(hair);
  let at = null;
  let due = null;

  /** Rows stay where they are while the keyboard is among them. */
  function tell() {
    due = null;
    const lines = new Map(plot.data.map((trace) => [trace.uid, trace]));
    const told = [...body.rows].map((row) => ({ row, value: valueOf(lines.get(`${series}-job-${row.dataset.job}`), at) }));
    for (const { row, value } of told) row.lastElementChild.textContent = value === null ? "–" : loss(value);
    head.textContent = at === null ? last : `At step ${whole(at)}`;
    told.sort((one, other) => (one.value ?? Infinity) - (other.value ?? Infinity));
    if (!body.contains(document.activeElement)) body.append(...told.map(({ row }) => row));
  }

  function to(x, place) {
    const size = plot._fullLayout._size;
    hair.hidden = x === null;
    if (x !== null) Object.assign(hair.style, { top: `${size.t}px`, bottom: `${size.b}px`, transform: `translateX(${Math.round(place)}px)` });
    if (x === at) return;
    at = x;
    due ??= setTimeout(tell, EVERY_MS);
  }

  plot.addEventListener("pointermove", ({ clientX }) => {
    const { xaxis } = plot._fullLayout;
    const along = clientX - plot.getBoundingClientRect().left - xaxis._offset;
    to(along < 0 || along > xaxis._length ? null : xaxis.p2l(along), along + xaxis._offset);
  });
  plot.addEventListener("pointerleave", () => to(null));
}

/** Of a line at a place: its last point up to there, none before its first; without a place its very last. */
function valueOf(trace, at) {
  if (!trace) return null;
  const i = at === null ? trace.y.length - 1 : lastAt(trace.x, at);
  return trace.y[i] ?? null;
}
