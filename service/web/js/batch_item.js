// A batch in the list of jobs: one entry that opens on its puzzles.

import { button, h } from "./dom.js";
import { STATE_WORDS } from "./job_words.js";
import { dateTime, timeAgo } from "./words.js";

const SHOWN = 400;
const BATCH_WORDS = {
  queued: "queued",
  running: "running",
  finished: "done",
  cancelled: "cancelled",
};
const CHIPS = { finished: "succeeded" };

export const isBatchFinal = ({ state }) => state === "finished" || state === "cancelled";

// `detail` is the batch with its puzzles, null while it is not opened or not there yet.
export function batchItem(batch, { detail, isOpen, current, ontoggle, oncancel, onsave }) {
  const { id, name, state, counts, created_at: created } = batch;
  const ended = counts.total - counts.queued - counts.running - counts.adapting;
  const details = h(
    "details.batch",
    { open: isOpen },
    h(
      "summary",
      { "data-focus": `batch-${id}` },
      h("span.job-name", {}, name),
      h(`span.state.is-${CHIPS[state] ?? state}`, {}, BATCH_WORDS[state]),
      h("time", { datetime: created, title: dateTime(created) }, timeAgo(created)),
      h("span.note.batch-count", {}, countsText(counts)),
      h(
        "div.bar",
        { "aria-hidden": "true" },
        h("div.bar-fill", { style: { "--share": ended / Math.max(1, counts.total) } }),
      ),
    ),
    h(
      "div.row",
      {},
      button("Save submission", () => onsave(batch), {
        class: "quiet",
        "data-focus": `save-${id}`,
        title: "The answers so far, as a Kaggle submission",
      }),
      isBatchFinal(batch)
        ? null
        : button(batch.cancel_requested ? "Cancelling …" : "Cancel batch", () => oncancel(id), {
            class: "quiet",
            disabled: batch.cancel_requested,
            "data-focus": `cancel-${id}`,
          }),
    ),
    isOpen ? puzzles(detail, current) : null,
  );
  details.addEventListener("toggle", () => ontoggle(id, details.open));
  return h("li", {}, details);
}

export function countsText(counts) {
  const { total, succeeded, failed, refused, adapting } = counts;
  const parts = [`${succeeded} of ${total} answered`];
  if (adapting > 0) parts.push(`${adapting} adapting`);
  if (failed > 0) parts.push(`${failed} failed`);
  if (refused > 0) parts.push(`${refused} refused`);
  if (counts.cancelled > 0) parts.push(`${counts.cancelled} cancelled`);
  return parts.join(", ");
}

function puzzles(detail, current) {
  if (detail === null) return h("p.note", {}, "Asking for its puzzles …");
  const items = detail.puzzles.slice(0, SHOWN).map(({ puzzle, state, job, error }) => {
    const chip = h(`span.state.is-${state}`, {}, STATE_WORDS[state] ?? state);
    if (job === null)
      return h(
        "li.job",
        {},
        h("span.job-line", {}, h("span.job-name", {}, puzzle), chip),
        h("span.note", {}, error?.detail ?? ""),
      );
    return h(
      "li.job",
      {},
      h(
        "a",
        {
          href: `#job=${job}`,
          "data-job": job,
          "data-focus": job,
          "aria-current": job === current ? "true" : null,
        },
        h("span.job-name", {}, puzzle),
        chip,
      ),
    );
  });
  return h("ul.batch-puzzles", {}, items);
}
