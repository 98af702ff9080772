// Jobs in words, and their answers as text.

import { count, percent, seconds } from "./words.js";

export const STATE_WORDS = {
  queued: "queued",
  running: "running",
  adapting: "adapting",
  succeeded: "done",
  failed: "failed",
  cancelled: "cancelled",
};

const PHASES = {
  waiting: "waiting for the device",
  rows: "training rows",
  all: "training all weights",
  last: "last phase, on all demonstrations",
};

// How far a job is: a share or null where nobody knows, and a sentence.
export function progressOf({ state, progress, cancel_requested: isCancelled }) {
  if (isCancelled) return { share: null, text: "is being cancelled" };
  if (state === "queued" || progress === null)
    return { share: null, text: state === "queued" ? "waits for a worker" : "begins" };
  const { adaptation } = progress;
  if (state === "adapting" && adaptation) {
    const parts = [
      PHASES[adaptation.phase],
      count(adaptation.steps, "step"),
      seconds(adaptation.seconds),
      adaptation.loss === null ? null : `loss ${adaptation.loss.toPrecision(3)}`,
      adaptation.held_out_share === null
        ? null
        : `${percent(adaptation.held_out_share)} right on what was held out`,
    ];
    const text = `adapts ${adaptation.checkpoint}: ${parts.filter(Boolean).join(", ")}`;
    return { share: Math.min(1, adaptation.used_share), text };
  }
  const { outcomes, asked, decided, test_inputs: inputs } = progress;
  const settled = inputs === 1 ? "" : `, ${decided} of ${inputs} test inputs settled`;
  return {
    share: asked === 0 ? null : outcomes / asked,
    text: `${outcomes.toLocaleString("en")} of ${count(asked, "variant")} have answered${settled}`,
  };
}

// A job in the few words that a tab has room for.
export function titleOf(job) {
  const { share } = progressOf(job);
  const isShown = share !== null && (job.state === "running" || job.state === "adapting");
  return `${isShown ? percent(share) : STATE_WORDS[job.state]} ${job.name}`;
}

// The attempts in the form of a Kaggle submission's entry.
export function attemptsText({ tests }) {
  const entries = tests.map(({ attempts }) =>
    Object.fromEntries(attempts.map((grid, place) => [`attempt_${place + 1}`, grid])),
  );
  return JSON.stringify(entries);
}

// What became of a job with expected outputs, in a sentence.
export function verdictOf(tests) {
  const judged = tests.filter(({ right }) => right !== undefined && right !== null);
  if (judged.length === 0) return count(tests.length, "test input") + " answered.";
  return `${judged.filter(({ right }) => right).length} of ${judged.length} right.`;
}
