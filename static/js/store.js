// The job's points as the page knows them: history from the server, then live ones, smoothed on exactly.

const SMOOTHED_NEVER = /^(learning_rate|device_memory|allocated_|reserved_|power_limit|temperature|eval_|spent_|disk_free|host_memory)/;
const ALWAYS = ["loss", "tokens_per_second", "device_memory_bytes", "step_seconds"]; // what the header reads
const POINTS_AT_MOST = 1500;
const BUCKETS = 1000;
const COLUMNS_AT_ONCE = 4; // filled in one task

export class Store {
  constructor(job, weight) {
    Object.assign(this, { job, weight, cursor: 0, series: new Map(), discarded: [], marks: [], attempts: [] });
    Object.assign(this, { asked: 0, loading: 0, loaded: false, failed: "", waiting: [], own: new Map(), tokens: null, heardAt: null });
    Object.assign(this, { names: new Set(ALWAYS), changes: 0, range: null });
  }

  /** The weight of one series: its chart's own, else everybody's. */
  weightOf(name) {
    return SMOOTHED_NEVER.test(name) ? 0 : (this.own.get(name) ?? this.weight);
  }

  /** Fetch the series that are looked at anew; the old ones stay, and go on, until the answer is there. */
  async load() {
    this.loading += 1;
    try {
      return await this.fetched((this.asked += 1));
    } finally {
      this.loading -= 1;
      if (this.loaded && !this.loading) this.waiting = [];
    }
  }

  async fetched(asked) {
    const weights = [...new Set(this.own.values())].filter((weight) => weight !== this.weight);
    const answers = await Promise.all([
      this.ask(`smooth=${this.weight}&series=${[...this.names]}`),
      ...weights.map((weight) => this.ask(`smooth=${weight}&series=${[...this.own].filter(([, own]) => own === weight).map(([name]) => name)}`)),
    ]);
    const [history] = answers;
    const series = new Map();
    for (const each of answers) {
      for (const name of Object.keys(each.series)) {
        if (asked !== this.asked) return false; // a newer question is under way
        if (series.size % COLUMNS_AT_ONCE === 0) await new Promise((later) => setTimeout(later));
        series.set(name, column(name, each));
      }
    }
    if (asked !== this.asked) return false;
    Object.assign(this, { series, discarded: history.discarded, marks: history.marks, attempts: history.attempts });
    this.cursor = Math.min(...answers.map((each) => each.cursor));
    this.tokens = history.tokens.at(-1) ?? null;
    this.loaded = true;
    this.failed = "";
    this.changes += 1;
    for (const message of this.waiting.splice(0)) this.append(message);
    return true;
  }

  /** `range`: the first and last step of what is zoomed in on, which gets the buckets. */
  async ask(query) {
    const closely = this.range ? `&first=${this.range[0]}&last=${this.range[1]}` : "";
    const answer = await fetch(`/api/v1/jobs/${this.job}/metrics?points=${BUCKETS}${closely}&${query}`);
    if (answer.ok) return answer.json();
    const said = await answer.json().catch(() => ({}));
    throw new Error(said.error?.ref || String(answer.status));
  }

  /** One metrics event. Returns whether it brought a series over its limit, so that buckets are due. */
  append(message) {
    this.heardAt = Date.now();
    if (!this.loaded || this.loading) this.waiting.push(message); // for the answer that is under way may not hold it
    if (!this.loaded) return false;
    if (message.n <= this.cursor) return false;
    this.cursor = message.n;
    this.tokens = message.values.tokens_seen ?? this.tokens;
    this.changes += 1;
    let full = false;
    for (const [name, value] of Object.entries(message.values)) {
      if (!this.names.has(name)) continue;
      if (!this.series.has(name)) this.series.set(name, empty(name));
      full = this.push(this.series.get(name), message, Number(value)) || full;
    }
    return full;
  }

  push(each, message, value) {
    if (each.step.length && message.step <= each.step.at(-1)) return false;
    each.step.push(message.step);
    each.epoch.push(message.epoch ?? null);
    each.time.push(message.time);
    each.tokens.push(this.tokens);
    each.raw.push(value);
    each.low.push(value);
    each.high.push(value);
    each.smooth.push(smoothed(each, value, this.weightOf(each.name)));
    return each.step.length > POINTS_AT_MOST;
  }

  /** Preview of other weights from the points at hand, until the server's answer is there. */
  preview() {
    for (const [name, each] of this.series) resmooth(each, this.weightOf(name));
  }

  last(name) {
    return this.series.get(name)?.raw.at(-1);
  }

  lastSmooth(name) {
    return this.series.get(name)?.smooth.at(-1);
  }
}

/** `raw` is the last value of each bucket, `low` and `high` its extremes; `ranged` if they differ anywhere. */
function empty(name) {
  return { name, step: [], epoch: [], time: [], tokens: [], raw: [], low: [], high: [], smooth: [], state: [0, 0], ranged: false };
}

function column(name, history) {
  const made = empty(name);
  const values = history.series[name];
  const odd = [...(history.not_finite[name] ?? [])];
  const put = (step, epoch, time, tokens, raw, smooth, low, high) => {
    made.step.push(step);
    made.epoch.push(epoch);
    made.time.push(time);
    made.tokens.push(tokens);
    made.raw.push(raw);
    made.low.push(low);
    made.high.push(high);
    made.smooth.push(smooth);
    made.ranged ||= low < high;
  };
  for (let i = 0; i < values.length; i += 1) {
    while (odd.length && odd[0].step <= history.step[i]) {
      const { step, epoch, time, tokens, value } = odd.shift();
      put(step, epoch, time, tokens, Number(value), NaN, NaN, NaN);
    }
    if (values[i] === null) continue;
    put(history.step[i], history.epoch[i], history.time[i], history.tokens[i], values[i], history.smooth[name][i], history.min[name][i], history.max[name][i]);
  }
  made.state = history.smoothing.state[name] ?? [0, 0];
  return made;
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
  each.smooth = weight === 0 ? each.raw.slice() : each.raw.map((value) => smoothed(each, value, weight));
}
