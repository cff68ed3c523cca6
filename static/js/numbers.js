// Numbers as the server writes them: the same digits and units, so that a live number never changes its look.

const formats = new Map();

/** So many digits behind the point; a format is made once, for making one takes long. */
function fixed(value, places) {
  if (!formats.has(places)) formats.set(places, new Intl.NumberFormat("en-US", { minimumFractionDigits: places, maximumFractionDigits: places }));
  return formats.get(places).format(value);
}

export function significant(value, digits) {
  if (value === 0) return "0";
  const places = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value))));
  return fixed(value, places);
}

export function loss(value) {
  return Number.isFinite(value) ? significant(value, 4) : "NaN";
}

export function bytes(value) {
  let size = value;
  let unit = "B";
  for (const each of ["B", "KiB", "MiB", "GiB", "TiB"]) {
    unit = each;
    if (size < 999.5 || each === "TiB") break;
    size /= 1024;
  }
  return unit === "B" || size >= 9.95 ? `${size.toFixed(0)} ${unit}` : `${size.toFixed(1)} ${unit}`;
}

export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [days, hours, minutes, rest] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  if (days) return `${days} d ${hours} h`;
  if (hours) return `${hours} h ${minutes} m`;
  return minutes ? `${minutes} m ${rest} s` : `${rest} s`;
}

/** A duration nobody can know to the second: 40 s, 14 min, 3 h, 2 d. */
export function roughly(seconds) {
  for (const [unit, size, least] of [["d", 86400, 2], ["h", 3600, 2], ["min", 60, 1.5]]) {
    if (seconds >= least * size) return `${(seconds / size).toFixed(0)} ${unit}`;
  }
  return `${Math.max(10, Math.round(seconds / 10) * 10)} s`;
}

/** 12 min to 16 min; ~12 min where both ends read alike. */
export function roughRange(low, high) {
  const ends = [roughly(low), roughly(high)];
  return ends[0] === ends[1] ? `~${ends[0]}` : ends.join(" to ");
}

export function count(value) {
  for (const [unit, size] of [["B", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (Math.abs(value) >= (unit === "k" ? 1e4 : size)) return `${significant(value / size, 3)} ${unit}`;
  }
  return whole(value);
}

export function whole(value) {
  return fixed(Math.round(value), 0);
}

function learningRate(value) {
  return value === 0 ? "0" : value.toExponential(1).replace("e+", "e");
}

/** A stored value as a chart draws it: in its unit, or of a loss its exponential, the perplexity. */
export function shownIn(chart, value) {
  return chart.exponential ? Math.exp(value) : value * chart.figure.scale;
}

/** A value of a series in its chart's unit. */
export function inUnit(series, value, unit) {
  if (!Number.isFinite(value)) return "NaN";
  if (series === "learning_rate") return learningRate(value);
  if (series === "tokens_per_second") return count(value);
  if (series === "data_wait_share") return `${significant(100 * value, 2)} %`;
  return unit === "%" ? significant(value, 3) : significant(value, unit === "GiB" || unit === "s" ? 3 : 4);
}
