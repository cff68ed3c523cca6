// How the charts are looked at: axis, smoothing, zoom and each chart's own choices, all of it in the address.

const AXES = ["step", "epoch", "time", "wall", "tokens"];
const SETS = ["log", "hide", "pin", "exp", "gap"]; // names of charts, with commas
const OWN = ["log", "exp", "gap"];
const BARE = { axis: "step", outliers: true, marks: true, zoom: null, big: null };

export class View {
  constructor(weight) {
    this.usual = weight;
    const asked = new URLSearchParams(location.search);
    const number = (text) => (text !== null && text !== "" && Number.isFinite(Number(text)) ? Number(text) : null);
    const own = (prefix) => new Map([...asked].filter(([key]) => key.startsWith(prefix)).map(([key, value]) => [key.slice(prefix.length), value]));
    Object.assign(this, BARE, {
      axis: AXES.includes(asked.get("axis")) ? asked.get("axis") : "step",
      weight: Math.min(0.99, Math.max(0, number(asked.get("smooth")) ?? weight)),
      outliers: asked.get("outliers") !== "0",
      marks: asked.get("marks") !== "0",
      zoom: pair(asked.get("zoom")),
      big: asked.get("big"),
      weights: new Map([...own("w.")].map(([name, text]) => [name, number(text)]).filter(([, value]) => value !== null && value >= 0 && value < 1)),
      ranges: new Map([...own("y.")].map(([name, text]) => [name, pair(text)]).filter(([, range]) => range)),
    });
    for (const name of SETS) this[name] = new Set((asked.get(name) ?? "").split(",").filter(Boolean));
  }

  /** The address now shows the same picture to whoever opens it; only what differs from the usual stands in it. */
  save() {
    const url = new URL(location.href);
    for (const key of [...url.searchParams.keys()]) if (/^(axis|smooth|outliers|marks|zoom|big|log|hide|pin|exp|gap|[wy]\..*)$/.test(key)) url.searchParams.delete(key);
    const put = (key, value, unless) => value !== unless && url.searchParams.set(key, value);
    put("axis", this.axis, "step");
    put("smooth", String(this.weight), String(this.usual));
    put("outliers", this.outliers ? "1" : "0", "1");
    put("marks", this.marks ? "1" : "0", "1");
    put("zoom", this.zoom?.join("~"), undefined);
    put("big", this.big, null);
    for (const name of SETS) put(name, [...this[name]].join(","), "");
    for (const [name, weight] of this.weights) url.searchParams.set(`w.${name}`, weight);
    for (const [name, range] of this.ranges) url.searchParams.set(`y.${name}`, range.join("~"));
    history.replaceState(history.state, "", url);
  }

  /** Whether a chart is looked at in its own way. */
  differs(name) {
    return OWN.some((set) => this[set].has(name)) || this.weights.has(name) || this.ranges.has(name);
  }

  forget(name) {
    for (const set of OWN) this[set].delete(name);
    this.weights.delete(name);
    this.ranges.delete(name);
  }
}

function pair(text) {
  const numbers = (text ?? "").split("~").map((each) => (each === "" ? NaN : Number(each)));
  return numbers.length === 2 && numbers.every(Number.isFinite) && numbers[0] < numbers[1] ? numbers : null;
}
