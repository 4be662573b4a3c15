// SPDX-License-Identifier: MIT

/** The cosine of the angle between two vectors of one length; 0 where one of them is 0. */
export function cosine(a: readonly number[], b: readonly number[]): number {
  let dot = 0;
  let lengthA = 0;
  let lengthB = 0;
  a.forEach((x, i) => {
    const y = b[i] ?? 0;
    dot += x * y;
    lengthA += x * x;
    lengthB += y * y;
  });
  return dot === 0 ? 0 : dot / Math.sqrt(lengthA * lengthB);
}

/** Lines that are not empty, without blanks around them. */
export function linesOf(text: string): string[] {
  return text.split("\n").map((l) => l.trim()).filter(Boolean);
}
