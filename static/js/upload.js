// The upload form: drop a file on it, see how much has gone, stop it. Without this module it is a plain form.

import { able, begin, cancel, Refused, send } from "./chunks.js";
import { bytes } from "./numbers.js";

function upload(form) {
  dropping(form.querySelector("[data-drop]"), form.querySelector('input[type="file"]'));
  form.addEventListener("submit", (event) => {
    if (!able || !form.reportValidity()) return;
    const file = form.querySelector('input[type="file"]').files[0];
    if (!file || file.size === 0) return; // the check says what an empty file lacks
    event.preventDefault();
    sendInChunks(form, file);
  });
}

function dropping(zone, input) {
  for (const kind of ["dragenter", "dragover"]) zone.addEventListener(kind, (event) => over(event, true));
  for (const kind of ["dragleave", "drop"]) zone.addEventListener(kind, (event) => over(event, false));
  zone.addEventListener("drop", (event) => {
    if (event.dataTransfer.files.length) input.files = event.dataTransfer.files;
  });
  function over(event, is) {
    event.preventDefault();
    zone.classList.toggle("over", is);
  }
}

/** What the form says, in the words of the API. */
function announced(form) {
  return {
    warnings: "ask",
    step: "columns",
    ...(form.dataset.dataset ? { dataset: Number(form.dataset.dataset) } : {}),
    ...(form.dataset.team ? { team: form.dataset.team } : {}),
  };
}

async function sendInChunks(form, file) {
  const [bar, text, button, stop] = ["progress", "text", "button", "stop"].map((name) => form.querySelector(`[data-upload-${name}]`));
  const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
  const stopping = new AbortController();
  let begun = null;
  const busy = (is) => {
    button.disabled = is;
    stop.hidden = bar.hidden = !is;
  };
  stop.onclick = () => stopping.abort();
  busy(true);
  try {
    begun = await begin(file, announced(form), token);
    const made = await send(file, begun, stopping.signal, (sent, waiting) => {
      bar.value = sent / file.size;
      const share = Math.floor((100 * sent) / file.size);
      text.textContent = waiting
        ? `The connection was lost at ${bytes(sent)}; trying again.`
        : `${bytes(sent)} of ${bytes(file.size)}, ${share} %`;
    });
    location.assign(made.page);
  } catch (error) {
    busy(false);
    if (stopping.signal.aborted && begun) await cancel(begun, token);
    text.textContent = explained(error, stopping.signal.aborted);
    text.focus();
  }
}

function explained(error, stopped) {
  if (stopped) return "Stopped. Nothing was kept.";
  if (error instanceof Refused) return `${error.message} ${error.hint}`.trim();
  return "The connection is lost. What was sent is kept for 24 hours: choose the same file again to go on.";
}

for (const form of document.querySelectorAll("[data-upload]")) upload(form);
