// The session on the screen. Everything that came from outside is set as text, never as HTML.

export const at = (id) => document.getElementById(id);

/** An element with attributes and children; children that are strings become text. */
export function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** A label that may go on in the next line after a joint, not in the middle of a word. */
const breakable = (label) => label.split(/(?<=[_\-/.])/).flatMap((part) => [part, make("wbr")]);

export const percent = (share) => (share >= 0.995 ? "100 %" : share < 0.01 ? "<1 %" : `${Math.round(share * 100)} %`);
const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;
const KEYS = 9; // number keys

/** The labels with number keys: all of a small set, always in the same places; else the likeliest. */
export function choices(session) {
  const { current: task, setup } = session;
  if (!task) return [];
  const score = new Map(task.choices.map((choice) => [choice.label, choice.score]));
  if (setup.labels.length <= KEYS) {
    return [...setup.labels].sort().map((label) => ({ label, score: session.open ? score.get(label) : undefined }));
  }
  return session.open ? task.choices.slice(0, KEYS) : [];
}

export function draw(session) {
  const task = session.current;
  at("task").hidden = !task;
  at("skip").disabled = at("fresh").disabled = !task;
  at("undo").disabled = !session.behind.length;
  drawHead(session);
  drawEmpty(session);
  if (!task) {
    at("similar").hidden = true;
    at("text").dataset.id = "";
    return;
  }
  const shown = `${task.prediction_id} ${session.open} ${session.setup.labels.length}`;
  session.editor?.show(task, session.open);
  if (at("text").dataset.id === shown) return; // nothing moves under a finger
  at("text").dataset.id = shown;
  drawText(task);
  drawComments(task, session.open);
  drawFacts(task, session.open);
  drawChoices(session);
  drawNeighbours(session);
}

/** A text, or the messages of a chat one after the other, the last one large: it is what is answered. */
function drawText({ text, turns }) {
  const length = turns.length ? turns.at(-1).content.length : text.length;
  at("text").classList.toggle("long", length > 400);
  at("text").classList.toggle("chat", turns.length > 0);
  if (turns.length) at("text").replaceChildren(...turns.map(turn));
  else at("text").textContent = text;
  at("text").scrollTop = at("text").scrollHeight;
}

function turn({ role, content }) {
  return make("span", { class: `turn ${role}` }, make("small", {}, role), make("span", { dir: "auto" }, content));
}

/** What users wrote of the answer: with it, and not before. */
function drawComments({ comments }, open) {
  at("comments").hidden = !open || !comments.length;
  at("comments").replaceChildren(...comments.map((said) => make("li", {}, make("small", {}, "A user on the answer: "), make("q", { dir: "auto" }, said))));
}

function drawHead(session) {
  const { progress, outbox, setup, annotator } = session;
  const waiting = outbox.items.length;
  if (progress) {
    at("count").textContent = `${progress.today} done today, ${progress.left} left`;
    at("bar").max = Math.max(1, progress.today + progress.left);
    at("bar").value = progress.today;
  }
  const { away } = session;
  const kept = waiting ? `${count(waiting, "label")} kept here, sent when it answers` : "trying again";
  at("sync").textContent = away ? `The server does not answer: ${kept}` : waiting ? "Saving" : "Saved";
  at("sync").className = away ? "away" : "";
  at("sync").hidden = !setup && !away;
  at("find-label").textContent = `Search all ${setup?.labels.length ?? ""} labels`;
  at("open-who").textContent = annotator;
  at("open-who").hidden = !annotator;
  at("open-who").disabled = Boolean(setup?.annotator);
  at("open-guideline").hidden = !setup?.guideline;
  const written = setup?.labelled === false;
  at("written").hidden = !written;
  document.querySelector(".find").hidden = written;
  for (const row of document.querySelectorAll(".if-written")) row.hidden = !written;
  for (const row of document.querySelectorAll(".if-labelled")) row.hidden = written;
  at("fresh").hidden = !setup?.open;
  for (const row of document.querySelectorAll(".if-open")) row.hidden = !setup?.open;
}

