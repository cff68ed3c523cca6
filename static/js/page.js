// Every page: the tick that keeps fragments fresh, the live dot's words, copying, asking before, the worker for a lost site.

const TICK_MS = 2000;
const dot = document.getElementById("live");

/** Words and state of the live dot; pages without one stay silent. */
export function sayLive(state, words) {
  if (!dot || (dot.dataset.state === state && dot.textContent === words)) return;
  dot.dataset.state = state;
  dot.textContent = words;
  dot.setAttribute("aria-pressed", String(state === "paused"));
}

/** Rows are being chosen, dragged or read: fresh ones must not be swapped in under the hand. */
function inUse() {
  return document.querySelector("[hx-trigger*=tick]:is([data-busy], :has(input:checked, details[open], :focus-visible))");
}

function ticks() {
  const polls = () => document.querySelector('[hx-trigger*="tick"]');
  let waits = 1;
  let left = 0;
  setInterval(() => {
    if (document.hidden || dot?.dataset.state === "paused" || !polls() || inUse() || --left > 0) return;
    document.body.dispatchEvent(new CustomEvent("tick"));
  }, TICK_MS);
  document.body.addEventListener("htmx:afterRequest", (event) => {
    if (!event.detail.requestConfig?.triggeringEvent || event.detail.requestConfig.triggeringEvent.type !== "tick") return;
    waits = event.detail.successful ? 1 : Math.min(waits * 2, 15);
    left = waits;
    if (event.detail.successful) sayLive("live", "Live");
    else sayLive("offline", `Offline, retrying in ${(waits * TICK_MS) / 1000} s`);
  });
  if (dot && polls()) {
    dot.addEventListener("click", () => {
      const paused = dot.dataset.state === "paused";
      sayLive(paused ? "live" : "paused", paused ? "Live" : "Paused");
      left = 0;
    });
  }
}

// A fragment that answers with the sign-in page means the session is over: the whole page goes there.
document.body.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.xhr.responseURL.includes("/sign-in/")) {
    event.preventDefault();
    location.reload();
  }
});

document.addEventListener("click", async (event) => {
  const asks = event.target.closest("[data-confirm], [data-confirm-from]");
  const question = asks?.dataset.confirm ?? document.querySelector(asks?.dataset.confirmFrom ?? "#_")?.textContent;
  if (question && !confirm(question)) event.preventDefault();
  const sets = event.target.closest("[data-set]");
  if (sets) set(sets.dataset.set, sets.dataset.value);
  const copies = event.target.closest("[data-copy]");
  if (copies) await copy(copies);
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

/** Put a value into a field of the form, as if it was typed. */
function set(name, value) {
  const field = document.querySelector(`[name="${name}"]:not([type="hidden"])`);
  if (!field) return;
  if (field.type === "checkbox") field.checked = true;
  else field.value = value;
  field.closest("details")?.setAttribute("open", "");
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.lastChild.textContent = "Copied";
    setTimeout(() => (button.lastChild.textContent = "Copy"), 2000);
  } catch {
    getSelection().selectAllChildren(source); // no clipboard without https: the text is selected instead
  }
}

// A box wider inside than out is scrolled with the keys too; one that shows all is no stop on the way.
const widths = new ResizeObserver((all) => all.forEach(({ target: box }) => (box.tabIndex = box.scrollWidth > box.clientWidth ? 0 : -1)));
const watchWidths = () => document.querySelectorAll(".table-scroll").forEach((box) => widths.observe(box));
document.body.addEventListener("htmx:afterSettle", watchWidths);

navigator.serviceWorker?.register("/offline.js").catch(() => {}); // without one the browser has its own page
document.querySelector("[data-focus]")?.focus();
watchWidths();
ticks();
