// What stands above some plots, worked out of their points: means and sums, the peak against its estimate, when a disk is full.

import { bytes, count, roughly, significant, whole } from "./numbers.js";

const LOOKED_BACK = 3600; // seconds from which a disk's pace is taken
const LEAST = 120;

export function facts(chart, charts) {
  const text = SAID[chart.figure.facts](chart, charts).filter(Boolean).join(" · ");
  const place = chart.card.querySelector("[data-facts]");
  if (place.textContent !== text) place.textContent = text;
}

const SAID = {
  throughput({ figure }, { store }) {
    const paces = (store.series.get("tokens_per_second")?.smooth ?? []).filter(Number.isFinite);
    if (!paces.length) return [];
    const mean = paces.reduce((sum, each) => sum + each, 0) / paces.length;
    return [`mean ${count(mean)} tok/s`, store.tokens && `${count(store.tokens)} tokens so far`, figure.use && `MFU ${significant(100 * mean * figure.use, 2)} %`];
  },
  memory(chart, { store, ending }) {
    const { figure } = chart;
    const found = peak(store);
    chart.peak = found; // marked in the plot, too
    if (!found) return [];
    const middle = figure.band && (figure.band[0] + figure.band[1]) / 2 / figure.scale;
    const error = middle && Math.round(100 * (found.value / middle - 1));
    return [`peak${ending ? "" : " so far"} ${bytes(found.value)} at step ${whole(found.step)}`, middle && `${error > 0 ? "+" : error < 0 ? "−" : "±"}${Math.abs(error)} % against the estimate`];
  },
  disk(chart, { store, ending }) {
    const each = store.series.get("disk_free_bytes");
    const slope = each && !ending ? pace(each) : null;
    if (slope === null) return [];
    const left = -each.raw.at(-1) / slope;
    return [slope < 0 && left < 30 * 86400 ? `full in about ${roughly(left)} at the pace of the last hour` : "not filling up"];
  },
};

/** The highest use of memory, and the first step that had it; null where nothing is known. */
function peak(store) {
  const each = store.series.get("device_memory_peak_bytes") ?? store.series.get("device_memory_bytes");
  if (!each?.high.length) return null;
  const value = each.high.reduce((most, high) => (high > most ? high : most), 0);
  return { value, step: each.step[each.high.indexOf(value)] };
}

/** Bytes a second by least squares over the last hour; null from fewer than ten points or two minutes. */
function pace({ time, raw }) {
  const from = time.findIndex((at) => at >= time.at(-1) - LOOKED_BACK);
  const [xs, ys] = [time.slice(from), raw.slice(from)];
  if (xs.length < 10 || xs.at(-1) - xs[0] < LEAST) return null;
  const mean = (values) => values.reduce((sum, each) => sum + each, 0) / values.length;
  const [x, y] = [mean(xs), mean(ys)];
  const above = xs.reduce((sum, each, i) => sum + (each - x) * (ys[i] - y), 0);
  return above / xs.reduce((sum, each) => sum + (each - x) ** 2, 0);
}
