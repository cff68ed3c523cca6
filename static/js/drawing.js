// From the store to plotly's data and layout: one chart, one theme, one view. Nothing here touches the page.

import { AXES, places } from "./axes.js";
import { marksOf } from "./marks.js";
import { significant, shownIn, whole } from "./numbers.js";
import { css } from "./theme.js";

const CLIPPED_FROM = 20;
const MARKERS_AT_MOST = 100; // beyond, markers and whiskers lie on one another and take most of the drawing

/** All traces of a chart: tails that a later attempt replaced, then the lines. */
export function traces(chart, charts) {
  const { store, view, startedAt } = charts;
  if (chart.figure.bars) return charts.barsOf(chart, charts);
  const between = view.gap.has(chart.figure.name) ? charts.gapOf?.(chart, charts) : null;
  const lines = chart.figure.data.flatMap((trace) => withRange(filled(chart, trace, store, view, startedAt), store, chart));
  return [...tails(chart, store, view, startedAt), ...(between ? [between] : []), ...lines];
}

function filled(chart, trace, store, view, startedAt) {
  const each = store.series.get(trace.meta.series);
  const colour = css(trace.meta.colour);
  const smoothing = store.weightOf(trace.meta.series) > 0;
  const y = each ? (trace.meta.part === "smooth" ? each.smooth : each.raw).map((value) => shownIn(chart, value)) : [];
  return {
    ...trace,
    x: each ? places(each, view.axis, startedAt) : [],
    y,
    visible: trace.meta.part !== "smooth" || smoothing,
    opacity: trace.meta.part === "raw" && trace.opacity && !smoothing ? 1 : trace.opacity,
    ...(trace.meta.part === "raw" && trace.hoverinfo === "skip" && !smoothing ? { hoverinfo: "all", hovertemplate: chart.figure.data.find((other) => other.hovertemplate)?.hovertemplate } : {}),
    line: { ...trace.line, color: colour },
    ...(each?.step.length > MARKERS_AT_MOST ? { mode: "lines" } : {}),
    ...(trace.meta.rows && each?.step.length <= MARKERS_AT_MOST ? { error_y: { ...whiskers(y, trace.meta.rows, chart.figure.scale), color: colour } } : {}),
    ...(trace.marker ? { marker: { ...trace.marker, color: colour } } : {}),
  };
}

/** How sure a share is that was counted on n rows: Wilson's 95 % interval, which stays inside 0 to 100 %. */
function whiskers(values, n, scale) {
  const z2 = 1.96 ** 2 / n;
  const ends = values.map((value) => {
    const p = value / scale;
    const half = Math.sqrt(z2 * p * (1 - p) + (z2 * z2) / 4) / (1 + z2);
    const shift = (p + z2 / 2) / (1 + z2) - p;
    return [(shift + half) * scale, (half - shift) * scale];
  });
  return { type: "data", symmetric: false, array: ends.map(([up]) => up), arrayminus: ends.map(([, down]) => down), thickness: 1, width: 3 };
}

/**
 * Where a point stands for many steps, their extremes behind the line, so that no spike is lost; a smoothed line has them
 * instead of its raw points.
 */
function withRange(line, store, chart) {
  const { series, part } = line.meta;
  const each = store.series.get(series);
  if (part !== "raw" || !each?.ranged) return [line];
  const behind = {
    ...line,
    uid: `${series}-range`,
    mode: "lines",
    x: line.x.flatMap((x) => [x, x]),
    y: each.low.flatMap((low, i) => [shownIn(chart, low), shownIn(chart, each.high[i])]),
    opacity: 0.28,
    hoverinfo: "skip",
    hovertemplate: null,
    showlegend: false,
    line: { ...line.line, width: 1, dash: "solid" },
    meta: { ...line.meta, part: "range" },
  };
  return store.weightOf(series) > 0 ? [behind] : [behind, line];
}

/** What earlier attempts had beyond the step from which a later one went on: faint, raw, not to be hovered. */
function tails(chart, store, view, startedAt) {
  const shown = new Map(chart.figure.data.map((trace) => [trace.meta.series, trace]));
  return store.discarded
    .filter((tail) => shown.has(tail.name))
    .map((tail) => ({
      uid: `${tail.name}-discarded-${tail.attempt}`,
      name: `attempt ${tail.attempt}, replaced`,
      type: "scatter",
      mode: tail.step.length > 1 ? "lines" : "markers",
      x: places(tail, view.axis, startedAt),
      y: tail.values.map((value) => (value === null ? null : shownIn(chart, value))),
      hoverinfo: "skip",
      opacity: 0.4,
      connectgaps: false,
      line: { width: 1, color: css(shown.get(tail.name).meta.colour) },
      marker: { size: 4, color: css(shown.get(tail.name).meta.colour) },
      meta: { series: tail.name, part: "discarded", colour: shown.get(tail.name).meta.colour },
    }));
}

