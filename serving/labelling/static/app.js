// The labelling page: keys, buttons and what they do.
//   session.js what is labelled   outbox.js nothing is lost   view.js the screen   finder.js the search

import { askFresh, asking, askKey, askName, askNote, show, wire } from "./dialogs.js";
import { Editor } from "./editor.js";
import { Finder } from "./finder.js";
import { Session } from "./session.js";
import { at, choices, draw, make } from "./view.js";

const session = new Session({
  drawn: () => draw(session),
  told: (text) => (at("told").textContent = text),
  refused: tell,
  async locked(fault) {
    if (await askKey(fault.sentence)) session.begin();
  },
  nameless: rename,
});

const finder = new Finder({
  take: (label) => take(label),
  fresh: () => session.setup?.open && session.current && fresh,
  labels: () => ({
    names: session.setup?.labels ?? [],
    likely: new Map(session.open ? session.current.choices.map((choice) => [choice.label, choice.score]) : []),
  }),
});

const written = () => session.setup?.labelled === false;
session.editor = new Editor({ accept: () => accept() });

/** Bad news: it stays until somebody has read it. */
function tell(text) {
  if ([...at("refused").children].some((line) => line.firstChild.textContent === text)) return;
  const read = make("button", { type: "button" }, "I have read this");
  const line = make("p", {}, make("span", {}, text), read);
  read.addEventListener("click", () => line.remove());
  at("refused").append(line);
}

function moved() {
  finder.clear();
  at("text").focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

function take(label, how) {
  if (!session.current) return;
  session.answer(label, how);
  moved();
}

/** Take what is written, unless it breaks the schema. */
async function acceptWritten() {
  const { current: task, editor } = session;
  const { value, better } = editor;
  if (!value.trim()) return (at("told").textContent = `There is no answer yet: e writes one${session.open ? "" : ", Space shows the model's"}`);
  if (!(await editor.ready())) at("told").textContent = "This cannot be taken as it is: e mends it, s skips the text";
  else if (session.current === task && editor.value === value) take(value, { better });
}

function accept() {
  if (!session.current) return;
  if (written()) acceptWritten();
  else if (session.open && session.current.guess) take(session.current.guess.label);
  else at("told").textContent = session.open ? "There is no guess: search with /" : "The guess is hidden: search with /, or Space shows it";
}

function reveal() {
  if (!session.current || session.open) return;
  session.revealed = true;
  draw(session);
}

async function skip() {
  const task = session.current;
  const note = task && (await askNote());
  if (task && note !== null && session.current === task) take(null, { note, better: written() ? session.editor.better : "" });
}

async function fresh(typed = finder.field.value.trim()) {
  const task = session.current;
  if (!task || !session.setup.open) return;
  const found = await askFresh(session.setup.labels, typed);
  if (found && session.current === task) take(found.label, { fresh: found.fresh });
}

function undo() {
  if (!session.behind.length) return;
  session.undo();
  moved();
}

async function rename() {
  const name = await askName(session.annotator);
  if (!name) return;
  session.annotator = name;
  session.tasks = []; // they were leased under the other name
  await session.begin();
}

async function guideline() {
  if (!session.setup?.guideline) return;
  at("guideline").innerHTML = session.setup.guideline; // made by the server from Markdown, HTML in it escaped
  show("guideline-dialog");
}

const KEYS = {
  Enter: accept,
  " ": reveal,
  "/": () => !written() && at("find").focus(),
  e: () => written() && session.editor.focus(),
  ArrowLeft: () => session.editor.rank("left"),
  ArrowRight: () => session.editor.rank("right"),
  s: skip,
  u: undo,
  n: () => fresh(),
  g: guideline,
  "?": () => show("help-dialog"),
};

document.addEventListener("keydown", (event) => {
  session.touch();
  // a key held down is one answer, not many; a control that has the focus keeps its own keys
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || asking()) return;
  if (event.target.matches("input, textarea")) return;
  if (event.target.matches("button, a, summary") && (event.key === "Enter" || event.key === " ")) return;
  const act = /^[1-9]$/.test(event.key) ? () => number(Number(event.key)) : KEYS[event.key];
  if (!act || (event.key.startsWith("Arrow") && !written())) return;
  event.preventDefault();
  act();
});

function number(n) {
  const choice = choices(session)[n - 1];
  if (choice) take(choice.label);
}

document.querySelector("main").addEventListener("click", (event) => {
  const chosen = event.target.closest(".chip, .take");
  if (chosen && written()) session.editor.put(chosen.dataset.label);
  else if (chosen) take(chosen.dataset.label);
  else if (event.target.closest("#reveal")) reveal();
});
for (const [id, act] of Object.entries({ skip, undo, fresh: () => fresh(), "open-who": rename, "open-guideline": guideline })) {
  at(id).addEventListener("click", () => act());
}
at("open-help").addEventListener("click", () => show("help-dialog"));
document.addEventListener("pointerdown", () => session.touch());
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && session.wake());
window.addEventListener("online", () => session.wake());
// they are kept in the browser, but only this page sends them
window.addEventListener("beforeunload", (event) => session.outbox.items.length && event.preventDefault());
for (const kind of ["error", "unhandledrejection"]) {
  window.addEventListener(kind, () => tell("This page stumbled. Load it again: what was not sent yet is kept."));
}

wire();
session.begin();
