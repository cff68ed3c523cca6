// A chart in one sentence, for those who do not see it and for those in a hurry.

import { inUnit, shownIn, whole } from "./numbers.js";

export function summary(chart, { store }) {
  const place = chart.card.querySelector("[data-summary]");
  place.dataset.help ??= place.textContent;
  const sentence = [told(chart, store), beyond(chart, store), rising(chart, store)].filter(Boolean).join(" ");
  const text = sentence ? `${sentence} ${place.dataset.help}` : place.dataset.help;
  if (place.textContent !== text) place.textContent = text;
  if (sentence) chart.plot.setAttribute("aria-label", `${chart.figure.title} by step. ${sentence} Arrow keys read the points.`);
}

function told(chart, store) {
  const trace = chart.figure.data[0];
  const each = store.series.get(trace.meta.series);
  if (!each || each.raw.length < 2 || trace.meta.part === "bar") return "";
  const held = each.smooth.map((value, i) => ({ value, step: each.step[i] })).filter(({ value }) => Number.isFinite(value));
  if (held.length < 2) return "";
  const unit = chart.figure.unit ? ` ${chart.figure.unit}` : "";
  const show = (value) => `${inUnit(each.name, shownIn(chart, value), chart.figure.unit)}${unit}`;
  const [first, last] = [held[0].value, held.at(-1).value];
  const change = Math.abs(last - first) < 1e-3 * Math.abs(first) ? `stays at ${show(last)}` : `${last < first ? "fell" : "rose"} from ${show(first)} to ${show(last)}`;
  const sentence = `${trace.name[0].toUpperCase()}${trace.name.slice(1)} ${change} by step ${whole(held.at(-1).step)}`;
  return trace.meta.part === "raw" && !/loss/.test(each.name) ? `${sentence}.` : `${sentence}; lowest ${lowest(held, show)}.`;
}

/** How many steps lie above the chart's limit, such as where gradients are clipped. */
function beyond({ figure }, store) {
  const raw = store.series.get(figure.data[0].meta.series)?.raw.filter(Number.isFinite) ?? [];
  if (!figure.limit || !raw.length) return "";
  const [limit, words] = figure.limit;
  const share = (100 * raw.filter((value) => value > limit).length) / raw.length;
  return share ? `${share >= 10 ? Math.round(share) : share.toFixed(1)} % ${words}.` : `None ${words}.`;
}

/** The eval loss rose three evaluations in a row: said, not only drawn. */
function rising({ figure }, store) {
  if (figure.name !== "loss") return "";
  const newest = store.series.get("eval_loss")?.raw.slice(-4) ?? [];
  return newest.length === 4 && newest.every((value, i) => i === 0 || value > newest[i - 1]) ? "The eval loss rose three evaluations in a row." : "";
}

function lowest(held, show) {
  const { value, step } = held.reduce((low, each) => (each.value < low.value ? each : low));
  return `${show(value)} at ${whole(step)}`;
}
