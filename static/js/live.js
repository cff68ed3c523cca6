// One job's events in order, each once: a stream, after three errors polling, nothing while the tab is hidden.

const KINDS = ["metrics", "state", "phase", "plan", "log", "checkpoint", "artifact", "result", "attempt", "failed", "noise", "end", "reset"];
const ERRORS_AT_MOST = 3;
const POLL_MS = 2000;
const STREAM_AGAIN_MS = 60000;

export class Live {
  /** `heard(message)` gets every event after `cursor` once; `say(state, words)` drives the live dot. */
  constructor(job, cursor, heard, say) {
    Object.assign(this, { url: `/api/v1/jobs/${job}/events`, cursor, heard, say });
    this.paused = false;
    this.over = false;
    this.errors = 0;
    document.addEventListener("visibilitychange", () => (document.hidden ? this.rest() : this.open()));
    addEventListener("pageshow", (event) => event.persisted && this.open());
    addEventListener("pagehide", () => this.rest());
  }

  open() {
    this.rest();
    if (this.over || this.paused || document.hidden) return;
    this.source = new EventSource(`${this.url}?after=${this.cursor}`);
    this.source.addEventListener("open", () => {
      this.errors = 0;
      this.say("live", "Live");
    });
    for (const kind of KINDS) this.source.addEventListener(kind, (event) => this.take(JSON.parse(event.data)));
    this.source.addEventListener("error", () => this.failed());
  }

  /** Close everything; the cursor stays. */
  rest() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.timer);
    clearTimeout(this.later);
  }

  toggle() {
    this.paused = !this.paused;
    if (this.paused) {
      this.rest();
      this.say("paused", "Paused");
    } else this.open();
  }

  take(message) {
    if (message.n <= this.cursor) return; // applying an event twice changes nothing
    this.cursor = message.n;
    if (message.kind === "end") {
      this.over = true;
      this.rest();
      this.say("ended", "Ended");
    }
    this.heard(message);
  }

  failed() {
    this.errors += 1;
    if (this.errors >= ERRORS_AT_MOST) {
      this.source?.close();
      this.source = null;
      this.later = setTimeout(() => this.open(), STREAM_AGAIN_MS);
      this.poll(POLL_MS);
    } else if (this.source?.readyState === EventSource.CLOSED) {
      this.timer = setTimeout(() => this.open(), 500 * this.errors);
    }
  }

  async poll(wait) {
    if (this.over || this.paused || document.hidden) return;
    let next = POLL_MS;
    try {
      const answer = await fetch(`${this.url}?after=${this.cursor}`, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(String(answer.status));
      for (const message of (await answer.json()).items) this.take(message);
      this.say("polling", "Polling");
    } catch {
      next = Math.min(30000, wait * 2) * (0.8 + 0.4 * Math.random());
      this.say("offline", `Offline, retrying in ${Math.round(next / 1000)} s`);
    }
    if (!this.over && !this.paused && !document.hidden && !this.source) this.timer = setTimeout(() => this.poll(next), next);
  }
}
