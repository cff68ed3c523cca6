// The job's points as the page knows them: history from the server, then live ones, smoothed on exactly.

const SMOOTHED_NEVER = /^(learning_rate|device_memory|eval_)/;
const POINTS_AT_MOST = 1500;

export class Store {
  constructor(job, weight) {
    Object.assign(this, { job, weight, cursor: 0, series: new Map(), asked: 0, loaded: false, waiting: [] });
  }

  /** Fetch all series anew; the old ones stay until the answer is there. */
  async load() {
    const asked = (this.asked += 1);
    const answer = await fetch(`/api/v1/jobs/${this.job}/metrics?points=1000&smooth=${this.weight}`);
    if (!answer.ok) throw new Error(`metrics ${answer.status}`);
    const history = await answer.json();
    if (asked !== this.asked) return false; // a newer question is under way
    this.series = new Map(Object.keys(history.series).map((name) => [name, column(name, history)]));
    this.cursor = history.cursor;
    this.attempts = history.attempts;
    this.loaded = true;
    for (const message of this.waiting.splice(0)) this.append(message);
    return true;
  }

  /** One metrics event. Returns whether it brought a series over its limit, so that buckets are due. */
  append(message) {
    if (!this.loaded) {
      this.waiting.push(message);
      return false;
    }
    if (message.n <= this.cursor) return false;
    this.cursor = message.n;
    let full = false;
    for (const [name, value] of Object.entries(message.values)) {
      if (!this.series.has(name)) this.series.set(name, empty(name));
      full = push(this.series.get(name), message, Number(value), this.weight) || full;
    }
    return full;
  }

  /** Preview of another weight from the points at hand, until the server's answer is there. */
  preview(weight) {
    this.weight = weight;
    for (const [name, each] of this.series) if (!SMOOTHED_NEVER.test(name)) resmooth(each, weight);
  }

  last(name) {
    const each = this.series.get(name);
    return each?.raw.length ? each.raw[each.raw.length - 1] : undefined;
  }

  lastSmooth(name) {
    const each = this.series.get(name);
    return each?.smooth.length ? each.smooth[each.smooth.length - 1] : undefined;
  }
}

function empty(name) {
  return { name, step: [], epoch: [], time: [], raw: [], smooth: [], state: [0, 0] };
}

function column(name, history) {
  const made = empty(name);
  const values = history.series[name];
  for (let i = 0; i < values.length; i += 1) {
    if (values[i] === null) continue;
    made.step.push(history.step[i]);
    made.epoch.push(history.epoch[i]);
    made.time.push(history.time[i]);
    made.raw.push(values[i]);
    made.smooth.push(history.smooth[name][i]);
  }
  made.state = history.smoothing.state[name] ?? [0, 0];
  return made;
}

function push(each, message, value, weight) {
  if (each.step.length && message.step <= each.step[each.step.length - 1]) return false;
  each.step.push(message.step);
  each.epoch.push(message.epoch ?? null);
  each.time.push(message.time);
  each.raw.push(value);
  each.smooth.push(SMOOTHED_NEVER.test(each.name) ? value : smoothed(each, value, weight));
  return each.step.length > POINTS_AT_MOST;
}

/** Debiased exponential average, continued from (s, n): s = w s + (1 - w) y, out = s / (1 - w^n). */
function smoothed(each, value, weight) {
  if (!Number.isFinite(value) || weight === 0) return value;
  const s = weight * each.state[0] + (1 - weight) * value;
  const n = each.state[1] + 1;
  each.state = [s, n];
  return s / (1 - weight ** n);
}

function resmooth(each, weight) {
  each.state = [0, 0];
  each.smooth = each.raw.map((value) => smoothed(each, value, weight));
}
