// Which labels a few letters mean. Pure functions; tested by themselves.

/** "Card_Arrival " -> "card arrival": what two names are compared by. */
export function plain(name) {
  return name.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase().replace(/[\s_\-./]+/g, " ").trim();
}

/** How well a label fits what was typed: 0 is exact, more is worse, null does not fit. */
export function fit(typed, label) {
  if (label === typed) return 0;
  if (label.startsWith(typed)) return 1;
  const words = label.split(" ");
  if (typed.split(" ").every((part) => words.some((word) => word.startsWith(part)))) return 2;
  if (label.includes(typed)) return 3;
  const span = gaps(typed.replaceAll(" ", ""), label.replaceAll(" ", ""));
  if (span !== null) return 4 + span / 100;
  if (typed.length < 4) return null;
  const wrong = distance(typed, label.slice(0, typed.length));
  return wrong <= Math.floor(typed.length / 4) ? 6 + wrong : null;
}

/** Labels that fit, best first; among equals those the model thinks likelier. */
export function search(typed, labels, likely = new Map(), most = 8) {
  const wanted = plain(typed);
  if (!wanted) return [];
  return labels
    .map((label) => ({ label, fit: fit(wanted, plain(label)), p: likely.get(label) ?? 0 }))
    .filter((found) => found.fit !== null)
    .sort((a, b) => a.fit - b.fit || b.p - a.p || a.label.length - b.label.length || (a.label < b.label ? -1 : 1))
    .slice(0, most)
    .map((found) => found.label);
}

/** Known labels that a new name may be a slip of, nearest first; `close` when it most likely is one. */
export function nearest(name, labels, most = 3) {
  const wanted = plain(name);
  return labels
    .map((label) => ({ label, share: distance(wanted, plain(label)) / Math.max(wanted.length, label.length, 1) }))
    .filter((known) => known.share < 0.5)
    .sort((a, b) => a.share - b.share)
    .slice(0, most)
    .map(({ label, share }) => ({ label, close: share <= 0.25 }));
}

/** Letters of a label between those typed, null when they are not all there in order. */
function gaps(typed, label) {
  let at = -1, first = -1;
  for (const letter of typed) {
    at = label.indexOf(letter, at + 1);
    if (at < 0) return null;
    if (first < 0) first = at;
  }
  return at - first + 1 - typed.length;
}

/** Letters to change, add, leave out or swap with their neighbour (optimal string alignment). */
export function distance(a, b) {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    rows[i] = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      rows[i][j] = Math.min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + same);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      if (swapped) rows[i][j] = Math.min(rows[i][j], rows[i - 2][j - 2] + 1);
    }
  }
  return rows[a.length][b.length];
}
