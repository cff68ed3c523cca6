// A report that stands for itself: draws its figures with the plotly that travels in it.

const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function draw(card) {
  const figure = JSON.parse(card.querySelector('script[type="application/json"]').textContent);
  const plot = card.querySelector(".plot");
  const { data, layout } = coloured(figure, { width: plot.clientWidth, height: plot.clientHeight }, css);
  Plotly.react(plot, data, layout, figure.config);
}

const cards = [...document.querySelectorAll("[data-figure]")].filter((card) => card.querySelector("script"));
const drawAll = () => cards.forEach(draw);
drawAll();
addEventListener("resize", drawAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
