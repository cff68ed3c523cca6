// The queue: choosing many rows, and dragging one before another, or behind the last. Buttons do all of it too.

const box = () => document.getElementById("queue");
const chosen = (name) => [...document.querySelectorAll(`input[name="${name}"]:checked`)];
let dragged = null;

document.addEventListener("change", (event) => {
  const all = event.target.dataset.chooseAll;
  if (!all) return;
  for (const each of event.target.closest("table").querySelectorAll(`input[name="${all}"]`)) each.checked = event.target.checked;
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
  const aim = target(event);
  mark(aim);
  if (aim) event.preventDefault();
});

document.addEventListener("drop", (event) => {
  const aim = target(event);
  if (!aim) return;
  event.preventDefault();
  move(dragged.dataset.move, aim);
});

document.addEventListener("dragend", () => {
  dragged?.classList.remove("dragged");
  mark(null);
  box().toggleAttribute("data-busy", false);
  dragged = null;
});

/** The row under the hand, and on which side of it the dragged one would land. */
function target(event) {
  const row = dragged && event.target.closest?.("tr[data-job]");
  if (!row || row === dragged) return null;
  const { top, height } = row.getBoundingClientRect();
  return { row, side: !row.nextElementSibling && event.clientY > top + height / 2 ? "after" : "before" };
}

function mark(aim) {
  for (const each of document.querySelectorAll("tr[data-drop]")) if (each !== aim?.row) delete each.dataset.drop;
  if (aim) aim.row.dataset.drop = aim.side;
}

/** Sends what the buttons would send; the page then comes back with the new order. */
function move(address, { row, side }) {
  const form = document.getElementById("queue-form");
  const field = document.createElement("input");
  Object.assign(field, { type: "hidden", name: side, value: row.dataset.job });
  form.append(field);
  for (const each of chosen("job")) each.checked = false;
  form.action = address;
  form.submit();
}
