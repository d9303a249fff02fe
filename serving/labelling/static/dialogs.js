// The page's questions: who, key, skip, new label. Each gives a promise of the answer, null when left.

import { key } from "./api.js";
import { nearest, plain } from "./search.js";
import { at, make } from "./view.js";

export const asking = () => Boolean(document.querySelector("dialog[open]"));

export function wire() {
  for (const dialog of document.querySelectorAll("dialog")) {
    for (const button of dialog.querySelectorAll(".close")) button.addEventListener("click", () => dialog.close());
    // a click beside it closes what can be left
    if (dialog.querySelector(".close")) dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
    else dialog.addEventListener("cancel", (event) => event.preventDefault());
  }
}

export function show(id) {
  if (!asking()) at(id).showModal();
}

/** Open a dialog of one field; gives what was written, null when it was closed without. */
function ask(dialog, field, value = "") {
  return new Promise((answer) => {
    if (asking()) return answer(null);
    field.value = value;
    dialog.returnValue = "";
    dialog.addEventListener("close", () => answer(dialog.returnValue === "go" ? field.value.trim() : null), { once: true });
    dialog.showModal();
    field.select();
  });
}

export const askName = (now) => ask(at("who-dialog"), at("who-name"), now);
export const askNote = () => ask(at("skip-dialog"), at("skip-note"));

export async function askKey(why) {
  at("key-why").textContent = why;
  const token = await ask(at("key-dialog"), at("key-token"));
  if (token) key.set(token);
  return token;
}

/** A name for a class that nobody has used, asked twice: {label, fresh}. A known one may be taken instead. */
export function askFresh(labels, typed = "") {
  const dialog = at("fresh-dialog"), field = at("fresh-name"), go = at("fresh-make");
  return new Promise((answer) => {
    if (asking()) return answer(null);
    let asked = "", given = null;
    const finish = (label, fresh) => {
      given = { label, fresh };
      dialog.close();
    };
    const step = () => {
      const name = field.value.trim().replace(/\s+/g, " ");
      if (!name) return field.focus();
      const known = labels.find((label) => plain(label) === plain(name));
      if (known) return finish(known, false);
      if (asked === name) return finish(name, true);
      asked = name;
      confirm(name, nearest(name, labels), go, finish);
    };
    const restart = () => {
      asked = "";
      at("fresh-near").textContent = "";
      at("fresh-known").replaceChildren();
      go.replaceChildren("Go on ", make("kbd", {}, "Enter"));
    };
    field.value = typed;
    field.oninput = restart;
    field.onkeydown = (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault(); // the form would close
      if (!event.repeat) step();
    };
    go.onclick = step;
    dialog.addEventListener("close", () => answer(given), { once: true });
    restart();
    dialog.showModal();
    if (typed) step();
  });
}

/** The second question. The focus is on what is most likely meant: a slip of the pen, or truly a new name. */
function confirm(name, near, go, finish) {
  at("fresh-near").textContent = near.length ? `“${name}” is not a label yet. Did you mean one of these?` : `“${name}” is not a label yet. Make it one?`;
  const buttons = near.map(({ label }) => {
    const button = make("button", { type: "button", dir: "auto" }, label);
    button.onclick = () => finish(label, false);
    return button;
  });
  at("fresh-known").replaceChildren(...buttons);
  go.replaceChildren(`Make “${name}” a new label`);
  (near[0]?.close ? buttons[0] : go).focus();
}
