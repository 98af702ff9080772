// The page put together: the puzzle on one side, its answer on the other, the jobs beside them.

import { AdaptedPanel } from "./adapted_panel.js";
import { alarm, announce } from "./announce.js";
import { AnswerPanel } from "./answer_panel.js";
import { API, isFinal } from "./api.js";
import { copyButton } from "./clipboard.js";
import { byId } from "./dom.js";
import { DraftStore } from "./draft_store.js";
import { Editor } from "./editor.js";
import { readExamples } from "./examples.js";
import { ForecastLine } from "./forecast_line.js";
import { explainAll } from "./help.js";
import { JobFollower } from "./job_follower.js";
import { JobsPanel } from "./jobs_panel.js";
import { Keys } from "./keys.js";
import { KINDS } from "./kinds.js";
import { Knowledge } from "./knowledge.js";
import { messageOf } from "./messages.js";
import { OpenDialog } from "./open_dialog.js";
import { OptionsForm } from "./options_form.js";
import { PuzzlePanel } from "./puzzle_panel.js";
import { ServiceStatus } from "./service_status.js";
import { Submitter } from "./submitter.js";
import { emptyDraft, isSamePuzzle, readTask, taskText } from "./task.js";
import { startTheme } from "./theme.js";
import { count, timeOfDay } from "./words.js";

const NARROW = matchMedia("(max-width: 59.99rem)");

const api = new API(new Keys());
const store = new DraftStore();
const editor = new Editor();
const knowledge = new Knowledge(api);
const follower = new JobFollower(api);
const puzzle = new PuzzlePanel(store, editor);
const form = new OptionsForm();
const forecast = new ForecastLine(store, knowledge, form);
const jobs = new JobsPanel(api, { cancel, open: openJob });
const adapted = new AdaptedPanel(api, knowledge);
const submitter = new Submitter({
  api,
  store,
  puzzle,
  form,
  knowledge,
  forecast: (draft) => forecast.of(draft),
  sent,
});
let lastState = null;
let untaken = null; // the id of a job with a puzzle that is still to be taken over
new AnswerPanel(follower, store, editor, { load: edit, ask: () => cancel(follower.id) });
new OpenDialog(api, knowledge, { forecast: (draft) => forecast.of(draft), load, solveAll });

explainAll();
startTheme();
byId("options").addEventListener("submit", (event) => {
  event.preventDefault();
  submitter.solve();
});
byId("new").addEventListener("click", () =>
  load({ draft: emptyDraft(`drawn ${timeOfDay()}`), faults: [] }),
);
copyButton(byId("copy-task"), () => taskText(store.draft), "Puzzle");
for (const link of document.querySelectorAll("a.skip")) link.addEventListener("click", skip);
addEventListener("hashchange", () => {
  route();
  if (follower.id !== null) showAnswer();
});
addEventListener("pagehide", () => store.save());
addEventListener("keydown", onKey);
follower.addEventListener("change", onJobChange);
start();

async function start() {
  if (store.isFresh) await beginWithExample();
  route();
  new ServiceStatus(api, comeBack).look();
  await askAll();
}

// What was refused while the service was away need not be any more.
function comeBack() {
  submitter.clear();
  askAll();
}

// The checkpoints first: they ask for the key where one is needed.
async function askAll() {
  try {
    await knowledge.refresh();
  } catch (error) {
    alarm(messageOf(error));
    return;
  }
  form.setCheckpoints(knowledge.checkpoints);
  jobs.refresh();
  adapted.refresh();
}

async function beginWithExample() {
  const [first] = await readExamples();
  if (first !== undefined) store.begin(readTask(first.task));
}

// Takes a puzzle; an answer that is shown is not its own, and stays in the list of jobs.
function load(task) {
  leaveJob();
  edit(task);
}

function edit(task) {
  store.load(task);
  byId("puzzle").scrollTop = 0;
  const { kind, train, test } = task.draft;
  const parts = KINDS[kind].isChecked
    ? [KINDS[kind].heading]
    : [count(train.length, "demonstration"), count(test.length, "test input")];
  announce(`${task.draft.name}: ${parts.join(", ")}`);
  if (task.faults.length > 0) {
    const verb = task.faults.length === 1 ? "is" : "are";
    alarm(`${count(task.faults.length, "place")} of the puzzle ${verb} wrong`);
    puzzle.focusFaults();
  } else byId("puzzle-title").focus({ preventScroll: true });
  submitter.clear();
}

async function solveAll(tasks, name) {
  const refusal = await submitter.solveAll(tasks, name);
  jobs.refresh();
  return refusal;
}

// The job that the address names is the one that is shown: a reload picks it up again.
function route() {
  const id = /^#job=([A-Za-z0-9_-]{1,64})$/.exec(location.hash)?.[1] ?? null;
  if (id === follower.id) return;
  jobs.setCurrent(id);
  untaken = id;
  if (id === null) {
    follower.close();
    follower.dispatchEvent(new Event("change"));
  } else follower.open(id);
}

function leaveJob() {
  if (follower.id === null) return;
  history.pushState(null, "", location.pathname + location.search);
  route();
}

function openJob(id) {
  if (location.hash === `#job=${id}`) showAnswer();
  else location.hash = `job=${id}`;
}

// Wherever on the page a job was chosen, its answer is what is looked at next.
function showAnswer() {
  byId("answer").scrollIntoView({ block: "start" });
  byId("answer-title").focus({ preventScroll: true });
}

// The address is the job's: a link within the page must not take its place.
function skip(event) {
  event.preventDefault();
  document.querySelector(event.target.hash).focus();
}

function sent(job, task) {
  jobs.setCurrent(job.id);
  follower.open(job.id, { job, task });
  history.pushState(null, "", `#job=${job.id}`);
  jobs.refresh();
  const { top } = byId("answer").getBoundingClientRect();
  if (top < 0 || NARROW.matches) byId("answer").scrollIntoView();
}

async function cancel(id) {
  try {
    if (id === follower.id) await follower.cancel();
    else await api.cancel(id);
    announce("Asked to cancel");
  } catch (error) {
    alarm(messageOf(error));
  }
  jobs.refresh();
}

function onJobChange() {
  const { job = null, task = null } = follower.view ?? {};
  if (job !== null) jobs.mirror(job);
  takePuzzle(task);
  const state = job?.state ?? null;
  if (state !== null && state !== lastState && lastState !== null && isFinal(state)) {
    jobs.refresh();
    adapted.refresh();
  }
  lastState = state;
}

// The puzzle of a job that is opened is shown beside it, unless something drawn would be lost.
function takePuzzle(task) {
  if (task === null || untaken !== follower.id) return;
  untaken = null;
  const isShown = isSamePuzzle(store.draft, task) && store.draft.name === task.name;
  if (!store.isEdited && !isShown) store.load({ draft: task, faults: [] });
}

function onKey(event) {
  if (document.querySelector("dialog[open]") !== null) return;
  const isWriting = event.target.matches("input, textarea, select");
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter") submitter.solve();
  else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !isWriting) {
    if (event.shiftKey) store.redo();
    else store.undo();
  } else return;
  event.preventDefault();
}
