// A chart's own choices, as the address has them from the start; the menu that makes them is loaded when it is opened.

export function menu(chart, charts, reload) {
  const box = chart.card.querySelector("details.menu");
  const heading = chart.card.querySelector("h3");
  const { name, title, exponential } = chart.figure;
  const { view, store } = charts;
  const smoothed = [...new Set(chart.figure.data.filter((trace) => trace.meta.part === "smooth").map((trace) => trace.meta.series))];
  let coming;
  let panel;

  /** What the view says of this chart, put into effect. */
  function obey() {
    for (const series of smoothed) {
      if (view.weights.has(name)) store.own.set(series, view.weights.get(name));
      else store.own.delete(series);
    }
    store.preview();
    chart.exponential = view.exp.has(name);
    chart.figure.title = heading.textContent = chart.exponential ? exponential : title;
    if (view.gap.has(name)) charts.gap ??= import("./gap.js").then(({ gap }) => {
      charts.gapOf = gap;
      charts.markAll();
    });
  }

  function show() {
    chart.card.classList.toggle("enlarged", view.big === name);
    box.querySelector("[data-own]").hidden = !view.differs(name);
    panel?.();
  }

  box.addEventListener("toggle", () => {
    coming ??= import("./panel.js").then((made) => (panel = made.panel(chart, charts, { obey, reload })));
    coming.then(show);
  });
  obey();
  show();
  return show;
}
