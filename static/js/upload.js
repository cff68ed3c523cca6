// The upload form: drop a file on it, and see how much has gone. Without this module it is a plain form.

import { bytes } from "./numbers.js";

export function upload(form) {
  dropping(form.querySelector("[data-drop]"), form.querySelector('input[type="file"]'));
  form.addEventListener("submit", (event) => {
    if (!form.reportValidity()) return;
    event.preventDefault();
    send(form);
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

function send(form) {
  const bar = form.querySelector("[data-upload-progress]");
  const text = form.querySelector("[data-upload-text]");
  const request = new XMLHttpRequest();
  bar.hidden = false;
  request.upload.addEventListener("progress", (event) => {
    bar.value = event.total ? event.loaded / event.total : 0;
    text.textContent = `${bytes(event.loaded)} of ${bytes(event.total)}`;
  });
  request.addEventListener("load", () => arrived(request));
  request.addEventListener("error", () => {
    bar.hidden = true;
    text.textContent = "The connection was lost. Nothing was stored; press the button to try again.";
  });
  request.open("POST", location.href);
  request.send(new FormData(form));
}

/** Taken: go to the version's page. Refused: the answer is this page again, with the reason. */
function arrived(request) {
  if (request.status === 200 && request.responseURL !== location.href) return location.assign(request.responseURL);
  const answer = new DOMParser().parseFromString(request.responseText, "text/html");
  document.querySelector("main").replaceWith(document.adoptNode(answer.querySelector("main")));
  for (const form of document.querySelectorAll("[data-upload]")) upload(form);
  document.querySelector("[data-focus]")?.focus();
  return undefined;
}
