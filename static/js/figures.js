// Figures that come complete with their points: coloured for the theme, drawn when near view, one a task.

import { library } from "./charts.js";
import { css, inLight } from "./theme.js";

const root = document.getElementById("figures");
const waiting = new Set();
let drawing = false;

function coloured(figure, size) {
  const data = figure.data.map((trace) => {
    const colour = css(trace.meta?.colour ?? "--axis");
    const painted = { ...trace, line: { ...trace.line, color: colour } };
    if (trace.marker) painted.marker = { ...trace.marker, color: colour, line: { ...trace.marker.line, color: css("--text") } };
    if (trace.meta?.fill) painted.fillcolor = colour;
    for (const name of ["error_x", "error_y"]) if (trace[name]) painted[name] = { ...trace[name], color: colour };
    return painted;
  });
  const { layout } = figure;
  const axis = { gridcolor: css("--grid"), linecolor: css("--axis"), tickcolor: css("--axis") };
  const dressed = (name) => ({ ...layout[name], ...axis, tickfont: { size: 11, color: css("--muted") } });
  const shapes = (layout.shapes ?? []).map((shape) => ({ ...shape, line: { ...shape.line, color: css("--axis") } }));
  const annotations = (layout.annotations ?? []).map((each) => ({ ...each, font: { ...each.font, color: css("--muted") } }));
  return {
    data,
    layout: { ...layout, ...size, shapes, annotations, font: { size: 12, family: css("--font"), color: css("--text") }, xaxis: dressed("xaxis"), yaxis: dressed("yaxis"), uirevision: "keep", hoverlabel: { bgcolor: css("--card"), bordercolor: css("--border"), font: { color: css("--text"), size: 12 } } },
  };
}

const figureOf = (card) => JSON.parse(card.querySelector('script[type="application/json"]')?.textContent ?? "null");

async function draw(card) {
  const figure = figureOf(card);
  if (!figure) return;
  const plot = card.querySelector(".plot");
  const plotly = await library(root.dataset.plotly);
  const { data, layout } = coloured(figure, { width: plot.clientWidth, height: plot.clientHeight });
  await plotly.react(plot, data, layout, figure.config);
}

async function pump() {
  if (drawing) return;
  drawing = true;
  for (const card of waiting) {
    waiting.delete(card);
    await draw(card);
    await new Promise((later) => setTimeout(() => requestAnimationFrame(later)));
  }
  drawing = false;
}

function mark(card) {
  waiting.add(card);
  pump();
}

async function save(card, format) {
  const figure = figureOf(card);
  const size = { width: 1000, height: 520 };
  const plotly = await library(root.dataset.plotly);
  const { data, layout } = inLight(() => coloured(figure, size));
  const title = { text: card.querySelector("h3").textContent, font: { size: 14 } };
  const margin = { ...layout.margin, t: 80 };
  await plotly.downloadImage({ data, layout: { ...layout, title, margin, paper_bgcolor: "#FFFFFF" }, config: figure.config }, { format, scale: 2, ...size, filename: card.dataset.figure });
}

if (root) {
  const cards = [...root.querySelectorAll("[data-figure]")];
  const near = new IntersectionObserver((seen) => seen.forEach((entry) => entry.isIntersecting && mark(entry.target)), { rootMargin: "50% 0%" });
  const drawn = (card) => card.querySelector(".js-plotly-plot");
  const resized = new ResizeObserver((boxes) => boxes.forEach((box) => drawn(box.target) && mark(box.target)));
  for (const card of cards) {
    near.observe(card);
    resized.observe(card);
    for (const button of card.querySelectorAll("[data-save]")) button.addEventListener("click", () => save(card, button.dataset.save));
  }
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => cards.filter(drawn).forEach(mark));
}
