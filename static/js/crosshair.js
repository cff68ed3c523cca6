// One place on the x axis, shown on all charts: a line on each card and the values there in the cards' heads.

import { lastAt, places, placesOf } from "./axes.js";
import { inUnit, shownIn, whole } from "./numbers.js";

const REST_MS = 150; // so long it stands still before cards out of sight follow

export class Crosshair {
  constructor(charts) {
    Object.assign(this, { charts, x: null });
  }

  /** To a place of the axis, first on what is seen of the page; null puts it away and the newest values stand in the heads again. */
  to(x, from = null) {
    if (x === this.x) return;
    this.x = x;
    this.from = from;
    if (this.due) return;
    this.due = requestAnimationFrame(() => {
      this.due = null;
      const unseen = this.charts.all.filter((chart) => !chart.seen);
      for (const chart of this.charts.all) if (chart.seen) this.show(chart);
      clearTimeout(this.resting);
      this.resting = setTimeout(() => unseen.forEach((chart) => this.show(chart)), REST_MS);
    });
  }

  show(chart) {
    const hair = chart.card.querySelector(".cross");
    const axis = chart.plot._fullLayout?.xaxis;
    const place = this.x === null || !axis || !chart.drawn ? NaN : axis._offset + axis.l2p(this.x);
    const inside = place >= (axis?._offset ?? 0) && place <= (axis?._offset ?? 0) + (axis?._length ?? 0);
    hair.hidden = !inside;
    chart.tip?.(inside ? place : NaN);
    if (inside) hair.style.transform = `translateX(${Math.round(place)}px)`;
    this.charts.numbers(chart);
  }

  /** Raw and smooth value of a series where the hair stands, or the newest. */
  valueOf(name) {
    const { store, view, startedAt } = this.charts;
    const each = store.series.get(name);
    if (!each?.raw.length) return null;
    const i = this.x === null ? each.raw.length - 1 : lastAt(placesOf(each, view.axis, startedAt), this.x);
    return i < 0 ? null : { raw: each.raw[i], smooth: each.smooth[i], step: each.step[i] };
  }
}

const MOVES = { ArrowLeft: -1, ArrowRight: 1 };

/** A focused chart reads its points by keyboard: arrows move, Shift by ten, Home and End jump, Enter goes to its checkpoint, Escape leaves. */
export function reading(chart, charts) {
  let at = null;
  chart.plot.addEventListener("keydown", (event) => {
    const each = longest(chart, charts.store);
    if (!each || event.altKey || event.ctrlKey || event.metaKey || !(event.key in MOVES || ["Home", "End", "Enter", "Escape"].includes(event.key))) return;
    event.preventDefault();
    if (event.key === "Escape") {
      at = null;
      charts.hair.to(null);
      return;
    }
    if (event.key === "Enter") {
      charts.pressed?.(chart, null);
      return;
    }
    const last = each.step.length - 1;
    const move = (MOVES[event.key] ?? 0) * (event.shiftKey ? 10 : 1);
    at = event.key === "Home" ? 0 : event.key === "End" ? last : Math.min(last, Math.max(0, (at ?? last) + move));
    charts.hair.to(places(each, charts.view.axis, charts.startedAt)[at]);
    document.getElementById("announce").textContent = spoken(chart, charts.store, each.step[at]);
  });
  chart.plot.addEventListener("blur", () => charts.hair.to(null));
}

function longest(chart, store) {
  const held = chart.figure.data.map((trace) => store.series.get(trace.meta.series)).filter((each) => each?.step.length);
  return held.sort((a, b) => b.step.length - a.step.length)[0];
}

/** "Step 412: train 0.8712, smoothed 0.8690, eval 0.9110". */
function spoken(chart, store, step) {
  const said = [];
  for (const trace of chart.figure.data) {
    const each = store.series.get(trace.meta.series);
    const i = each ? each.step.indexOf(step) : -1;
    if (i < 0 || (trace.meta.part === "smooth" && store.weightOf(each.name) === 0)) continue;
    const value = trace.meta.part === "smooth" ? each.smooth[i] : each.raw[i];
    said.push(`${trace.meta.part === "smooth" ? "smoothed" : trace.name} ${inUnit(each.name, shownIn(chart, value), chart.figure.unit)}`);
  }
  return `Step ${whole(step)}: ${said.join(", ")}`;
}
