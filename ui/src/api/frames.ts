// SPDX-License-Identifier: MIT
// Server-sent events from pieces of text, as the WHATWG's parser reads them, without `id` and `retry`.

const LONGEST = 4 << 20; /* characters of an unfinished event; the server's pieces are far smaller */

export interface EventReader {
  /** Throws when an event is longer than LONGEST. */
  push(text: string): void;
}

export function createEventReader(onEvent: (event: string, data: string) => void): EventReader {
  let rest = "";
  let event = "";
  let data: string[] = [];

  function finishEvent(): void {
    if (data.length) onEvent(event || "message", data.join("\n"));
    event = "";
    data = [];
  }

  function takeLine(line: string): void {
    if (line === "") return finishEvent();
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "event") event = value;
    else if (name === "data") data.push(value);
  }

  return {
    push(text) {
      const lines = (rest + text).split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? "";
      lines.forEach(takeLine);
      if (rest.length > LONGEST) throw new Error("an event is too long");
    },
  };
}
