// What changed between two texts, word by word.

const MOST = 400_000; // cells of the table: longer texts are shown as one change

/** [kind, text] in order; kind is "same", "gone" or "new". By the longest common subsequence of words. */
export function diff(before, after) {
  const a = before.match(/\s+|[\p{L}\p{N}_]+|[^\s]/gu) ?? [], b = after.match(/\s+|[\p{L}\p{N}_]+|[^\s]/gu) ?? [];
  let start = 0, end = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const parts = [["same", a.slice(0, start)], ...middle(a.slice(start, a.length - end), b.slice(start, b.length - end)), ["same", a.slice(a.length - end)]];
  return joined(parts.map(([kind, words]) => [kind, words.join("")]));
}

function middle(a, b) {
  if (a.length * b.length > MOST) return [["gone", a], ["new", b]];
  const wide = b.length + 1;
  const best = new Uint16Array((a.length + 1) * wide); // of a[i:] and b[j:]
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      best[i * wide + j] = a[i] === b[j] ? best[(i + 1) * wide + j + 1] + 1 : Math.max(best[(i + 1) * wide + j], best[i * wide + j + 1]);
    }
  }
  const parts = [];
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) parts.push(["same", [a[i++]]]), j++;
    else if (j === b.length || (i < a.length && best[(i + 1) * wide + j] >= best[i * wide + j + 1])) parts.push(["gone", [a[i++]]]);
    else parts.push(["new", [b[j++]]]);
  }
  return parts;
}

/** Neighbours of one kind as one part. */
function joined(parts) {
  const found = [];
  for (const [kind, text] of parts) {
    if (!text) continue;
    if (found.at(-1)?.[0] === kind) found.at(-1)[1] += text;
    else found.push([kind, text]);
  }
  return found;
}
