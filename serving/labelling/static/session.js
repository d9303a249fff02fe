// What a person is doing: the text before them, those that come next, those behind. It draws nothing.

import * as api from "./api.js";
import { Outbox } from "./outbox.js";

const NAME = "everloop.label.name";
const AHEAD = 3; // texts held: the one on the screen and those that come next
const BEHIND = 50; // texts that can be undone
const MOST = 10; // texts one call may ask for
const IDLE = 30 * 60_000; // ms without a key or a touch after which leases are left to others
const AGAIN = 20_000; // ms until an empty queue is asked again

const step = (item) => Number(item.says) - Number(item.stored);
const midnight = () => new Date(new Date().setHours(0, 0, 0, 0)); // the person's own

export class Session {
  /** `on`: drawn(), told(text), refused(text), locked(fault), nameless(). */
  constructor(on) {
    this.on = on;
    this.tasks = []; // the first one is on the screen
    this.behind = []; // {task, item}, the last one newest
    this.similar = new Map(); // prediction id -> promise of neighbours
    this.setup = null;
    this.counts = null;
    this.revealed = false;
    this.made = new Set(); // labels made here: the server may not know them yet, or not any more
    this.reached = true; // the last call was answered
    this.touched = Date.now();
    this.outbox = new Outbox({
      sent: (item) => this.#sent(item),
      refused: (item, fault) => this.#refused(item, fault),
      locked: (fault) => this.on.locked(fault),
      changed: () => this.on.drawn(),
    });
  }

  get current() {
    return this.tasks[0] ?? null;
  }

  get annotator() {
    return this.setup?.annotator || localStorage.getItem(NAME) || "";
  }

  set annotator(name) {
    localStorage.setItem(NAME, name.trim());
  }

  /** The guess may be seen: it is not hidden, or somebody asked for it. */
  get open() {
    return Boolean(this.current) && (!this.current.blind || this.revealed);
  }

  async begin() {
    clearTimeout(this.timer);
    try {
      this.setup = await api.setup();
    } catch (fault) {
      return this.#failed(fault, () => this.begin());
    }
    if (!this.annotator) return this.on.nameless();
    this.outbox.flush();
    await this.refill();
    clearInterval(this.renewal);
    this.renewal = setInterval(() => this.#renew(), (this.setup.lease_seconds * 1000) / 3);
  }

  /** Ask for the texts that are ours; asking again renews their leases. One call at a time. */
  async refill() {
    if (this.filling) return (this.again = true);
    this.filling = true;
    clearTimeout(this.timer);
    try {
      do {
        this.again = false;
        await this.#ask();
      } while (this.again);
    } catch (fault) {
      this.#failed(fault, () => this.refill());
    } finally {
      this.filling = false;
      this.on.drawn();
    }
  }

  async #ask() {
    const waiting = this.outbox.ids;
    const asked = Date.now();
    const given = await api.next(this.annotator, Math.min(MOST, AHEAD + waiting.size));
    if (given.label_set !== this.setup.label_set) this.setup = await api.setup(); // labels changed since
    this.#take(given.tasks, waiting, asked);
    this.counts = await api.progress(this.annotator, midnight());
    this.reached = true;
    if (!this.current) this.timer = setTimeout(() => this.refill(), AGAIN);
  }

