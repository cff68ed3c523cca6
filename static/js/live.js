// A page's part in one job's live events: the stream is shared with other tabs where the browser can, else it is the page's
// own. Nothing is asked while the tab is hidden or the person has paused.

export class Live {
  /** `heard(message)` gets every event after `cursor` once; `say(state, words)` drives the live dot. */
  constructor(job, cursor, heard, say) {
    Object.assign(this, { job, cursor, heard, say, paused: false, over: false });
    this.way = inWorker(this) ?? ownStream(this);
    document.addEventListener("visibilitychange", () => (document.hidden ? this.rest() : this.open()));
    addEventListener("pageshow", (event) => event.persisted && this.open());
    addEventListener("pagehide", () => this.rest());
    addEventListener("online", () => this.retry());
  }

  open(retry = false) {
    if (!this.over && !this.paused && !document.hidden) this.way.join(retry);
  }

  /** At once, whatever the wait was. */
  retry() {
    this.open(true);
  }

  /** The cursor stays. */
  rest() {
    this.way.leave();
  }

  toggle() {
    this.paused = !this.paused;
    if (this.paused) {
      this.rest();
      this.say("paused", "Paused");
    } else this.open();
  }

  take(message) {
    if (this.paused || message.n <= this.cursor) return; // another tab may have needed it again
    this.cursor = message.n;
    if (message.kind === "end") {
      this.over = true;
      this.rest();
      this.say("ended", "Ended");
    }
    this.heard(message);
  }

  told(state, words) {
    if (!this.paused && !this.over) this.say(state, words);
  }
}

/** The worker that all tabs share; null where there is none. */
function inWorker(live) {
  const { sharing } = document.getElementById("live").dataset;
  if (!globalThis.SharedWorker) return null;
  const worker = new SharedWorker(sharing, { type: "module", name: "live" });
  worker.addEventListener("error", () => {
    live.way = ownStream(live); // a browser that shares no modules
    live.open();
  });
  worker.port.addEventListener("message", ({ data }) => (data.said ? live.told(...data.said) : live.take(data.message)));
  worker.port.start();
  return {
    join: (retry) => worker.port.postMessage({ job: live.job, cursor: live.cursor, retry }),
    leave: () => worker.port.postMessage({}),
  };
}

/** Loaded where there is no such worker. */
function ownStream(live) {
  let wanted = false;
  let stream;
  const coming = import("./stream.js").then(({ Stream }) => {
    stream = new Stream(live.job, live.cursor, (message) => live.take(message), (...said) => live.told(...said));
  });
  return {
    join: async (retry) => {
      wanted = true;
      await coming;
      if (retry) stream.errors = 0;
      if (wanted) stream.open();
    },
    leave: () => {
      wanted = false;
      stream?.close();
    },
  };
}
