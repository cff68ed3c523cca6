// Colours and fonts as the style sheet names them.

export function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
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
