// One job under the pointer is lit in every figure; the others go back to a quarter.

const JOB = /-job-(\d+)/;

/** `plots` are all that are drawn; the traces of a job have its number in their uid, and plotly in their class. */
export function highlight(plot, plots) {
  const show = (job) => {
    for (const line of plots().flatMap((each) => [...each.querySelectorAll(".scatterlayer .trace")])) {
      const own = JOB.exec(line.getAttribute("class"))?.[1];
      line.style.opacity = job && own && own !== job ? 0.25 : "";
    }
  };
  plot.on("plotly_hover", ({ points }) => show(JOB.exec(points[0].data.uid)?.[1]));
  plot.on("plotly_unhover", () => show(null));
}
