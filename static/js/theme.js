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
