// Sends one file in chunks, each with its sha256, to the site or straight into its bucket; after a cut it asks where to
// go on, also after a reload of the page.

const TRIES = 8;
const PAUSE = 1000;
const LONGEST_PAUSE = 30000;

/** Can this browser hash chunks? Only on https or localhost; elsewhere the plain form is used. */
export const able = Boolean(window.crypto?.subtle && window.fetch);

export class Refused extends Error {
  constructor(said) {
    super(said.message);
    this.hint = said.hint;
  }
}

/** The upload begun before for this very file, or a new one: `{id, offset, chunk_bytes, to}`. */
export async function begin(file, announced, token) {
  const name = `upload:${file.name}:${file.size}:${file.lastModified}:${JSON.stringify(announced)}`;
  let upload = await announce(file, announced, token, name);
  if (upload.made) {
    localStorage.removeItem(name); // it went through before; now it is wanted once more
    upload = await announce(file, announced, token, name);
  }
  return { ...upload, name, token };
}

/** Announced under a key that outlives this page, so that the same file goes on where it was. */
async function announce(file, announced, token, name) {
  const key = localStorage.getItem(name) ?? crypto.randomUUID();
  localStorage.setItem(name, key);
  const body = { ...announced, file_name: file.name.slice(0, 255), bytes: file.size };
  try {
    return await call("uploads", { token }, body, { "Idempotency-Key": key });
  } catch (error) {
    if (error instanceof Refused) localStorage.removeItem(name);
    throw error;
  }
}

/** Everything from the offset on; resolves with what the upload became. `progress(bytes, waiting)` is told as it goes. */
export async function send(file, upload, signal, progress) {
  const step = upload.to === "bucket" ? toBucket : toSite;
  const source = new Source(file, upload.chunk_bytes);
  let offset = upload.offset;
  let failed = 0;
  for (;;) {
    progress(offset, false);
    try {
      if (failed) offset = (await call(`uploads/${upload.id}`, { signal })).offset;
      const reached = await step(source, upload, offset, signal);
      if (reached.made) {
        localStorage.removeItem(upload.name);
        return reached.made;
      }
      offset = reached.offset;
      failed = 0;
    } catch (error) {
      if (error instanceof Refused || signal.aborted || ++failed > TRIES) throw error;
      progress(offset, true);
      await later(Math.min(LONGEST_PAUSE, PAUSE * 2 ** (failed - 1)), signal);
    }
  }
}

/** The pieces of a file with their sha256; the next one is read while this one is on its way. */
class Source {
  constructor(file, size) {
    this.file = file;
    this.size = size;
    this.ahead = { offset: -1, piece: null };
  }

  async at(offset) {
    const piece = this.ahead.offset === offset ? this.ahead.piece : this.read(offset);
    const found = await piece;
    const next = offset + found.content.byteLength;
    this.ahead = { offset: next, piece: next < this.file.size ? this.read(next) : null };
    this.ahead.piece?.catch(() => {}); // whoever asks for it hears of it
    return found;
  }

  async read(offset) {
    const content = await this.file.slice(offset, offset + this.size).arrayBuffer();
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
    return { content, sha256: Array.from(digest, (each) => each.toString(16).padStart(2, "0")).join("") };
  }
}

async function toSite(source, upload, offset, signal) {
  const piece = await source.at(offset);
  const headers = { "Upload-Offset": String(offset), "Upload-Sha256": piece.sha256 };
  const answer = await fetch(`/api/v1/uploads/${upload.id}`, { method: "PATCH", headers, body: piece.content, signal });
  if (answer.status === 204) return { offset: Number(answer.headers.get("Upload-Offset")) };
  if (answer.status === 409) return call(`uploads/${upload.id}`, { signal }); // where it is, or what it became
  return { made: await said(answer) };
}

async function toBucket(source, upload, offset, signal) {
  const at = `uploads/${upload.id}`;
  if (offset === source.file.size) return { made: await call(`${at}/complete`, { ...upload, signal }, {}) };
  const piece = await source.at(offset);
  const part = { offset, bytes: piece.content.byteLength, sha256: piece.sha256 };
  const address = await call(`${at}/parts`, { ...upload, signal }, part);
  const how = { method: address.method, headers: address.headers, body: piece.content, credentials: "omit", signal };
  const answer = await fetch(address.url, how);
  if (!answer.ok) throw new Error(`status ${answer.status} of the bucket`);
  return { offset: offset + part.bytes };
}

/** One call of the site's API: GET, or POST where there is a body. */
async function call(path, { token, signal }, body, more = {}) {
  const headers = { "Content-Type": "application/json", "X-CSRFToken": token, ...more };
  const how = body ? { method: "POST", headers, body: JSON.stringify(body), signal } : { signal };
  return said(await fetch(`/api/v1/${path}`, how));
}

/** What an answer holds. Throws Refused where trying again would not help. */
async function said(answer) {
  if (answer.ok) return answer.json();
  if (answer.status < 500 || answer.status === 507) throw new Refused((await answer.json()).error);
  throw new Error(`status ${answer.status}`);
}

/** Stop for good: the site forgets what it has. */
export function cancel(upload, token) {
  localStorage.removeItem(upload.name);
  return fetch(`/api/v1/uploads/${upload.id}`, { method: "DELETE", headers: { "X-CSRFToken": token } });
}

function later(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new Error("stopped"));
    });
  });
}