export function layoutOf(chart, data, charts, size) {
  const { layout } = chart.figure;
  const { view } = charts;
  const name = chart.figure.name;
  const colours = { gridcolor: css("--grid"), linecolor: css("--axis"), tickcolor: css("--axis") };
  const ticks = { size: 11, color: css("--muted") };
  const axis = AXES[view.axis];
  const bySteps = view.axis === "step";
  const range = { range: view.zoom?.slice() ?? (bySteps ? chart.figure.span?.slice() : null) ?? charts.extent(), autorange: false };
  const y = yAxis(chart, data, view);
  const marks = view.marks ? marksOf(chart, data, charts) : { shapes: [], annotations: [] };
  const held = (each) => bySteps || each.name !== "by step";
  const lines = (layout.shapes ?? []).filter(held).map((shape) => ({ ...shape, line: { ...shape.line, color: css("--axis") } }));
  const words = (layout.annotations ?? []).filter(held).map((each) => ({ ...each, font: ticks }));
  return {
    ...layout,
    ...size,
    dragmode: false, // dragging.js zooms without redrawing first
    margin: { ...layout.margin, t: marks.annotations.some((each) => each.y === 1) ? 20 : layout.margin.t },
    font: { ...layout.font, family: css("--font"), color: css("--text") },
    hovermode: false, // hover.js reads the points
    hoverlabel: { bgcolor: css("--card"), bordercolor: css("--border"), font: { color: css("--text"), size: 12 } },
    shapes: [...lines, ...marks.shapes],
    uirevision: `${view.axis} ${view.zoom} ${view.log.has(name)}`,
    xaxis: { ...layout.xaxis, ...colours, ...range, type: axis.type, title: { text: axis.title, font: ticks, standoff: 8 }, tickfont: ticks, tickformat: axis.format },
    ...otherAxes(layout, { ...colours, tickfont: ticks }),
    yaxis: { ...layout.yaxis, ...colours, tickfont: ticks, ...y.axis },
    annotations: [...words, ...marks.annotations, ...(y.top ? [cut(y.top, y.edge)] : [])],
  };
}

/** Of charts that have more than one y axis. */
function otherAxes(layout, dress) {
  return Object.fromEntries(["yaxis2", "yaxis3"].filter((name) => layout[name]).map((name) => [name, { ...layout[name], ...dress }]));
}

/** Whether all that is drawn is above zero, as a logarithmic axis needs it. */
export function mayBeLog(data) {
  return data.every((trace) => trace.y.every((value) => !Number.isFinite(value) || value > 0));
}

function yAxis(chart, data, view) {
  const name = chart.figure.name;
  const log = view.log.has(name) && mayBeLog(data);
  const onAxis = (value) => (log ? Math.log10(value) : value);
  const type = log ? { type: "log", rangemode: "normal" } : { type: "linear" };
  const own = view.ranges.get(name);
  if (own && (!log || own[0] > 0)) return { axis: { ...type, range: own.map(onAxis), autorange: false } };
  const lines = data.filter((trace) => trace.meta.part !== "discarded" && (trace.yaxis ?? "y") === "y");
  const noisy = lines.some((trace) => trace.meta.part === "smooth");
  const clip = view.outliers && noisy ? clipped(lines, chart.figure.layout.yaxis.rangemode === "tozero" && !log) : null;
  if (!clip || (log && clip.range[0] <= 0)) return { axis: { ...type, autorange: true } };
  return { axis: { ...type, range: clip.range.map(onAxis), autorange: false }, top: clip.top.y > clip.range[1] ? clip.top : null, edge: onAxis(clip.range[1]) };
}

/**
 * The y range without outliers, and the highest point if it is cut off. A value is an outlier when it lies further
 * beyond the 5th to 95th percentile than these are apart; null where there is none, or too few points to say.
 */
function clipped(data, fromZero) {
  const points = data.flatMap((trace) => trace.y.map((y, i) => ({ x: trace.x[i], y }))).filter((each) => Number.isFinite(each.y));
  if (points.length < CLIPPED_FROM) return null;
  points.sort((a, b) => a.y - b.y);
  const at = (share) => points[Math.floor(share * (points.length - 1))].y;
  const [low, high, top] = [at(0.05), at(0.95), points.at(-1)];
  const span = Math.max(high - low, Math.abs(high) * 0.05);
  if (top.y <= high + 2 * span && points[0].y >= low - 2 * span) return null;
  const floor = points[0].y < low - 2 * span ? low - span : points[0].y - 0.05 * span;
  return { range: [fromZero ? Math.min(0, floor) : floor, top.y > high + 2 * span ? high + span : top.y + 0.05 * span], top };
}

/** Says at the upper edge what was cut off there. */
function cut(top, edge) {
  const place = Number.isInteger(top.x) && top.x < 1e9 ? ` at ${whole(top.x)}` : "";
  const text = `▲ max ${significant(top.y, 2)}${place}`;
  return { x: top.x, y: edge, yanchor: "top", xanchor: "auto", showarrow: false, text, bgcolor: css("--card"), font: { size: 11, color: css("--muted") } };
}
