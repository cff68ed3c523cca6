// Zooming by dragging over a plot with a mouse or pen; a finger scrolls the page. A double click follows again.

const LEAST_PX = 8;

export function dragging(chart, charts) {
  const { plot } = chart;
  const band = document.createElement("div");
  band.className = "dragged";
  band.hidden = true;
  plot.after(band);
  let from = null;

  const within = (event) => event.clientX - plot.getBoundingClientRect().left;
  /** A place in the card, moved into the plot's area. */
  const held = (x, axis) => Math.min(axis._offset + axis._length, Math.max(axis._offset, x));

  // Plotly would look for a point to hover or a range to drag at the same place, inside the same move.
  for (const kind of ["mousedown", "mousemove"]) {
    plot.addEventListener(kind, (event) => event.target.closest(".nsewdrag") && event.stopPropagation(), { capture: true });
  }
  plot.addEventListener("pointerdown", (event) => {
    const axis = plot._fullLayout?.xaxis;
    if (!axis || event.button !== 0 || event.pointerType === "touch" || !event.target.closest(".nsewdrag")) return;
    from = held(within(event), axis);
    plot.setPointerCapture(event.pointerId);
  });
  plot.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const to = held(within(event), plot._fullLayout.xaxis);
    band.hidden = Math.abs(to - from) < LEAST_PX;
    band.style.transform = `translateX(${Math.min(from, to)}px)`;
    band.style.width = `${Math.abs(to - from)}px`;
  });
  plot.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const axis = plot._fullLayout.xaxis;
    const ends = [from, held(within(event), axis)].sort((a, b) => a - b);
    from = null;
    band.hidden = true;
    if (ends[1] - ends[0] < LEAST_PX) charts.pressed?.(chart, { x: within(event), y: event.clientY - plot.getBoundingClientRect().top });
    else charts.zoomed(ends.map((x) => axis.p2l(x - axis._offset)));
  });
  plot.addEventListener("pointercancel", () => {
    from = null;
    band.hidden = true;
  });
  plot.addEventListener("dblclick", () => charts.zoomed(null));
}
