// Jobs in words, and their answers as text.

import { count, percent } from "./words.js";

export const STATE_WORDS = {
  queued: "queued",
  running: "running",
  adapting: "adapting",
  succeeded: "done",
  failed: "failed",
  cancelled: "cancelled",
};

// The steps of an adaptation, as the service calls them; before the first it waits for the device.
const STEPS = ["rows", "all", "last"];

// How far a job is: a share or null where nobody knows, and a sentence.
export function progressOf({ state, progress, cancel_requested: isCancelled }) {
  if (isCancelled) return { share: null, text: "Cancelling …" };
  if (state === "queued") return { share: null, text: "Waiting for a free worker" };
  if (progress === null) return { share: null, text: "Starting …" };
  const { adaptation } = progress;
  if (state === "adapting" && adaptation) {
    const { checkpoint, used_share: share } = adaptation;
    const step = stepOf(adaptation);
    const text =
      step === null
        ? `Adapting ${checkpoint}: waiting for its turn`
        : `Adapting ${checkpoint}, step ${step + 1} of ${STEPS.length}`;
    return { share: Math.min(1, share), text };
  }
  const { outcomes, asked, decided, test_inputs: inputs } = progress;
  if (asked === 0) return { share: null, text: "Starting …" };
  const settled = inputs === 1 ? "" : `, ${decided} of ${inputs} test inputs settled`;
  return {
    share: outcomes / asked,
    text: `${outcomes.toLocaleString("en")} of ${count(asked, "variant")} have answered${settled}`,
  };
}

// The step that an adaptation is at, from 0; null while it waits for the device.
export function stepOf({ phase }) {
  const step = STEPS.indexOf(phase);
  return step < 0 ? null : step;
}

// The seconds that an adaptation takes in all, and those that are left; null where nobody knows.
// An older service says only which part of the time is used.
export function timesOf(adaptation, options) {
  const { expected_s: expected, remaining_s: remaining, used_share: used } = adaptation;
  const all = expected ?? options?.adapt_s ?? null;
  return { all, left: remaining ?? (all === null ? null : Math.max(0, all * (1 - used))) };
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

// What became of a job with expected outputs or with rules, in a sentence.
export function verdictOf(tests) {
  if (tests.every(({ verified }) => verified)) return "Verified by the rules.";
  const judged = tests.filter(({ right }) => right !== undefined && right !== null);
  if (judged.length === 0) return count(tests.length, "test input") + " answered.";
  return `${judged.filter(({ right }) => right).length} of ${judged.length} right.`;
}
