// Sends one file in chunks, each with its sha256; after a cut it asks where to go on, also after a reload of the page.

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

/** The upload begun before for this very file, or a new one: `{id, offset, chunk_bytes}`. */
export async function begin(file, announced, token) {
  const key = remembered(file, announced);
  const known = localStorage.getItem(key);
  if (known) {
    const found = await fetch(`/api/v1/uploads/${known}`);
    if (found.ok) {
      const upload = await found.json();
      if (upload.version === null && upload.bytes === file.size) return { ...upload, key };
    }
    localStorage.removeItem(key);
  }
  const answer = await fetch("/api/v1/uploads", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRFToken": token },
    body: JSON.stringify({ ...announced, file_name: file.name.slice(0, 255), bytes: file.size }),
  });
  const said = await answer.json();
  if (!answer.ok) throw new Refused(said.error);
  localStorage.setItem(key, said.id);
  return { ...said, key };
}

function remembered(file, announced) {
  return `upload:${file.name}:${file.size}:${file.lastModified}:${JSON.stringify(announced)}`;
}

/** Everything from the offset on; resolves with what the upload became. `progress(bytes, waiting)` is told as it goes. */
export async function send(file, upload, signal, progress) {
  let offset = upload.offset;
  let failed = 0;
  for (;;) {
    progress(offset, false);
    try {
      const answer = await patch(upload, file.slice(offset, offset + upload.chunk_bytes), offset, signal);
      if (answer.status === 201) {
        localStorage.removeItem(upload.key);
        return await answer.json();
      }
      if (answer.status === 409) offset = Number(answer.headers.get("Upload-Offset"));
      else if (answer.status === 204) offset = Number(answer.headers.get("Upload-Offset"));
      else if (answer.status < 500 || answer.status === 507) throw new Refused((await answer.json()).error);
      else throw new Error(`status ${answer.status}`);
      failed = 0;
    } catch (error) {
      if (error instanceof Refused || signal.aborted || ++failed > TRIES) throw error;
      progress(offset, true);
      await later(Math.min(LONGEST_PAUSE, PAUSE * 2 ** (failed - 1)), signal);
    }
  }
}

async function patch(upload, piece, offset, signal) {
  const content = await piece.arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  const sha256 = Array.from(digest, (each) => each.toString(16).padStart(2, "0")).join("");
  const headers = { "Upload-Offset": String(offset), "Upload-Sha256": sha256 };
  return fetch(`/api/v1/uploads/${upload.id}`, { method: "PATCH", headers, body: content, signal });
}

/** Stop for good: the site forgets what it has. */
export function cancel(upload, token) {
  localStorage.removeItem(upload.key);
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
