// A chart in one sentence, for those who do not see it and for those in a hurry.

import { inUnit, whole } from "./numbers.js";

export function summary(chart, store) {
  const place = chart.card.querySelector("[data-summary]");
  place.dataset.help ??= place.textContent;
  const sentence = told(chart, store);
  const text = sentence ? `${sentence} ${place.dataset.help}` : place.dataset.help;
  if (place.textContent !== text) place.textContent = text;
  if (sentence) chart.plot.setAttribute("aria-label", `${chart.figure.title} by step. ${sentence} Arrow keys read the points.`);
}

function told(chart, store) {
  const trace = chart.figure.data[0];
  const each = store.series.get(trace.meta.series);
  if (!each || each.raw.length < 2) return "";
  const values = each.smooth.filter(Number.isFinite);
  if (values.length < 2) return "";
  const show = (value) => `${inUnit(each.name, value * chart.figure.scale, chart.figure.unit)}${chart.figure.unit ? ` ${chart.figure.unit}` : ""}`;
  const [first, last] = [values[0], values[values.length - 1]];
  const change = Math.abs(last - first) < 1e-3 * Math.abs(first) ? `stays at ${show(last)}` : `${last < first ? "fell" : "rose"} from ${show(first)} to ${show(last)}`;
  return `${trace.name[0].toUpperCase()}${trace.name.slice(1)} ${change} by step ${whole(each.step[each.step.length - 1])}.`;
}
