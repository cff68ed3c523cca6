// Charts as islands: plotly comes when one is near view, and every change goes through one queue, a chart a task.

import { places, placeOf } from "./axes.js";
import { Crosshair, reading } from "./crosshair.js";
import { layoutOf, traces } from "./drawing.js";
import { inUnit, whole } from "./numbers.js";
import { showState } from "./states.js";
import { summary } from "./summary.js";

const REDRAW_MS = 500;

export class Charts {
  /** `view` is how they are looked at; `ending` what is said at the end of the lines, or null. */
  constructor(root, store, view, { startedAt, ending }) {
    Object.assign(this, { root, store, view, startedAt, ending, dirty: new Set(), hair: new Crosshair(this) });
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
    const chart = { card, figure, plot: card.querySelector(".plot"), near: false, drawn: false };
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
    if (this.pumping || document.hidden) return; // a hidden tab draws nothing; shown again, it is woken
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
    const data = traces(chart, this);
    this.numbers(chart);
    if (!showState(chart, data, this)) return;
    const plotly = await library(this.root.dataset.plotly);
    const size = { width: chart.plot.clientWidth, height: chart.plot.clientHeight };
    await plotly.react(chart.plot, data, layoutOf(chart, data, this, size), chart.figure.config);
    if (!chart.drawn) this.listen(chart);
    if (this.hair.x !== null) this.hair.show(chart);
  }

  /** From the first to the newest point of any series: all charts share one x axis. */
  extent() {
    const ends = [...this.store.series.values()].flatMap((each) => {
      const xs = places(each, this.view.axis, this.startedAt).filter(Number.isFinite);
      return xs.length ? [xs[0], xs.at(-1)] : [];
    });
    return ends.length ? [Math.min(...ends), Math.max(...ends)] : [0, 1];
  }

  /** Where a step lies on the axis of now; null where no point is near it. */
  atStep(step) {
    if (this.view.axis === "step") return step;
    const each = [...this.store.series.values()].sort((a, b) => b.step.length - a.step.length)[0];
    const i = each ? each.step.findIndex((held) => held >= step) : -1;
    return i < 0 ? null : (places(each, this.view.axis, this.startedAt)[i] ?? null);
  }

  listen(chart) {
    chart.drawn = true;
    chart.plot.on("plotly_relayout", (change) => {
      if (change["xaxis.range[0]"] === undefined) return;
      this.zoomed([placeOf(change["xaxis.range[0]"]), placeOf(change["xaxis.range[1]"])]);
    });
    chart.plot.on("plotly_doubleclick", () => this.zoomed(null));
    chart.plot.on("plotly_hover", ({ points }) => this.hair.to(placeOf(points[0].x), chart));
    chart.plot.on("plotly_unhover", () => this.hair.to(null));
  }

  /** One zoom for all charts; null follows the newest points. */
  zoomed(range) {
    this.view.zoom = range;
    this.changed();
  }

  /** The view is another one: the address says it, and all is drawn anew. */
  changed() {
    this.view.save();
    this.told?.();
    this.markAll();
  }

  /** The zoom moved or narrowed around its middle: `by` shares of its width, `factor` of it. */
  zoomBy(factor, by = 0) {
    const [from, to] = this.view.zoom ?? this.extent();
    const [middle, half] = [(from + to) / 2 + by * (to - from), ((to - from) / 2) * factor];
    this.zoomed([middle - half, middle + half]);
  }

  numbers(chart) {
    const { scale, unit } = chart.figure;
    for (const shown of chart.card.querySelectorAll("[data-now]")) {
      const name = shown.dataset.now;
      const value = this.hair.valueOf(name);
      const smooth = this.hair.x === null && chart.figure.data.some((trace) => trace.meta.series === name && trace.meta.part === "smooth");
      shown.textContent = value ? inUnit(name, (smooth ? value.smooth : value.raw) * scale, unit) : "";
    }
    const note = chart.card.querySelector("[data-smoothing]");
    const weight = note ? this.store.weightOf(note.dataset.smoothing) : 0;
    if (note) note.textContent = weight ? `smoothed ${weight.toFixed(2)}, debiased average` : "";
    if (this.hair.x === null) summary(chart, this);
  }
}

let coming;
export function library(url) {
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
