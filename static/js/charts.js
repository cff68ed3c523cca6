// Charts as islands: plotly comes when one is near view, and every change goes through one queue, a chart a task.

import { inUnit, significant, whole } from "./numbers.js";
import { reading } from "./reading.js";
import { summary } from "./summary.js";

const REDRAW_MS = 500;
const CLIPPED_FROM = 20;
const AXES = { step: "", epoch: "Epoch", time: "Minutes since the start" };

export class Charts {
  /** `view` is what the toolbar says: {axis, outliers, zoom}. */
  constructor(root, store, view, startedAt) {
    Object.assign(this, { root, store, view, startedAt, dirty: new Set(), drawn: new WeakSet() });
    this.all = [...root.querySelectorAll("[data-chart]")].map((card) => this.island(card));
    const near = new IntersectionObserver((seen) => this.approached(seen), { rootMargin: "50% 0%" });
    const resized = new ResizeObserver((boxes) => boxes.forEach((box) => this.mark(this.of(box.target))));
    for (const chart of this.all) {
      near.observe(chart.card);
      resized.observe(chart.plot);
    }
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.markAll());
  }

  island(card) {
    const figure = JSON.parse(card.querySelector('script[type="application/json"]').textContent);
    const chart = { card, figure, plot: card.querySelector(".plot"), near: false, revision: 0 };
    reading(chart, this);
    return chart;
  }

  of(plot) {
    return this.all.find((chart) => chart.plot === plot);
  }

  approached(seen) {
    for (const entry of seen) {
      const chart = this.all.find((each) => each.card === entry.target);
      chart.near = entry.isIntersecting;
      if (chart.near) this.mark(chart);
    }
  }

  mark(chart) {
    this.dirty.add(chart);
    this.wake();
  }

  markAll() {
    for (const chart of this.all) this.mark(chart);
  }

  /** New points: at most two redraws a second. */
  pointsCame() {
    if (this.soon) return;
    this.soon = setTimeout(() => {
      this.soon = null;
      this.markAll();
    }, REDRAW_MS);
  }

  wake() {
    if (this.pumping) return;
    this.pumping = true;
    requestAnimationFrame(() => this.pump());
  }

  async pump() {
    const chart = [...this.dirty].find((each) => each.near);
    if (!chart || document.hidden) {
      this.pumping = false;
      return;
    }
    this.dirty.delete(chart);
    await this.draw(chart);
    setTimeout(() => requestAnimationFrame(() => this.pump()));
  }

  async draw(chart) {
    const filled = chart.figure.data.map((trace) => this.filled(chart, trace));
    const points = Math.max(0, ...filled.map((trace) => trace.x.length));
    chart.card.querySelector(".waiting")?.toggleAttribute("hidden", points > 1);
    this.numbers(chart);
    if (points < 2) return;
    const plotly = await library(this.root.dataset.plotly);
    await plotly.react(chart.plot, filled, this.layout(chart, filled), chart.figure.config);
    if (!this.drawn.has(chart)) this.listen(chart);
  }

  filled(chart, trace) {
    const each = this.store.series.get(trace.meta.series);
    const colour = css(trace.meta.colour);
    const { scale } = chart.figure;
    const hidden = trace.meta.part === "smooth" && this.store.weight === 0;
    return {
      ...trace,
      x: each ? this.xs(each) : [],
      y: each ? (trace.meta.part === "smooth" ? each.smooth : each.raw).map((value) => value * scale) : [],
      visible: !hidden,
      opacity: trace.meta.part === "raw" && trace.opacity && this.store.weight === 0 ? 1 : trace.opacity,
      line: { ...trace.line, color: colour },
      ...(trace.marker ? { marker: { ...trace.marker, color: colour } } : {}),
    };
  }

  xs(each) {
    if (this.view.axis === "epoch") return each.epoch.slice();
    if (this.view.axis === "step") return each.step.slice();
    const start = this.startedAt ?? each.time[0];
    return each.time.map((time) => (time - start) / 60);
  }

  layout(chart, filled) {
    const { layout } = chart.figure;
    const colours = { gridcolor: css("--grid"), linecolor: css("--axis"), tickcolor: css("--axis") };
    const ticks = { size: 11, color: css("--muted") };
    const range = { range: this.view.zoom?.slice() ?? this.extent(), autorange: false };
    const title = { text: AXES[this.view.axis], font: ticks, standoff: 8 };
    const noisy = filled.some((trace) => trace.meta.part === "smooth");
    const y = this.view.outliers && noisy ? clipped(filled, layout.yaxis.rangemode === "tozero") : null;
    return {
      ...layout,
      width: chart.plot.clientWidth,
      height: chart.plot.clientHeight,
      font: { ...layout.font, family: css("--font"), color: css("--text") },
      hoverlabel: { bgcolor: css("--card"), bordercolor: css("--border"), font: { color: css("--text"), size: 12 } },
      ...(layout.shapes ? { shapes: layout.shapes.map((shape) => ({ ...shape, line: { ...shape.line, color: css("--axis") } })) } : {}),
      uirevision: `${this.view.axis} ${this.view.zoom}`,
      xaxis: { ...layout.xaxis, ...colours, ...range, title, tickfont: ticks, tickformat: this.view.axis === "step" ? ",~d" : ".3~g" },
      yaxis: { ...layout.yaxis, ...colours, tickfont: ticks, ...(y ? { range: y.range, autorange: false } : { autorange: true }) },
      annotations: y ? [cut(y)] : [],
    };
  }

  /** From the first to the newest point of any series: all charts share one x axis. */
  extent() {
    const ends = [...this.store.series.values()].flatMap((each) => {
      const xs = this.xs(each);
      return [xs[0], xs[xs.length - 1]];
    });
    const known = ends.filter(Number.isFinite);
    return [Math.min(...known), Math.max(...known)];
  }

  listen(chart) {
    this.drawn.add(chart);
    chart.plot.on("plotly_relayout", (change) => {
      if (change["xaxis.range[0]"] !== undefined) this.zoomed([change["xaxis.range[0]"], change["xaxis.range[1]"]]);
    });
    chart.plot.on("plotly_doubleclick", () => this.zoomed(null));
  }

  /** One zoom for all charts; null follows the newest points. */
  zoomed(range) {
    this.view.zoom = range;
    this.view.changed?.();
    this.markAll();
  }

  numbers(chart) {
    const { scale, unit } = chart.figure;
    for (const shown of chart.card.querySelectorAll("[data-now]")) {
      const name = shown.dataset.now;
      const each = this.store.series.get(name);
      const smooth = chart.figure.data.some((trace) => trace.meta.series === name && trace.meta.part === "smooth");
      const value = smooth ? this.store.lastSmooth(name) : this.store.last(name);
      shown.textContent = each && value !== undefined ? inUnit(name, value * scale, unit) : "";
    }
    summary(chart, this.store);
  }
}

