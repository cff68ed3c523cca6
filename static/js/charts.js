// Charts as islands: plotly comes when one is near view, and every change goes through one queue, a chart a task. What
// somebody did is drawn first; new points wait while the page is being used, take a fifth of the time at most, and are
// drawn only where they are seen: on the screen, and half a pixel on.

import { places, placeOf } from "./axes.js";
import { Crosshair, reading } from "./crosshair.js";
import { dragging } from "./dragging.js";
import { layoutOf, traces } from "./drawing.js";
import { inUnit, shownIn } from "./numbers.js";
import { showState } from "./states.js";

const REDRAW_MS = 500;
const REST = 4; // times as long as drawing new points took, nothing is drawn for newer ones
const QUIET_MS = 250;
const FRAMES_MS = 50;
const LOOK_MS = 150;
const QUIET_AT_MOST_MS = 2000;
const LEAST_PX = 0.5; // a curve that grew by less is drawn anew only once it is old
const OLD_MS = 10000;
const USED = ["pointerdown", "pointermove", "keydown", "wheel"];

export class Charts {
  /** `view` is how they are looked at; `ending` what is said at the end of the lines, or null. */
  constructor(root, store, view, { startedAt, ending }) {
    Object.assign(this, { root, store, view, startedAt, ending, hair: new Crosshair(this) });
    Object.assign(this, { dirty: new Set(), grown: new Set(), pace: 0, usedAt: -Infinity, grownAt: 0 });
    this.all = [...root.querySelectorAll("[data-chart]")].map((card) => this.island(card));
    const near = new IntersectionObserver((boxes) => this.approached(boxes), { rootMargin: "50% 0%" });
    const seen = new IntersectionObserver((boxes) => this.appeared(boxes));
    const resized = new ResizeObserver((boxes) => boxes.forEach(({ target, contentRect }) => this.resized(this.of(target), contentRect)));
    for (const chart of this.all) {
      near.observe(chart.card);
      seen.observe(chart.card);
      resized.observe(chart.plot);
    }
    for (const kind of USED) document.addEventListener(kind, () => (this.usedAt = performance.now()), { capture: true, passive: true });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.markAll());
  }

  island(card) {
    const figure = JSON.parse(card.querySelector('script[type="application/json"]').textContent);
    const chart = { card, figure, plot: card.querySelector(".plot"), near: false, seen: false, drawn: false };
    card.addEventListener("pointerenter", async () => (await import("./hover.js")).hover(chart, this), { once: true });
    reading(chart, this);
    dragging(chart, this);
    return chart;
  }

  /** The series that the cards draw. */
  names() {
    return this.all.flatMap(({ figure }) => [...figure.data.map((trace) => trace.meta.series), ...(figure.also ?? [])]);
  }

  of(part) {
    return this.all.find((chart) => chart.card === part || chart.plot === part);
  }

  approached(boxes) {
    for (const box of boxes) {
      const chart = this.of(box.target);
      chart.near = box.isIntersecting;
      if (chart.near && !chart.drawn) this.dirty.add(chart);
    }
    this.wake();
  }

  appeared(boxes) {
    for (const box of boxes) {
      const chart = this.of(box.target);
      chart.seen = box.isIntersecting;
      if (chart.seen && this.hair.x !== null) this.hair.show(chart);
    }
    this.wake();
  }

  /** Remembered, for to ask the browser for a size makes it lay out the page at once. */
  resized(chart, { width, height }) {
    chart.size = { width: Math.round(width), height: Math.round(height) };
    this.mark(chart);
  }

  mark(chart) {
    this.dirty.add(chart);
    this.wake();
  }

  markAll() {
    for (const chart of this.all) this.mark(chart);
  }

  /** New points: at most two redraws a second, fewer where drawing takes long. */
  pointsCame() {
    if (this.soon) return;
    const seen = this.all.filter((chart) => chart.seen).length;
    this.soon = setTimeout(() => {
      this.soon = null;
      this.grownAt = performance.now();
      for (const chart of this.all) this.grown.add(chart);
      for (const chart of this.all) if (chart.seen && !this.moved(chart)) this.numbers(chart);
      this.wake();
      clearTimeout(this.aging);
      this.aging = setTimeout(() => this.wake(), OLD_MS);
    }, Math.max(REDRAW_MS, REST * seen * this.pace));
  }

  /** Whether new points are to be seen on what is drawn: at 100,000 steps one more is less than a hundredth of a pixel. */
  moved(chart) {
    if (!chart.drawn || performance.now() - chart.drawnAt >= OLD_MS) return true;
    const [from, to] = this.view.zoom ?? this.extent();
    return (this.extent()[1] - chart.until) * chart.size.width > LEAST_PX * (to - from);
  }

  wake() {
    if (this.pumping || document.hidden) return; // a hidden tab draws nothing; shown again, it is woken
    this.pumping = true;
    this.later(() => this.pump());
  }

  /** After the next frame is on the screen: whoever pressed something sees the answer to it first. */
  later(then) {
    requestAnimationFrame(() => setTimeout(then));
  }

  async pump() {
    const [dirty, grown] = [[...this.dirty], [...this.grown]];
    const changed = dirty.find((each) => each.seen);
    const chart = changed ?? dirty.find((each) => each.near) ?? grown.find((each) => each.seen && this.moved(each));
    if (!chart || document.hidden) {
      this.pumping = false;
      return;
    }
    if (this.givesWay()) this.later(() => this.pump());
    else if (changed || this.quiet(chart)) {
      this.dirty.delete(chart);
      this.grown.delete(chart);
      await this.draw(chart);
      this.later(() => this.pump());
    } else this.rest();
  }

  /** Whether somebody has done something just now: the frame that answers it comes before the next chart, once for each. */
  givesWay() {
    const pressed = performance.now() - this.usedAt < FRAMES_MS || navigator.scheduling?.isInputPending?.();
    this.gaveWay = Boolean(pressed) && !this.gaveWay;
    return this.gaveWay;
  }

  /** For as long as the page may be in use; what somebody does meanwhile is drawn at once. */
  rest() {
    this.pumping = false;
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.wake(), QUIET_MS);
  }

  /** Nobody is using the page just now, or new points have waited long enough for that; what is out of sight waits on. */
  quiet(chart) {
    const now = performance.now();
    return now - this.usedAt > QUIET_MS || (chart.seen && now - this.grownAt > QUIET_AT_MOST_MS);
  }

  async draw(chart) {
    if (chart.figure.bars) this.barsOf ??= (await import("./bars.js")).bars;
    const data = traces(chart, this);
    this.numbers(chart);
    if (chart.figure.facts) (await import("./facts.js")).facts(chart, this);
    if (!showState(chart, data, this)) return;
    const plotly = await this.library();
    const began = performance.now();
    await plotly.react(chart.plot, data, layoutOf(chart, data, this, chart.size), chart.figure.config);
    this.pace += 0.3 * (performance.now() - began - this.pace);
    if (!chart.drawn) this.listen(chart);
    Object.assign(chart, { drawnAt: performance.now(), until: this.extent()[1] });
    if (this.hair.x !== null) this.hair.show(chart);
  }

  /** Having come just now it has taken its time: drawing is a task of its own. */
  async library() {
    const here = globalThis.Plotly;
    const plotly = await library(this.root.dataset.plotly);
    if (!here) await new Promise((done) => this.later(done));
    return plotly;
  }

  /** What is not drawn yet has its newest number in its head; a card whose numbers this training never tells is left away. */
  settle() {
    for (const chart of this.all) {
      if (!chart.drawn) this.numbers(chart);
      const held = chart.figure.data.some(({ meta }) => this.store.series.has(meta.series));
      chart.card.classList.toggle("untold", Boolean(chart.figure.bars) && !held && this.store.series.has("loss"));
    }
  }

  /** From the first to the newest point of any series: all charts share one x axis. */
  extent() {
    const key = `${this.store.changes} ${this.view.axis}`;
    if (this.spanned?.key !== key) this.spanned = { key, range: this.span() };
    return this.spanned.range.slice();
  }

  span() {
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
  }

  /** One zoom for all charts; null follows the newest points. */
  zoomed(range) {
    this.view.zoom = range;
    this.changed();
    clearTimeout(this.looking);
    this.looking = setTimeout(() => this.look(), LOOK_MS);
  }

  /** Finer buckets of what is zoomed in on; the old curve stays until they are here. */
  look() {
    const steps = this.stepsOf(this.view.zoom);
    if (String(steps) === String(this.store.range)) return;
    this.store.range = steps;
    this.retry?.();
  }

  stepsOf(zoom) {
    const [most] = [...this.store.series.values()].sort((a, b) => b.step.length - a.step.length);
    if (!zoom || !most?.ranged) return null;
    const xs = places(most, this.view.axis, this.startedAt);
    const before = xs.findLastIndex((x) => x !== null && x < zoom[0]);
    const behind = xs.findIndex((x) => x > zoom[1]);
    return [most.step.at(Math.max(0, before)), most.step.at(behind)];
  }

  /** The view is another one: all that it touches is drawn anew, and the address and the controls say it once the next frame is there. */
  changed(touched = this.all) {
    for (const chart of touched) this.mark(chart);
    if (this.telling) return;
    this.telling = true;
    this.later(() => {
      this.telling = false;
      this.view.save();
      this.told?.();
    });
  }

  /** The zoom moved or narrowed around its middle: `by` shares of its width, `factor` of it. */
  zoomBy(factor, by = 0) {
    const [from, to] = this.view.zoom ?? this.extent();
    const [middle, half] = [(from + to) / 2 + by * (to - from), ((to - from) / 2) * factor];
    this.zoomed([middle - half, middle + half]);
  }

  numbers(chart) {
    const { unit } = chart.figure;
    for (const shown of chart.card.querySelectorAll("[data-now]")) {
      const name = shown.dataset.now;
      const value = this.hair.valueOf(name);
      const smooth = this.hair.x === null && chart.figure.data.some((trace) => trace.meta.series === name && trace.meta.part === "smooth");
      shown.textContent = value ? inUnit(name, shownIn(chart, smooth ? value.smooth : value.raw), unit) : "";
    }
    const note = chart.card.querySelector("[data-smoothing]");
    const weight = note ? this.store.weightOf(note.dataset.smoothing) : 0;
    if (note) note.textContent = weight ? `smoothed ${weight.toFixed(2)}, debiased average` : "";
    if (this.hair.x === null) import("./summary.js").then(({ summary }) => summary(chart, this));
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