  /** What came, but for what was answered before it came. What stands on the screen stays, and so does what
   * was taken back: its lease ended with its answer. */
  #take(given, waiting, asked) {
    const gone = new Set([...waiting, ...this.outbox.ids]);
    for (const { item } of this.behind) if (item.at >= asked) gone.add(item.prediction_id);
    const until = asked + this.setup.lease_seconds * 1000;
    const ours = new Map(given.map((task) => [task.prediction_id, { ...task, until }]));
    const first = this.current;
    if (first && !ours.has(first.prediction_id) && !first.back && Date.now() > first.until) {
      this.on.told("Somebody else has that text by now. Here is another one.");
      this.tasks.shift();
    }
    const stay = this.tasks.filter((task, i) => i === 0 || task.back);
    for (const task of stay) {
      if (ours.delete(task.prediction_id)) task.until = until;
    }
    this.tasks = [...stay, ...[...ours.values()].filter((task) => !gone.has(task.prediction_id))];
    if (this.current !== first) this.revealed = false;
    this.tasks.forEach((task) => this.neighbours(task));
  }

  /** The labelled texts most like it, asked for once, before they are needed. */
  neighbours(task) {
    const id = task.prediction_id;
    if (!this.similar.has(id)) {
      const asked = api.similar(id).then((found) => found.similar);
      asked.catch(() => this.similar.delete(id));
      this.similar.set(id, asked);
    }
    return this.similar.get(id);
  }

  /** Give the text on the screen a label, or null to skip it, and go on to the next. */
  answer(label, { note = "", fresh = false, better = "" } = {}) {
    const task = this.current;
    if (!task) return;
    if (fresh) this.made.add(label);
    if (fresh && !this.setup.labels.includes(label)) this.setup.labels.push(label);
    const item = {
      prediction_id: task.prediction_id,
      annotator: this.annotator,
      says: true,
      undo: false,
      label,
      note,
      fresh: this.made.has(label),
      better,
      excerpt: task.text.slice(0, 60),
    };
    this.outbox.keep(item); // first of all: what cannot be kept must not leave the screen
    this.tasks.shift();
    this.revealed = false;
    this.behind.push({ task, item: { ...item, at: Date.now() } });
    if (this.behind.length > BEHIND) this.similar.delete(this.behind.shift().task.prediction_id);
    this.on.told(label === null ? "Skipped" : this.setup.labelled ? `Labelled ${label}` : "Saved");
    this.outbox.flush();
  }

  /** Take the last answer back, and show its text again. */
  undo() {
    const last = this.behind.at(-1);
    if (!last) return;
    this.outbox.keep({ ...last.item, undo: true, says: false });
    this.behind.pop();
    this.tasks.unshift({ ...last.task, back: true });
    this.revealed = true; // it was judged before
    this.on.told("Taken back");
    this.outbox.flush();
  }

  touch() {
    this.touched = Date.now();
  }

  /** Somebody is back: the time may have run out meanwhile. */
  wake() {
    this.touch();
    if (this.setup && this.annotator) this.refill();
  }

  #renew() {
    if (Date.now() - this.touched < IDLE) this.refill();
  }

  /** Nobody answers at the moment. */
  get away() {
    return this.outbox.failing || !this.reached;
  }

  /** What was done and is left, with what is on its way. */
  get progress() {
    if (!this.counts) return null;
    const more = this.outbox.items.reduce((sum, item) => sum + step(item), 0);
    return { today: Math.max(0, this.counts.today + more), left: Math.max(0, this.counts.left - more) };
  }

  #sent(item) {
    this.reached = true;
    if (this.counts) this.counts = { today: this.counts.today + step(item), left: this.counts.left - step(item) };
    if (this.tasks.length < AHEAD || !this.outbox.items.length) this.refill();
  }

  #refused(item, fault) {
    const what = !item.says ? "This could not be taken back" : `“${item.label ?? "skip"}” was not taken`;
    this.on.refused(`${what}, for the text “${item.excerpt}”: ${fault.sentence}`);
    if (!item.says) this.tasks = this.tasks.filter((task) => task.prediction_id !== item.prediction_id);
    this.refill();
  }

  #failed(fault, again) {
    if (!(fault instanceof api.Fault)) throw fault;
    this.reached = false;
    if (fault.locked) this.on.locked(fault);
    else if (fault.passing) this.timer = setTimeout(again, Math.max(2000, fault.retryAfter * 1000));
    else this.on.refused(fault.sentence);
    this.on.drawn();
  }
}
