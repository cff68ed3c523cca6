// Figures that come complete with their points: coloured for the theme, drawn when near view, one a task.

import { library } from "./charts.js";
import { dim, follow, rows } from "./highlight.js";
import { legend } from "./legend.js";
import { inLight } from "./light.js";
import { coloured } from "./painting.js";
import { css } from "./theme.js";

const root = document.getElementById("figures");
const waiting = new Set();
let drawing = false;

const figureOf = (card) => JSON.parse(card.querySelector('script[type="application/json"]')?.textContent ?? "null");

async function draw(card) {
  const figure = figureOf(card);
  if (!figure) return;
  const plot = card.querySelector(".plot");
  const plotly = await library(root.dataset.plotly);
  const { data, layout } = coloured(figure, { width: plot.clientWidth, height: plot.clientHeight }, css);
  const first = !plot.data;
  await plotly.react(plot, data, layout, figure.config);
  dim(plot);
  if (!first) return;
  follow(root, plot);
  legend(card, plot);
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
  const { data, layout } = inLight(() => coloured(figure, size, css));
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
  rows(root);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => cards.filter(drawn).forEach(mark));
}
