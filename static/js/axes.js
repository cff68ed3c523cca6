// The x axes a chart can be drawn over, and where a step lies on each of them.

const ZONE_MS = new Date().getTimezoneOffset() * 60000;

/** Title under the axis, tick format, and plotly's type. */
export const AXES = {
  step: { title: "", format: ",~d", type: "linear" },
  epoch: { title: "Epoch", format: ".3~g", type: "linear" },
  time: { title: "Minutes since the start", format: ".3~g", type: "linear" },
  wall: { title: "", format: "", type: "date" },
  tokens: { title: "Tokens", format: ".3~s", type: "linear" },
};

/** The places of points `{step, epoch, time, tokens}` (columns) on an axis; null where there is none. */
export function places(columns, axis, startedAt) {
  if (axis === "wall") return columns.time.map((time) => time * 1000 - ZONE_MS); // plotly draws dates as UTC
  if (axis !== "time") return columns[axis].slice();
  const start = startedAt ?? columns.time[0];
  return columns.time.map((time) => (time - start) / 60);
}

const placed = new WeakMap();

/** The same for reading only, worked out once for each length of a growing series. */
export function placesOf(columns, axis, startedAt) {
  const key = `${axis} ${startedAt} ${columns.step.length}`;
  if (placed.get(columns)?.key !== key) placed.set(columns, { key, xs: places(columns, axis, startedAt) });
  return placed.get(columns).xs;
}

/** A place as plotly gives it back in an event: dates come as text. */
export function placeOf(value) {
  return typeof value === "string" ? Date.parse(`${value.replace(" ", "T")}Z`) : value;
}

/** Index of the last place that is not beyond `x`; -1 before the first. */
export function lastAt(xs, x) {
  let [low, high] = [0, xs.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
