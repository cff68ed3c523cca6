// The log's tail: new lines at the end, the newest kept in view while that is wanted, old ones dropped.

const LINES_AT_MOST = 2000;

export function logTail() {
  const box = document.getElementById("log");
  const follow = document.getElementById("log-follow");
  if (!box || "fixed" in box.dataset) return () => {}; // an earlier attempt says no more
  const toEnd = () => follow.checked && (box.scrollTop = box.scrollHeight);
  follow.addEventListener("change", toEnd);
  box.addEventListener("scroll", () => (follow.checked = box.scrollHeight - box.scrollTop - box.clientHeight < 24));
  toEnd();
  return (text, level) => {
    box.querySelector("[data-placeholder]")?.remove();
    const line = document.createElement("p");
    line.className = level;
    line.textContent = text;
    const follows = follow.checked;
    box.append(line);
    while (box.childElementCount > LINES_AT_MOST) box.firstElementChild.remove();
    if (follows) box.scrollTop = box.scrollHeight;
  };
}
