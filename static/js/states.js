// What a card shows where there is no curve to draw: why, and what to press. One card's trouble touches no other.

import { AXES } from "./axes.js";
import { inUnit, shownIn } from "./numbers.js";

/** Show the state of a card; true if its curve is to be drawn. */
export function showState(chart, data, charts) {
  const place = chart.card.querySelector(".state");
  const state = stateOf(chart, data, charts);
  chart.card.dataset.state = state?.name ?? "drawn";
  chart.plot.setAttribute("aria-busy", String(state?.name === "loading"));
  place.hidden = !state;
  chart.plot.classList.toggle("bare", Boolean(state));
  if (!state) return true;
  const key = `${state.name} ${state.words}`;
  if (place.dataset.key === key) return false;
  place.dataset.key = key;
  const words = document.createElement("p");
  words.textContent = state.words;
  if (state.name === "one point") words.className = "stat";
  if (state.name === "loading") words.className = "skeleton";
  const icon = document.getElementById("state-icons")?.content.querySelector(`[data-for="${state.name}"] svg`);
  place.replaceChildren(...(icon ? [icon.cloneNode(true)] : []), words, ...(state.action ? [actionOf(state.action, charts)] : []));
  return false;
}

function stateOf(chart, data, { store, view }) {
  if (store.failed && !store.loaded) return { name: "error", words: `Could not load this metric (${store.failed}).`, action: "retry" };
  if (!store.loaded) return { name: "loading", words: "" };
  const held = data.filter((trace) => store.series.has(trace.meta.series));
  const names = [...new Set(held.map((trace) => trace.meta.series))];
  const most = Math.max(0, ...names.map((name) => store.series.get(name).raw.length));
  if (most < 2 && data.some((trace) => trace.meta.part === "discarded")) return null; // an earlier attempt's are there to see
  if (most === 0) {
    const { absent, waiting } = chart.figure;
    const log = chart.figure.log_url ? { url: chart.figure.log_url, label: "Show the log" } : null;
    if (absent) return { name: "empty by config", words: absent.words, action: absent.url ? absent : null };
    return { name: "waiting", words: waiting, action: log };
  }
  if (most === 1) {
    const each = store.series.get(names[0]);
    const unit = chart.figure.unit ? ` ${chart.figure.unit}` : "";
    return { name: "one point", words: `${inUnit(each.name, shownIn(chart, each.raw[0]), chart.figure.unit)}${unit} at step ${each.step[0]}. ${chart.figure.next}` };
  }
  if (held.every((trace) => trace.x.every((x) => x === null))) {
    return { name: "empty by axis", words: `This metric has no ${AXES[view.axis].title.toLowerCase() || view.axis}.`, action: "step" };
  }
  return null;
}

function actionOf(action, charts) {
  if (action.url) {
    const link = document.createElement("a");
    Object.assign(link, { className: "button", href: action.url, textContent: action.label });
    return link;
  }
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "button", textContent: action === "retry" ? "Try again" : "Use Step" });
  button.addEventListener("click", () => (action === "retry" ? charts.retry?.() : charts.useAxis?.("step")));
  return button;
}
