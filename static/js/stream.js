// One job's events in order, each once: a stream, after three errors polling. For a page, or for a worker of many pages.

const KINDS = ["metrics", "state", "phase", "plan", "log", "checkpoint", "artifact", "result", "attempt", "failed", "noise", "end", "reset"];
const ERRORS_AT_MOST = 3;
const POLL_MS = 2000;
const STREAM_AGAIN_MS = 60000;
const SILENT_MS = 35000; // the site says `beat` every 15 seconds

export class Stream {
  /** `heard(message)` gets every event after `cursor` once; `say(state, words)` is told how the connection fares. */
  constructor(job, cursor, heard, say) {
    Object.assign(this, { url: `/api/v1/jobs/${job}/events`, cursor, heard, say, over: false, closed: true, errors: 0 });
  }

  open() {
    this.close();
    if (this.over) return;
    this.closed = false;
    this.source = new EventSource(`${this.url}?after=${this.cursor}`);
    this.source.addEventListener("open", () => {
      this.errors = 0;
      this.listen();
      this.say("live", "Live");
    });
    this.source.addEventListener("beat", () => this.listen());
    for (const kind of KINDS) this.source.addEventListener(kind, (event) => this.take(JSON.parse(event.data)));
    this.source.addEventListener("error", () => this.failed());
    this.listen();
  }

  /** Close everything; the cursor stays. */
  close() {
    this.closed = true;
    this.hush();
    clearTimeout(this.timer);
    clearTimeout(this.later);
  }

  hush() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.silence);
  }

  /** A connection can be gone without a word, after a laptop slept for example. */
  listen() {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => {
      this.hush();
      this.failed();
    }, SILENT_MS);
  }

  take(message) {
    if (this.source) this.listen();
    if (message.n <= this.cursor) return; // applying an event twice changes nothing
    this.cursor = message.n;
    if (message.kind === "end") {
      this.over = true;
      this.close();
    }
    this.heard(message);
  }

  failed() {
    this.errors += 1;
    if (this.errors >= ERRORS_AT_MOST) {
      this.hush();
      this.later = setTimeout(() => this.open(), STREAM_AGAIN_MS);
      this.poll(POLL_MS);
    } else if (this.source?.readyState !== EventSource.CONNECTING) {
      this.timer = setTimeout(() => this.open(), 500 * this.errors);
    }
  }

  async poll(wait) {
    if (this.closed) return;
    let next = POLL_MS;
    try {
      const answer = await fetch(`${this.url}?after=${this.cursor}`, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      const { items } = await answer.json();
      if (this.closed || this.source) return; // meanwhile the stream is open again: it will tell
      for (const message of items) this.take(message);
      if (!this.closed) this.say("polling", "Polling");
    } catch {
      next = Math.min(30000, wait * 2) * (0.8 + 0.4 * Math.random());
      if (!this.closed) this.say("offline", `Offline, retrying in ${Math.round(next / 1000)} s`);
    }
    if (!this.closed && !this.source) this.timer = setTimeout(() => this.poll(next), next);
  }
}
