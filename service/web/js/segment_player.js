// Plays how a variant's answer came about, one segment after the other.

import { button, h } from "./dom.js";
import { help } from "./help.js";

const SEGMENT_MS = 600;

export class SegmentPlayer {
  #num;
  #onshow;
  #at;
  #timer = 0;
  #slider;
  #number = h("output.walk-number");
  #play;

  // `onshow` gets the segment to show, from 0; the last one is the answer, which comes first.
  constructor(num, onshow) {
    this.#num = num;
    this.#onshow = onshow;
    this.#at = num - 1;
    this.#slider = h("input", {
      type: "range",
      min: 1,
      max: num,
      step: 1,
      value: num,
      "aria-label": "Segment",
      oninput: () => this.#take(Number(this.#slider.value) - 1),
    });
    this.#play = button("▶ Play", () => this.#toggle(), { class: "quiet play" });
    this.element = h(
      "div.player",
      { role: "group", "aria-label": "The answer after each segment" },
      button("‹", () => this.#take(this.#at - 1), {
        class: "quiet",
        "aria-label": "Previous segment",
      }),
      this.#play,
      button("›", () => this.#take(this.#at + 1), { class: "quiet", "aria-label": "Next segment" }),
      this.#slider,
      this.#number,
      help("segment"),
    );
    this.#show();
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#play.textContent = "▶ Play";
  }

  // A step that is taken by hand ends playing.
  #take(at) {
    this.stop();
    this.#at = Math.max(0, Math.min(at, this.#num - 1));
    this.#show();
  }

  #toggle() {
    if (this.#timer !== 0) {
      this.stop();
      return;
    }
    if (this.#at === this.#num - 1) this.#at = 0;
    this.#play.textContent = "⏸ Pause";
    this.#timer = setInterval(() => this.#step(), SEGMENT_MS);
    this.#show();
  }

  #step() {
    if (!this.element.isConnected) {
      this.stop();
      return;
    }
    this.#at += 1;
    this.#show();
    if (this.#at === this.#num - 1) this.stop();
  }

  #show() {
    this.#slider.value = this.#at + 1;
    const text = `Segment ${this.#at + 1} of ${this.#num}`;
    this.#slider.setAttribute("aria-valuetext", text);
    this.#number.textContent = text;
    this.#onshow(this.#at);
  }
}
