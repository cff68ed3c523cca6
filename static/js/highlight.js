// One job is lit on all figures of the page, the others go back to a quarter: the one whose line is under the pointer, or
// whose row of the legend is, or has the keyboard's focus.

const BACK = 0.25;
let lit = new Set();

/** A figure that was drawn just now: its lines as all others have them. */
export function dim(plot) {
  for (const { uid, opacity, meta } of plot.data ?? []) {
    const line = meta?.jobs && plot.querySelector(`.trace${CSS.escape(uid)}`);
    if (line) line.style.opacity = (opacity ?? 1) * (!lit.size || meta.jobs.some((job) => lit.has(job)) ? 1 : BACK);
  }
}

/** These jobs and no others, on what is drawn; none of them puts all back. */
function light(root, jobs) {
  lit = new Set(jobs);
  for (const plot of root.querySelectorAll(".js-plotly-plot")) dim(plot);
  for (const row of root.querySelectorAll("tr[data-job]")) row.classList.toggle("lit", lit.has(Number(row.dataset.job)));
}

export function follow(root, plot) {
  plot.on("plotly_hover", ({ points }) => light(root, points[0].data.meta?.jobs ?? []));
  plot.on("plotly_unhover", () => light(root, []));
}

export function rows(root) {
  for (const row of root.querySelectorAll("tr[data-job]")) {
    for (const name of ["pointerenter", "focusin"]) row.addEventListener(name, () => light(root, [Number(row.dataset.job)]));
    for (const name of ["pointerleave", "focusout"]) row.addEventListener(name, () => light(root, []));
  }
}
