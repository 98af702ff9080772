// The answer: how far the job is, the votes as they come, and at the end what they say.

import { announce } from "./announce.js";
import { isFinal } from "./api.js";
import { copyButton } from "./clipboard.js";
import { byId, h, replace, setStyle } from "./dom.js";
import { largestSide } from "./pictures.js";
import { STATE_WORDS, attemptsText, progressOf, timesOf, titleOf, verdictOf } from "./job_words.js";
import { factsOf } from "./facts.js";
import { liveVote } from "./live_vote.js";
import { messageOf } from "./messages.js";
import { StageView } from "./stage_view.js";
import { TestAnswer } from "./test_answer.js";
import { isSamePuzzle } from "./task.js";
import { about, left, percent } from "./words.js";

const TITLE = "hrm-arc";
const TICK_MS = 1000;

export class AnswerPanel {
  #follower;
  #store;
  #editor;
  #load;
  #ask;
  #stage = new StageView(byId("answer-stage"));
  #timed = null; // the progress that was shown last, and since when
  #shownResult = null;
  #said = "";
  #isPressed = false;

  // `load` takes the job's puzzle to be drawn on; `ask` cancels the job.
  constructor(follower, store, editor, { load, ask }) {
    this.#follower = follower;
    this.#store = store;
    this.#editor = editor;
    this.#load = load;
    this.#ask = ask;
    byId("cancel").addEventListener("click", () => this.#ask());
    byId("load-puzzle").addEventListener("click", () =>
      this.#load({ draft: this.#follower.view.task, faults: [] }),
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
    store.addEventListener("change", () => this.#showWhose());
    setInterval(() => this.#showTime(), TICK_MS);
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
    this.#showWhose();
    this.#showState(job);
    this.#showProblem(job, problem);
    this.#showWarnings(job?.result ?? null);
    this.#showProgress(job, isActive);
    this.#showTests(job, task);
  }

  // Whether what is shown is of the puzzle that is drawn, or it says of which it is.
  #showWhose() {
    const { job, task } = this.#follower.view ?? {};
    const isOther = Boolean(task) && !isSamePuzzle(this.#store.draft, task);
    byId("answer-other").hidden = !isOther;
    byId("load-puzzle").hidden = !isOther;
    if (!isOther) return;
    const isChanged = job?.name === this.#store.draft.name;
    byId("answer-other").textContent = isChanged
      ? "The puzzle was changed after this was sent: this is about the puzzle as it was."
      : `This is about “${job?.name}”, not about the puzzle that is open now.`;
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
    if (job.progress !== this.#timed?.progress)
      this.#timed = { progress: job.progress, at: performance.now() };
    this.#showTime();
    // Every quarter, not every variant: a screen reader is not to talk all the time.
    const said = share === null ? text : `${job.state}, ${percent(Math.floor(share * 4) / 4)}`;
    if (said !== this.#said) announce(`${job.name}: ${said}`);
    this.#said = said;
  }

  // The time left runs down between two events too.
  #showTime() {
    const job = this.#follower.view?.job;
    const adaptation = job?.state === "adapting" ? job.progress?.adaptation : null;
    const { all = null, left: rest = null } = adaptation ? timesOf(adaptation, job.options) : {};
    const place = byId("progress-time");
    if (rest === null || adaptation.phase === "waiting") {
      place.textContent = all === null ? "" : `takes ${about(all)}`;
      return;
    }
    const since = (performance.now() - this.#timed.at) / 1000;
    place.textContent = `${left(Math.max(0, rest - since))}, of ${about(all ?? rest)}`;
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
    const message = problem ? messageOf(problem) : (failure?.detail ?? null);
    const box = byId("answer-problem");
    box.hidden = message === null;
    if (message !== null) box.textContent = message;
  }

  // What an answer must be read with comes before its grids.
  #showWarnings(result) {
    const warnings = result?.warnings ?? [];
    const list = byId("answer-warnings");
    list.hidden = warnings.length === 0;
    replace(
      list,
      warnings.map((sentence) => h("li", {}, sentence)),
    );
  }

  #showTests(job, task) {
    const hasVotes = (job?.progress?.tests ?? []).some(({ candidates }) => candidates.length > 0);
    const isStaged = job !== null && task !== null && !isFinal(job.state) && !hasVotes;
    byId("answer-stage").hidden = !isStaged;
    if (isStaged) this.#stage.show(task, job);
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
      (hasVotes ? job.progress.tests : []).map((test, index) =>
        liveVote(test, index, task, this.#editor),
      ),
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
    const [warning = ""] = job.result.warnings ?? [];
    if (this.#said !== "") announce(`${job.name} is done. ${warning} ${said}`);
    this.#said = "";
  }

  #showFacts(job) {
    for (const id of ["copy-attempts", "copy-answer", "facts"]) byId(id).hidden = job === null;
    if (job !== null) replace(byId("facts-list"), factsOf(job));
  }
}
