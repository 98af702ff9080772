// The page put together: the puzzle on one side, its answer on the other, the jobs beside them.

import { alarm, announce } from "./announce.js";
import { AnswerPanel } from "./answer_panel.js";
import { API, Problem, isFinal } from "./api.js";
import { copyButton } from "./clipboard.js";
import { byId, h, replace } from "./dom.js";
import { DraftStore } from "./draft_store.js";
import { Editor } from "./editor.js";
import { readExamples } from "./examples.js";
import { JobFollower } from "./job_follower.js";
import { JobsPanel } from "./jobs_panel.js";
import { Keys } from "./keys.js";
import { OpenDialog } from "./open_dialog.js";
import { OptionsForm } from "./options_form.js";
import { PuzzlePanel } from "./puzzle_panel.js";
import { emptyDraft, placeOf, readTask, taskDocument, taskText } from "./task.js";
import { startTheme } from "./theme.js";
import { count } from "./words.js";

const LOOK_EVERY_MS = 15_000;
const UNKNOWN_PUZZLE =
  "The checkpoint has no trained rows for this puzzle: it was not trained on these " +
  "demonstrations, whatever the name. It can be adapted to them first, which takes some time.";

const api = new API(new Keys());
const store = new DraftStore();
const editor = new Editor();
const follower = new JobFollower(api);
const puzzle = new PuzzlePanel(store, editor);
const form = new OptionsForm();
const jobs = new JobsPanel(api, cancel);
const opener = new OpenDialog(api, load);
let lastState = null;
new AnswerPanel(follower, editor, { load, ask: () => cancel(follower.id) });

startTheme();
byId("options").addEventListener("submit", (event) => {
  event.preventDefault();
  solve();
});
byId("new").addEventListener("click", () => load({ draft: emptyDraft(), faults: [] }));
copyButton(byId("copy-task"), () => taskText(store.draft), "Puzzle");
for (const link of document.querySelectorAll("a.skip")) link.addEventListener("click", skip);
addEventListener("hashchange", route);
addEventListener("pagehide", () => store.save());
addEventListener("keydown", onKey);
follower.addEventListener("change", onJobChange);
start();

async function start() {
  if (store.isFresh) await loadFirstExample();
  route();
  look();
  if (await askForCheckpoints()) jobs.refresh();
}

async function loadFirstExample() {
  const [first] = await readExamples();
  if (first !== undefined) store.load(readTask(first.task));
}

function load(task) {
  store.load(task);
  const { train, test } = task.draft;
  const parts = [count(train.length, "demonstration"), count(test.length, "test input")];
  announce(`${task.draft.name}: ${parts.join(", ")}`);
  if (task.faults.length > 0) {
    const verb = task.faults.length === 1 ? "is" : "are";
    alarm(`${count(task.faults.length, "place")} of the puzzle ${verb} wrong`);
    puzzle.focusFaults();
  } else byId("puzzle-title").focus({ preventScroll: true });
  show([]);
}

// The job that the address names is the one that is shown: a reload picks it up again.
function route() {
  const id = /^#job=([A-Za-z0-9_-]{1,64})$/.exec(location.hash)?.[1] ?? null;
  if (id === follower.id) return;
  jobs.setCurrent(id);
  if (id === null) {
    follower.close();
    follower.dispatchEvent(new Event("change"));
  } else follower.open(id);
}

// The address is the job's: a link within the page must not take its place.
function skip(event) {
  event.preventDefault();
  document.querySelector(event.target.hash).focus();
}

async function solve() {
  show([]);
  if (!puzzle.check()) {
    puzzle.focusFaults();
    alarm("The puzzle is wrong in places: fix them first");
    return;
  }
  if (!form.isValid) return;
  const button = byId("solve");
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  const task = taskDocument(store.draft);
  try {
    const job = await api.submit({ ...task, options: form.options }, idempotencyKey());
    announce(`${job.name} is queued`);
    jobs.setCurrent(job.id);
    follower.open(job.id, { job, task });
    location.hash = `job=${job.id}`;
    jobs.refresh();
    if (matchMedia("(max-width: 59.99rem)").matches) byId("answer").scrollIntoView();
  } catch (error) {
    refuse(error);
  } finally {
    button.removeAttribute("aria-disabled");
  }
}

// What the service says no to is shown where it is: at grids, at options, else beside the button.
function refuse(error) {
  const errors = error instanceof Problem ? error.errors : [];
  const atGrids = errors.filter(({ pointer }) => placeOf(pointer) !== null);
  if (atGrids.length > 0) {
    store.setFaults(atGrids.map(({ pointer, detail }) => ({ pointer, detail, isOfService: true })));
    puzzle.focusFaults();
  }
  const message = error.code === "unknown_puzzle" ? UNKNOWN_PUZZLE : error.message;
  alarm(message);
  show([h("p", {}, message), h("div.row", {}, remedies(error))]);
  const option = errors.find(
    ({ pointer }) => pointer?.startsWith("/options/") && error.code === "invalid_request",
  );
  if (option !== undefined) form.focus(option.pointer);
}

function remedies(error) {
  if (error.code !== "unknown_puzzle") return [];
  const others = (error.document.known_to ?? []).map((name) =>
    h("button", { type: "button", onclick: () => again("checkpoint", name) }, `Ask ${name}`),
  );
  const adapt = h(
    "button",
    { type: "button", onclick: () => again("adapt", "auto") },
    "Adapt to it first",
  );
  return [...others, adapt];
}

function again(name, value) {
  form.set(name, value);
  byId("solve").focus();
  solve();
}

function show(children) {
  replace(byId("solve-problem"), children);
  byId("solve-problem").hidden = children.length === 0;
}

async function cancel(id) {
  try {
    if (id === follower.id) await follower.cancel();
    else await api.cancel(id);
    announce("Asked to cancel");
  } catch (error) {
    alarm(error.message);
  }
  jobs.refresh();
}

function onJobChange() {
  const state = follower.view?.job?.state ?? null;
  if (state !== null && state !== lastState && isFinal(state)) jobs.refresh();
  lastState = state;
}

function onKey(event) {
  if (document.querySelector("dialog[open]") !== null) return;
  const isWriting = event.target.matches("input, textarea, select");
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter") solve();
  else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !isWriting) {
    if (event.shiftKey) store.redo();
    else store.undo();
  } else return;
  event.preventDefault();
}

async function askForCheckpoints() {
  try {
    const { checkpoints } = await api.checkpoints();
    form.setCheckpoints(checkpoints);
    opener.setCheckpoints(checkpoints);
    return true;
  } catch (error) {
    alarm(error.message);
    return false;
  }
}

// Looks now and then whether jobs would be worked on; a service that comes back is asked again.
async function look() {
  const seen = await api.ready();
  const status = byId("status");
  const word = seen.isReady
    ? "ready"
    : seen.isReachable
      ? "no worker is ready"
      : "cannot be reached";
  if (status.dataset.state !== word) {
    const wasKnown = status.dataset.state !== undefined;
    status.dataset.state = word;
    status.className = seen.isReady ? "status is-ready" : "status is-away";
    byId("status-text").textContent = seen.isReady
      ? `ready, ${count(seen.workers, "worker")}`
      : word;
    if (wasKnown) announce(`The service: ${word}`);
    if (wasKnown && seen.isReady) {
      if (await askForCheckpoints()) jobs.refresh();
    }
  }
  setTimeout(look, LOOK_EVERY_MS);
}

function idempotencyKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
