// The answer that a model wrote, to be accepted or mended: a field, what was changed in it, and whether it
// can be taken. Where two models answered, which of them is better.

import * as api from "./api.js";
import { diff } from "./diff.js";
import { at, make } from "./view.js";

const SOON = 200; // ms without a key until the server is asked

export class Editor {
  /** `accept()`: the answer is as it should be. */
  constructor({ accept }) {
    this.field = at("answer");
    this.task = null;
    this.better = ""; // prediction id of the answer that somebody found better
    this.field.addEventListener("input", () => this.#typed());
    this.field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) accept();
      else if (event.key === "Escape") at("text").focus({ preventScroll: true });
      else return;
      event.preventDefault();
    });
    at("accept").addEventListener("click", accept);
    at("left").addEventListener("click", () => this.rank("left"));
    at("right").addEventListener("click", () => this.rank("right"));
  }

  /** Show a task, once; and its answer once that may be seen. What was typed before that stays. */
  show(task, open) {
    if (task !== this.task) Object.assign(this, { task, better: "", shown: false, said: "" });
    if (!open || this.shown) return this.shown || this.put(this.field.dataset.id === task.prediction_id ? this.field.value : "");
    this.shown = true;
    this.said = task.guess?.label ?? "";
    this.#drawRank(task);
    this.put((this.field.dataset.id === task.prediction_id && this.field.value) || this.said);
  }

  put(text) {
    this.field.dataset.id = this.task.prediction_id;
    this.field.value = text;
    at("rank").hidden = !(this.shown && this.task.rival);
    this.#typed();
  }

  focus() {
    this.field.focus();
  }

  get value() {
    return this.field.value;
  }

  /** The answer on this side is better: it is what is mended, or accepted. */
  rank(side) {
    const { rival } = this.task ?? {};
    if (!rival || !this.shown) return;
    const theirs = (side === "left") === rival.left;
    this.better = theirs ? rival.prediction_id : this.task.prediction_id;
    this.said = theirs ? rival.answer : this.task.guess.label;
    for (const id of ["left", "right"]) at(id).setAttribute("aria-pressed", String(id === side));
    this.put(this.said);
  }

  #drawRank(task) {
    if (!task.rival) return;
    const [left, right] = task.rival.left ? [task.rival.answer, task.guess.label] : [task.guess.label, task.rival.answer];
    for (const [id, text] of [["left", left], ["right", right]]) {
      at(id).querySelector(".said").textContent = text;
      at(id).setAttribute("aria-pressed", "false");
    }
  }

  #typed() {
    this.#drawDiff();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#check(), SOON);
  }

  #drawDiff() {
    const changed = this.shown && this.value !== this.said;
    at("diff").hidden = !changed;
    at("accept").firstChild.textContent = changed || !this.shown ? "Save " : "Accept ";
    if (!changed) return;
    const tags = { same: "span", gone: "del", new: "ins" };
    at("diff").replaceChildren(...diff(this.said, this.value).map(([kind, text]) => make(tags[kind], {}, text)));
  }

  /** Why what is written cannot be taken; "" where it can, or where nobody answers now: the server checks it again. */
  async #check() {
    const text = this.value;
    if (!text.trim()) this.checked = { text, fault: "" };
    if (this.checked?.text !== text) {
      const { fault } = await api.check(text).catch(() => ({ fault: "" }));
      this.checked = { text, fault };
    }
    if (text === this.value) this.#drawFault(this.checked.fault, text);
    return this.checked.fault;
  }

  #drawFault(fault, text) {
    at("fault").textContent = fault || (text.trim() && text !== this.said ? "valid" : "");
    at("fault").className = fault ? "" : "valid";
    this.field.setAttribute("aria-invalid", String(Boolean(fault)));
  }

  /** Whether it can be taken. */
  async ready() {
    clearTimeout(this.timer);
    return !(await this.#check());
  }
}
