// The toolbar above all charts: x axis, smoothing, outliers, marks, which charts stand there, and whether the newest step
// is followed.

const find = (id) => document.getElementById(id);

export function toolbar(charts, reload) {
  const { view, store } = charts;
  const weights = [find("smoothing"), find("smoothing-number")];
  let settle;
  let previewing = false;

  /** Behind the next frame: a slider that is drawn follows the hand before its curves do. */
  function preview() {
    previewing = false;
    store.preview();
    charts.changed(charts.all.filter(({ figure }) => figure.data.some(({ meta }) => meta.part === "smooth")));
  }

  function weigh(value) {
    if (!(value >= 0 && value <= 0.99)) return;
    view.weight = store.weight = value;
    if (!previewing) charts.later(preview);
    previewing = true;
    clearTimeout(settle);
    settle = setTimeout(reload, 150);
  }

  charts.useAxis = (axis) => {
    view.axis = axis;
    charts.hair.to(null);
    charts.zoomed(null);
  };
  for (const input of weights) input.addEventListener("input", () => input.value !== "" && weigh(Number(input.value)));
  find("x-axis").addEventListener("change", (event) => charts.useAxis(event.target.value));
  for (const name of ["outliers", "marks"]) {
    find(name).addEventListener("change", (event) => {
      view[name] = event.target.checked;
      charts.changed();
    });
  }
  arranging(charts);
  find("reset-zoom").addEventListener("click", () => charts.zoomed(null));
  // Followed: hold what is seen now. Held: follow again.
  find("following").addEventListener("click", () => charts.zoomed(view.zoom ? null : charts.extent()));
  return () => {
    const ended = find("head").dataset.ended === "1";
    find("x-axis").value = view.axis;
    for (const input of weights) if (document.activeElement !== input || input.type === "range") input.value = view.weight.toFixed(2);
    find("outliers").checked = view.outliers;
    find("marks").checked = view.marks;
    find("following").hidden = ended && !view.zoom;
    find("following").textContent = view.zoom ? "Paused at zoom" : "Following latest";
    find("export").href = `/api/v1/jobs/${store.job}/metrics?format=csv&smooth=${view.weight}`;
  };
}

/** Pinned charts come first; hidden ones and those without the words that are looked for are away. */
function arranging(charts) {
  const { view, root, all } = charts;
  const textOf = ({ figure }) => `${figure.title} ${figure.data.map(({ name, meta }) => `${name} ${meta.series}`)}`.toLowerCase();
  const pinned = ({ figure }) => view.pin.has(figure.name);
  const away = ({ figure }) => view.hide.has(figure.name);

  charts.arrange = () => {
    const words = find("find-chart").value.toLowerCase().split(" ");
    for (const chart of all) chart.card.hidden = away(chart) || !words.every((word) => textOf(chart).includes(word));
    const order = [...all.filter(pinned), ...all.filter((each) => !pinned(each))].map(({ card }) => card);
    if (order.some((card, i) => card !== root.children[i])) root.prepend(...order);
    const hidden = all.filter(away).length;
    find("show-hidden").hidden = !hidden;
    find("show-hidden").textContent = `Show ${hidden} hidden`;
    find("no-chart").hidden = all.some(({ card }) => !card.hidden);
  };
  find("find-chart").addEventListener("input", charts.arrange);
  find("show-hidden").addEventListener("click", () => {
    view.hide.clear();
    charts.arrange();
    charts.changed();
    find("find-chart").focus();
  });
  charts.arrange();
}
