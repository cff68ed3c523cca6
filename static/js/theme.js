// Colours and fonts as the style sheet names them.

const dark = matchMedia("(prefers-color-scheme: dark)");
let held = { theme: "", values: new Map() };

/** Remembered for as long as the theme stays: each look into the style sheet makes the browser lay out what changed. */
export function css(name) {
  const theme = `${document.documentElement.dataset.theme} ${dark.matches}`;
  if (held.theme !== theme) held = { theme, values: new Map() };
  if (!held.values.has(name)) held.values.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  return held.values.get(name);
}

/** What `make` returns as it would look in light colours: for pictures that leave the page. */
export function inLight(make) {
  const root = document.documentElement;
  const before = root.dataset.theme;
  root.dataset.theme = "light";
  try {
    return make();
  } finally {
    if (before === undefined) delete root.dataset.theme;
    else root.dataset.theme = before;
  }
}
