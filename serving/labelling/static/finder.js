// The search field over all labels: a combobox as the ARIA Authoring Practices describe it.

import { search } from "./search.js";
import { at, make, percent } from "./view.js";

export class Finder {
  /** `take(label)` chooses a known label, `fresh(typed)` a name that fits none; `labels()` gives the
   * names and a map of how likely each is. */
  constructor({ take, fresh, labels }) {
    Object.assign(this, { take, fresh, labels });
    this.field = at("find");
    this.list = at("found");
    this.chosen = 0;
    this.field.addEventListener("input", () => this.#typed());
    this.field.addEventListener("keydown", (event) => this.#key(event));
    this.list.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
    this.list.addEventListener("click", (event) => this.#click(event.target.closest("li")));
  }

  clear() {
    this.field.value = "";
    this.#typed();
  }

  #typed() {
    const { names, likely } = this.labels();
    this.found = search(this.field.value, names, likely);
    this.chosen = 0;
    this.list.replaceChildren(...this.found.map((label, i) => this.#option(label, likely.get(label), i)));
    if (this.field.value.trim() && !this.found.length) this.list.append(make("li", { class: "none", role: "option", "aria-disabled": "true" }, this.#none()));
    this.field.setAttribute("aria-expanded", String(Boolean(this.found.length)));
    this.#mark();
    if (this.list.children.length) this.list.scrollIntoView({ block: "nearest" });
  }

  #none() {
    return this.fresh() ? "No such label. Enter makes it, after a question." : "No such label.";
  }

  #option(label, share, i) {
    const row = make("li", { role: "option", id: `found-${i}` }, make("span", { dir: "auto" }, label));
    if (share) row.append(make("small", {}, percent(share)));
    row.dataset.label = label;
    return row;
  }

  #mark() {
    [...this.list.children].forEach((row, i) => row.setAttribute("aria-selected", String(i === this.chosen && i < this.found.length)));
    if (this.found.length) this.field.setAttribute("aria-activedescendant", `found-${this.chosen}`);
    else this.field.removeAttribute("aria-activedescendant");
    this.list.children[this.chosen]?.scrollIntoView({ block: "nearest" });
  }

  #key(event) {
    if (event.isComposing) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.found?.length) {
      this.chosen = (this.chosen + step + this.found.length) % this.found.length;
      this.#mark();
    } else if (event.key === "Enter" && !event.repeat) this.#enter();
    else if (event.key === "Escape") {
      this.clear();
      at("text").focus();
    } else return;
    event.preventDefault();
  }

  #enter() {
    if (!this.field.value.trim()) return;
    if (this.found.length) this.take(this.found[this.chosen]);
    else if (this.fresh()) this.fresh()(this.field.value.trim());
  }

  #click(row) {
    if (row?.dataset.label) this.take(row.dataset.label);
    else if (row && this.fresh()) this.fresh()(this.field.value.trim());
  }
}
