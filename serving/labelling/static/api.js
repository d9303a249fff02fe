// Calls of the server. What fails is a Fault: status 0 means that nobody answered.

const PATIENCE = 10_000; // ms
const TOKEN = "everloop.label.key";

export class Fault extends Error {
  constructor(status, body = {}, retryAfter = 0) {
    super(body.error ?? (status ? `the server answered ${status}` : "the server does not answer"));
    Object.assign(this, { status, body, retryAfter });
  }

  /** Sending the same again later may work. */
  get passing() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }

  get locked() {
    return this.status === 401 || this.status === 403;
  }

  get sentence() {
    const { got, expected, do: next } = this.body;
    return [this.message, got && `got ${got}`, expected && `expected ${expected}`, next].filter(Boolean).join("; ");
  }
}

export const key = {
  get: () => localStorage.getItem(TOKEN) ?? "",
  set: (token) => localStorage.setItem(TOKEN, token.trim()),
};

async function call(method, path, body) {
  const headers = {};
  if (key.get()) headers.authorization = `Bearer ${key.get()}`;
  if (body) headers["content-type"] = "application/json";
  let answer, content;
  try {
    const options = { method, headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) };
    // a label on its way is sent to its end, also when the page is left
    answer = await fetch(`v1/label/${path}`, { ...options, keepalive: method !== "GET", body: body && JSON.stringify(body) });
    content = await answer.json();
  } catch {
    throw new Fault(answer && !answer.ok ? answer.status : 0);
  }
  if (!answer.ok) throw new Fault(answer.status, content, Number(answer.headers.get("retry-after")) || 0);
  return content;
}

const query = (values) => new URLSearchParams(values).toString();

export const setup = () => call("GET", "setup");
export const next = (annotator, n) => call("GET", `next?${query({ annotator, n })}`);
export const progress = (annotator, since) => call("GET", `progress?${query({ annotator, since: since.toISOString() })}`);
export const similar = (id) => call("GET", `similar/${encodeURIComponent(id)}`);
export const vote = (body) => call("POST", "votes", body);
export const check = (answer) => call("POST", "check", { answer });
export const unvote = (id, annotator) => call("DELETE", `votes/${encodeURIComponent(id)}?${query({ annotator })}`);
