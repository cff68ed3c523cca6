// Pictures that leave the page are light, whatever its theme is.

/** What `make` returns as it would look in light colours. */
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
