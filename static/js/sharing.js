// A SharedWorker: of each job one stream for all tabs that look at it, closed with the last of them. Browsers allow few
// connections to one host, over all tabs together.

import { Stream } from "./stream.js";

const shared = new Map();

addEventListener("connect", ({ ports: [port] }) => {
  port.addEventListener("message", ({ data }) => {
    leave(port);
    if (data.job) join(port, data);
  });
  port.start();
});

/** A tab joins with the number of the last event it has; what it lacks is read again, and the others know that already. */
function join(port, { job, cursor, retry }) {
  const known = shared.get(job);
  const at = known ?? { ports: new Set(), said: null, stream: new Stream(job, cursor, (message) => tell(at, { message }), (...said) => tell(at, { said })) };
  at.ports.add(port);
  shared.set(job, at);
  if (retry) at.stream.errors = 0;
  if (!known || retry || cursor < at.stream.cursor) {
    Object.assign(at.stream, { cursor: Math.min(cursor, at.stream.cursor), over: false });
    at.stream.open();
  } else if (at.said) port.postMessage({ said: at.said });
}

function tell(at, news) {
  if (news.said) at.said = news.said;
  for (const port of at.ports) port.postMessage(news);
}

function leave(port) {
  for (const [job, at] of shared) {
    if (!at.ports.delete(port) || at.ports.size) continue;
    at.stream.close();
    shared.delete(job);
  }
}