function drawEmpty(session) {
  const { progress, setup } = session;
  const none = Boolean(setup && progress && !session.current);
  at("empty").hidden = !none;
  if (!none) return;
  const lines = !session.away ? nothingLeft(progress) : ["Waiting for the server.", "What you labelled is kept in this browser until it answers."];
  if (at("empty").textContent === lines.join("")) return; // it is read aloud
  at("empty").replaceChildren(make("h2", {}, lines[0]), ...lines.slice(1).map((line) => make("p", {}, line)));
}

function nothingLeft({ today, left }) {
  const lines = [today ? `Done: ${count(today, "text")} today.` : "Nothing to label now."];
  if (left) lines.push(`${count(left, "text is", "texts are")} with other people, and may come back.`);
  lines.push("New texts come with the next turn of the loop. This page looks for them by itself.");
  return lines;
}

function drawFacts(task, open) {
  const facts = Object.entries(task.segments).map(([name, value]) => `${name}: ${value}`);
  const when = new Date(task.timestamp);
  facts.push(when.toLocaleString([], { dateStyle: "medium", timeStyle: "short" }));
  if (open && task.why) facts.push(task.why);
  at("facts").replaceChildren(...facts.map((fact) => make("li", { dir: "auto" }, fact)));
}

function drawChoices(session) {
  const { current: task, setup, open } = session;
  const small = setup.labels.length <= KEYS;
  const guess = open ? task.guess?.label : undefined;
  at("choices").className = small ? "fixed" : "";
  at("choices").replaceChildren(...choices(session).map(({ label, score }, i) => chip(label, score, i, label === guess)));
  at("hint").textContent = hint(session, guess);
  if (!open) at("hint").append(" ", make("button", { type: "button", id: "reveal", "aria-keyshortcuts": "Space" }, `Show the ${session.setup.labelled ? "guess" : "answer"} `, make("kbd", {}, "Space")));
}

function hint({ current: task, open, setup: { labelled } }, guess) {
  if (!open && !labelled) return "What should it say? The model's answer is hidden here.";
  if (!open) return "What do you think? The model's guess is hidden here.";
  if (!labelled) return task.rival ? "Two models answered. Which is better?" : "";
  if (!task.guess) return "The model has no guess. Search for the label.";
  return task.choices.some((choice) => choice.label === guess) ? "" : `The model says ${guess}.`;
}

function chip(label, score, i, isGuess) {
  const shares = score === undefined || score === null ? [] : [make("span", { class: "share" }, percent(score)), bar(score)];
  const keys = make("span", { class: "keys", "aria-hidden": "true" }, make("kbd", {}, String(i + 1)));
  if (isGuess) keys.append(make("kbd", {}, "Enter"));
  const said = isGuess ? [make("span", { class: "soft said-by" }, "model's guess")] : [];
  const made = make(
    "button",
    { type: "button", class: isGuess ? "chip guess" : "chip", "aria-keyshortcuts": isGuess ? `${i + 1} Enter` : `${i + 1}` },
    keys,
    make("span", { class: "name", dir: "auto" }, ...breakable(label)),
    ...said,
    ...shares,
  );
  made.dataset.label = label;
  return made;
}

function bar(share) {
  const made = make("i", { class: "bar", "aria-hidden": "true" });
  made.style.width = `${Math.max(1, Math.min(1, share) * 100)}%`;
  return made;
}

async function drawNeighbours(session) {
  const task = session.current;
  at("similar").hidden = true;
  if (!session.open) return;
  const found = await session.neighbours(task).catch(() => []);
  if (session.current !== task || !session.open) return;
  at("neighbours").replaceChildren(...found.map(neighbour));
  at("similar").hidden = !found.length;
}

/** A labelled text; its label can be taken. */
function neighbour({ text, label, similarity }) {
  const take = make("button", { type: "button", class: "take", dir: "auto", title: "Take this label" }, ...breakable(label));
  take.dataset.label = label;
  return make("li", {}, take, make("q", { dir: "auto" }, text), make("small", {}, alike(similarity)));
}

const alike = (similarity) => (similarity > 0.995 ? "the same" : similarity > 0.75 ? "very alike" : similarity > 0.5 ? "alike" : "a little alike");
