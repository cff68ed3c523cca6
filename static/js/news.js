// One line above the charts when they are not up to date: no point for long, or no connection.

import { duration } from "./numbers.js";

const LOOK_MS = 5000;
const STALE_LEAST_MS = 30000;
const STALE_STEPS = 5;

/** Returns what the live dot's words are told to. */
export function news(store, live, page) {
  const line = document.getElementById("chart-news");
  const [retry, log] = [line.querySelector("button"), line.querySelector("a")];
  let offline = "";
  retry.addEventListener("click", () => live.retry());

  function say(words, mayRetry) {
    line.hidden = !words;
    retry.hidden = !mayRetry;
    log.hidden = mayRetry;
    const place = line.querySelector("span");
    if (place.textContent !== words) place.textContent = words;
  }

  async function look() {
    const head = document.getElementById("head");
    if (document.hidden || live.paused || offline) return;
    const silent = Date.now() - (store.heardAt ?? lastTime(store) * 1000);
    const stale = head.dataset.state === "running" && head.dataset.ended === "0" && silent > Math.max(STALE_LEAST_MS, STALE_STEPS * 1000 * paceOf(store));
    if (!stale) return say("", false);
    const beat = await heartbeat(page.job);
    say(`Last point ${duration(silent / 1000)} ago.${beat === null ? "" : ` Worker heartbeat ${duration(beat)} ago.`}`, false);
  }

  setInterval(look, LOOK_MS);
  return (state, words) => {
    offline = state === "offline" ? words : "";
    if (offline) say(`Live updates paused: connection lost. ${words.replace("Offline, r", "R")}.`, true);
    else say("", false);
  };
}

function lastTime(store) {
  return Math.max(0, ...[...store.series.values()].map((each) => each.time.at(-1) ?? 0)) || Date.now() / 1000;
}

/** Median seconds of a step. */
function paceOf(store) {
  const seconds = (store.series.get("step_seconds")?.raw ?? []).filter(Number.isFinite).sort((a, b) => a - b);
  return seconds[seconds.length >> 1] ?? 0;
}

async function heartbeat(job) {
  try {
    const answer = await fetch(`/api/v1/jobs/${job}`);
    return answer.ok ? ((await answer.json()).heartbeat_age_seconds ?? null) : null;
  } catch {
    return null;
  }
}
