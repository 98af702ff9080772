// The answer: how far the job is, the votes as they come, and at the end what they say.

import { announce } from "./announce.js";
import { isFinal } from "./api.js";
import { copyButton } from "./clipboard.js";
import { byId, replace, setStyle } from "./dom.js";
import { largestSide } from "./pictures.js";
import { STATE_WORDS, attemptsText, progressOf, titleOf, verdictOf } from "./job_words.js";
import { factsOf } from "./facts.js";
import { liveVote } from "./live_vote.js";
import { TestAnswer } from "./test_answer.js";
import { readTask } from "./task.js";
import { percent } from "./words.js";

const TITLE = "hrm-arc";

export class AnswerPanel {
  #follower;
  #editor;
  #load;
  #ask;
  #shownResult = null;
  #said = "";
  #isPressed = false;

  // `load` takes the job's puzzle to be drawn on; `ask` cancels the job.
  constructor(follower, editor, { load, ask }) {
    this.#follower = follower;
    this.#editor = editor;
    this.#load = load;
    this.#ask = ask;
    byId("cancel").addEventListener("click", () => this.#ask());
    byId("load-puzzle").addEventListener("click", () =>
      this.#load(readTask(this.#follower.view.task)),
    );
    copyButton(
      byId("copy-attempts"),
      () => attemptsText(this.#follower.view.job.result),
      "Attempts",
    );
    copyButton(
      byId("copy-answer"),
      () => JSON.stringify(this.#follower.view.job.result, null, 1),
      "Answer",
    );
    // What is pressed must still be there when it is let go, or nothing is clicked.
    byId("answer-tests").addEventListener("pointerdown", () => {
      this.#isPressed = true;
    });
    for (const kind of ["pointerup", "pointercancel"]) {
      addEventListener(kind, () => {
        this.#isPressed = false;
      });
    }
    follower.addEventListener("change", () => this.show());
    this.show();
  }

  show() {
    const { view } = this.#follower;
    document.title = view?.job ? `${titleOf(view.job)} · ${TITLE}` : TITLE;
    byId("answer-empty").hidden = view !== null;
    byId("answer-body").hidden = view === null;
    if (view === null) return;
    const { job, task, problem, isOffline } = view;
    byId("answer-name").textContent = job?.name ?? "";
    byId("offline").hidden = !isOffline;
    const isActive = job !== null && !isFinal(job.state);
    const cancel = byId("cancel");
    const hadFocus = document.activeElement === cancel;
    cancel.hidden = !isActive;
    cancel.disabled = job?.cancel_requested === true;
    cancel.textContent = job?.cancel_requested ? "Cancelling …" : "Cancel";
    if (hadFocus && cancel.hidden) byId("answer-name").focus();
    byId("load-puzzle").hidden = task === null;
    this.#showState(job);
    this.#showProgress(job, isActive);
    this.#showProblem(job, problem);
    this.#showTests(job, task);
  }

  #showState(job) {
    const chip = byId("answer-state");
    chip.hidden = job === null;
    chip.className = `state is-${job?.state ?? "queued"}`;
    chip.textContent = job === null ? "" : STATE_WORDS[job.state];
  }

  #showProgress(job, isActive) {
    byId("progress").hidden = !isActive;
    if (!isActive) {
      this.#sayEnd(job);
      return;
    }
    const { share, text } = progressOf(job);
    const bar = byId("progress-bar");
    if (share === null) bar.removeAttribute("value");
    else bar.value = share;
    byId("progress-text").textContent = text;
    // Every quarter, not every variant: a screen reader is not to talk all the time.
    const said = share === null ? job.state : `${job.state}, ${percent(Math.floor(share * 4) / 4)}`;
    if (said !== this.#said) announce(`${job.name}: ${said}`);
    this.#said = said;
  }

  // An end without an answer; one with an answer is announced when that is shown.
  #sayEnd(job) {
    if (this.#said === "" || job === null || job.result !== null) return;
    announce(
      [`${job.name}: ${STATE_WORDS[job.state]}`, job.error?.detail].filter(Boolean).join(". "),
    );
    this.#said = "";
  }

  #showProblem(job, problem) {
    const failure = job?.state === "failed" ? job.error : null;
    const message = problem?.message ?? failure?.detail ?? null;
    const box = byId("answer-problem");
    box.hidden = message === null;
    if (message !== null) box.textContent = message;
  }

  #showTests(job, task) {
    const place = byId("answer-tests");
    if (job === null || task === null) {
      place.replaceChildren();
      this.#shownResult = null;
      this.#showFacts(null);
      return;
    }
    if (job.result !== null) {
      if (job.result !== this.#shownResult) this.#showResult(job, task);
      return;
    }
    this.#shownResult = null;
    this.#showFacts(null);
    if (this.#isPressed) return;
    replace(
      place,
      (job.progress?.tests ?? []).map((test, index) => liveVote(test, index, task, this.#editor)),
    );
  }

  #showResult(job, task) {
    this.#shownResult = job.result;
    const { tests } = job.result;
    const grids = tests.flatMap(({ attempts, expected }) => [
      ...attempts,
      ...(expected ? [expected] : []),
    ]);
    setStyle(byId("answer-tests"), {
      "--side": largestSide([...grids, ...task.test.map(({ input }) => input)]),
    });
    const sections = tests.map(
      (test, index) => new TestAnswer(test, index, task, this.#editor).element,
    );
    byId("answer-tests").replaceChildren(...sections);
    this.#showFacts(job);
    const said = verdictOf(tests);
    if (this.#said !== "") announce(`${job.name} is done. ${said}`);
    this.#said = "";
  }

  #showFacts(job) {
    for (const id of ["copy-attempts", "copy-answer", "facts"]) byId(id).hidden = job === null;
    if (job !== null) replace(byId("facts-list"), factsOf(job));
  }
}
