// The queue: choosing many rows, and dragging one before another. Buttons do all of it too.

const box = () => document.getElementById("queue");
const chosen = (name) => [...document.querySelectorAll(`input[name="${name}"]:checked`)];
let dragged = null;

document.addEventListener("change", (event) => {
  const all = event.target.dataset.chooseAll;
  if (all) for (const each of document.querySelectorAll(`input[name="${all}"]`)) each.checked = event.target.checked;
});

// Before page.js asks whether to go on: nothing chosen is nothing to ask about.
document.addEventListener(
  "click",
  (event) => {
    const button = event.target.closest("[data-chosen]");
    if (!button) return;
    const count = chosen(button.dataset.chosen).length;
    if (count) button.dataset.confirm = `Cancel ${count} job${count > 1 ? "s" : ""}?`;
    else {
      event.preventDefault();
      event.stopPropagation();
      say("Choose jobs first: the boxes stand at the start of their rows.");
    }
  },
  true,
);

function say(text) {
  document.getElementById("announce").textContent = text;
}

// ---- Dragging ------------------------------------------------------------------------------------

document.addEventListener("dragstart", (event) => {
  dragged = event.target.closest?.("tr[data-job]");
  if (!dragged) return;
  box().toggleAttribute("data-busy", true); // the tick rests, or it would swap the rows away
  dragged.classList.add("dragged");
  event.dataTransfer.effectAllowed = "move";
  event.dataTransfer.setData("text/plain", dragged.dataset.job);
});

document.addEventListener("dragover", (event) => {
  const row = target(event);
  mark(row);
  if (row) event.preventDefault();
});

document.addEventListener("drop", (event) => {
  const row = target(event);
  if (!row) return;
  event.preventDefault();
  move(dragged.dataset.move, row.dataset.job);
});

document.addEventListener("dragend", () => {
  dragged?.classList.remove("dragged");
  mark(null);
  box().toggleAttribute("data-busy", false);
  dragged = null;
});

function target(event) {
  const row = dragged && event.target.closest?.("tr[data-job]");
  return row && row !== dragged ? row : null;
}

function mark(row) {
  for (const each of document.querySelectorAll("tr.drop-before")) if (each !== row) each.classList.remove("drop-before");
  row?.classList.add("drop-before");
}

/** Sends what the buttons would send; the page then comes back with the new order. */
function move(address, before) {
  const form = document.getElementById("queue-form");
  const field = document.createElement("input");
  Object.assign(field, { type: "hidden", name: "before", value: before });
  form.append(field);
  for (const each of chosen("job")) each.checked = false;
  form.action = address;
  form.submit();
}