/**
 * The y range without outliers, and the highest point if it is cut off. A value is an outlier when it lies further
 * beyond the 5th to 95th percentile than these are apart; null where there is none, or too few points to say.
 */
function clipped(filled, fromZero) {
  const points = filled.flatMap((trace) => trace.y.map((y, i) => ({ x: trace.x[i], y }))).filter((each) => Number.isFinite(each.y));
  if (points.length < CLIPPED_FROM) return null;
  points.sort((a, b) => a.y - b.y);
  const at = (share) => points[Math.floor(share * (points.length - 1))].y;
  const [low, high, top] = [at(0.05), at(0.95), points[points.length - 1]];
  const span = Math.max(high - low, Math.abs(high) * 0.05);
  if (top.y <= high + 2 * span && points[0].y >= low - 2 * span) return null;
  const floor = points[0].y < low - 2 * span ? low - span : points[0].y - 0.05 * span;
  return { range: [fromZero ? Math.min(0, floor) : floor, top.y > high + 2 * span ? high + span : top.y], top };
}

/** Says at the upper edge what was cut off there. */
function cut({ range, top }) {
  const text = top.y > range[1] ? `▲ max ${significant(top.y, 2)}` : "";
  return { x: top.x, y: range[1], yanchor: "top", xanchor: "left", showarrow: false, text, font: { size: 11, color: css("--muted") } };
}

export function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

let coming;
function library(url) {
  coming ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = () => resolve(globalThis.Plotly);
    script.onerror = () => reject(new Error("plotly.js did not load"));
    document.head.append(script);
  });
  return coming;
}

/** The rows of a chart's table, newest first. */
export function rows(chart, store, most) {
  const names = [...new Set(chart.figure.data.map((trace) => trace.meta.series))].filter((name) => store.series.has(name));
  const steps = new Map();
  for (const name of names) {
    const each = store.series.get(name);
    each.step.forEach((step, i) => steps.set(step, { ...steps.get(step), [name]: each.raw[i] * chart.figure.scale }));
  }
  const sorted = [...steps.keys()].sort((a, b) => b - a).slice(0, most);
  const cells = (step) => names.map((name) => (steps.get(step)[name] === undefined ? "–" : inUnit(name, steps.get(step)[name], chart.figure.unit)));
  return { names, lines: sorted.map((step) => [whole(step), ...cells(step)]), total: steps.size };
}
