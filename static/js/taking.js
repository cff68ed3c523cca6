// What is taken along of a chart: a picture, the link to it. Loaded when asked for.

import { library } from "./charts.js";
import { layoutOf, traces } from "./drawing.js";
import { inLight } from "./light.js";

const PICTURE = { width: 1000, height: 420 };

/** Light on white, whatever the page's theme, twice the size. */
export async function picture(chart, charts, format) {
  const plotly = await library(charts.root.dataset.plotly);
  const figure = inLight(() => {
    const data = traces(chart, charts);
    const layout = layoutOf(chart, data, charts, PICTURE);
    const title = { text: chart.figure.unit ? `${chart.figure.title}, ${chart.figure.unit}` : chart.figure.title, font: { size: 14 } };
    return { data, layout: { ...layout, title, margin: { ...layout.margin, t: 40 }, paper_bgcolor: "#FFFFFF", showlegend: data.length > 1 }, config: chart.figure.config };
  });
  await plotly.downloadImage(figure, { format, scale: 2, ...PICTURE, filename: `job-${charts.store.job}-${chart.figure.name}` });
}

export async function copyLink(button) {
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Link copied";
  } catch {
    button.textContent = "The address bar has the link";
  }
  setTimeout(() => (button.textContent = "Copy link"), 2000);
}
