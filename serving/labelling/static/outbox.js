// Votes that the server has not acknowledged yet. They are in localStorage before anything is sent, one entry
// a text, so neither a closed tab nor a server that is away loses one; sending one twice changes nothing.

import * as api from "./api.js";

const PREFIX = "everloop.label.outbox.";
const SLOWEST = 15_000; // ms between tries

export class Outbox {
  /** `on`: sent(item), refused(item, fault), locked(fault), changed().
   * An item: prediction_id, annotator; undo: take back what was said; says: then say label, note, fresh. */
  constructor(on) {
    this.on = on;
    this.busy = false;
    this.wait = 0;
    this.failing = false;
    window.addEventListener("online", () => this.flush());
  }

  /** What waits, oldest first. */
  get items() {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
    return keys.map((key) => JSON.parse(localStorage.getItem(key))).sort((a, b) => a.at - b.at);
  }

  get ids() {
    return new Set(this.items.map((item) => item.prediction_id));
  }

  /** What is kept here will be sent, see `flush`. A later word on the same text replaces an earlier one, but
   * for what has to be taken back first: it may have arrived. Throws where the browser keeps nothing. */
  keep(item) {
    const turn = crypto.getRandomValues(new Uint32Array(2)).join("");
    const before = this.#kept(item);
    const undo = item.undo || Boolean(before?.undo);
    const stored = before ? before.stored : item.undo; // the server has said that it has a vote
    localStorage.setItem(PREFIX + item.prediction_id, JSON.stringify({ ...item, undo, stored, at: Date.now(), turn }));
  }

  /** Try to send what waits. */
  async flush() {
    this.on.changed();
    clearTimeout(this.timer);
    if (this.busy) return (this.again = true);
    this.busy = true;
    try {
      do {
        this.again = false;
        await this.#round();
      } while (this.again);
      this.wait = 0;
      this.failing = false;
    } catch (fault) {
      if (!(fault instanceof api.Fault)) throw fault;
      this.#later(fault);
    } finally {
      this.busy = false;
      this.on.changed();
    }
  }

  /** Try each once. One that the server stumbles over does not hold up the others. */
  async #round() {
    let stumbled = null;
    for (const item of this.items) {
      try {
        await this.#send(item);
      } catch (fault) {
        if (!(fault.status >= 500)) throw fault;
        stumbled = fault;
      }
    }
    if (stumbled) throw stumbled;
  }

  /** Raises the faults that pass by themselves, and those that a key mends. */
  async #send(item) {
    const { prediction_id, annotator, label, note, fresh, better } = item;
    try {
      if (item.undo) await api.unvote(prediction_id, annotator);
      if (item.says) await api.vote({ prediction_id, annotator, label, note, ...(better ? { better } : { new: fresh }) });
    } catch (fault) {
      if (!(fault instanceof api.Fault) || fault.passing || fault.locked) throw fault;
      if (this.#drop(item)) this.on.refused(item, fault);
      return;
    }
    this.failing = false;
    if (this.#drop(item)) this.on.sent(item);
  }

  #kept(item) {
    return JSON.parse(localStorage.getItem(PREFIX + item.prediction_id));
  }

  /** Whether it was still the last word on its text. */
  #drop(item) {
    if (this.#kept(item)?.turn !== item.turn) return false;
    localStorage.removeItem(PREFIX + item.prediction_id);
    return true;
  }

  #later(fault) {
    this.failing = true;
    if (fault.locked) return this.on.locked(fault);
    this.wait = Math.min(SLOWEST, Math.max(1000, this.wait * 2, fault.retryAfter * 1000));
    this.timer = setTimeout(() => this.flush(), this.wait);
  }
}
