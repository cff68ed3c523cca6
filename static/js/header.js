// The header's numbers, from the same store as the curves: step, progress, time left, loss, memory, throughput.

import { bytes, count, duration, loss, roughRange, whole } from "./numbers.js";

const name = document.querySelector("#head h1")?.textContent;

export class Header {
  constructor(store, totalSteps) {
    Object.assign(this, { store, totalSteps, step: 0, peak: 0 });
    setInterval(() => this.elapsed(), 1000);
  }

  /** One metrics event; drawn with the next frame. */
  heard(message) {
    this.step = Math.max(this.step, message.step);
    this.peak = Math.max(this.peak, message.values.device_memory_bytes ?? 0);
    this.left = message.left ?? this.left;
    if (this.due) return;
    this.due = requestAnimationFrame(() => {
      this.due = null;
      this.draw();
    });
  }

  draw() {
    const head = document.getElementById("head");
    if (!head || head.dataset.ended === "1") return;
    const put = (selector, text) => {
      const place = head.querySelector(selector);
      if (place && text !== undefined && place.textContent !== text) place.textContent = text;
    };
    const value = this.store.lastSmooth("loss");
    if (value !== undefined) {
      put('[data-kpi="loss"]', loss(value));
      put('[data-kpi-note="loss"]', this.store.weight ? `smoothed ${this.store.weight.toFixed(2)}` : "");
    }
    const pace = this.store.last("tokens_per_second");
    if (pace !== undefined) put('[data-kpi="tokens_per_second"]', count(pace));
    if (this.peak) put('[data-kpi="memory"]', bytes(this.peak));
    if (this.step && this.totalSteps) this.progress(head, put, value);
  }

  progress(head, put, value) {
    const share = Math.min(1, this.step / this.totalSteps);
    const bar = head.querySelector("[data-progress]");
    if (bar) bar.value = share;
    put("[data-step]", `step ${whole(this.step)} / ${whole(this.totalSteps)}`);
    if (this.left) put("[data-eta]", `${roughRange(...this.left)} left`);
    const badge = head.querySelector("[data-badge] .badge");
    if (badge?.textContent.trim().startsWith("Running")) badge.lastChild.textContent = `Running ${Math.round(100 * share)} %`;
    document.title = `${Math.round(100 * share)} %${value === undefined ? "" : ` · loss ${loss(value)}`} · ${name}`;
  }

  elapsed() {
    const place = document.querySelector("[data-elapsed]");
    if (place) place.textContent = duration(Date.now() / 1000 - Number(place.dataset.elapsed));
  }
}
