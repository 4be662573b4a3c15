// SPDX-License-Identifier: MIT
// Markdown that grows: text in, HTML by top-level block out.
//
// A block is settled once another one follows it: its HTML does not change while the text grows, so that the page
// touches the last block only. Each update costs as much as the last block, not as the whole text. The end of the
// text is read as a whole once more, because a link's definition may come after its use.
//
// What is returned is not sanitized: see sanitize.ts.
import { Lexer, type Token, type TokensList } from "marked";
import { markdown, withHighlighting } from "./render";

export class MarkdownStream {
  private text = "";
  private settled = 0; // characters of `text` whose blocks are final
  private blocks: string[] = [];
  private links: TokensList["links"] = {};
  private complete = false;

  /** The HTML of each block of `text`; the same strings as before where nothing changed. */
  update(text: string, complete: boolean): readonly string[] {
    const all = text.includes("\r") ? text.replace(/\r\n?/g, "\n") : text;
    if (all === this.text && complete === this.complete) {
      return this.all;
    }
    if (complete || this.complete || !all.startsWith(this.text.slice(0, this.settled))) {
      this.forget();
    }
    this.text = all;
    this.complete = complete;
    const tokens = this.lex(all.slice(this.settled));
    const last = complete ? tokens.length : lastWithText(tokens);
    for (const token of tokens.slice(0, last)) {
      this.settled += token.raw.length;
      this.push(this.blocks, token, true);
    }
    const tail: string[] = [];
    for (const token of this.mended(tokens.slice(last))) {
      this.push(tail, token, false);
    }
    this.all = tail.length > 0 ? [...this.blocks, ...tail] : this.blocks.slice();
    return this.all;
  }

  private all: readonly string[] = [];

  private forget(): void {
    this.settled = 0;
    this.blocks = [];
    this.links = {};
  }

  private lex(text: string): Token[] {
    const lexer = new Lexer(markdown.defaults);
    Object.assign(lexer.tokens.links, this.links);
    const tokens = lexer.lex(text);
    this.links = tokens.links;
    return tokens;
  }

  private push(blocks: string[], token: Token, settled: boolean): void {
    const html = withHighlighting(settled || token.raw.length < 20_000, () => markdown.parser([token]));
    if (html !== "") {
      blocks.push(html);
    }
  }

  /** The last block, with what it has begun and not ended (`**bold`) ended, so that it does not flicker. */
  private mended(tokens: Token[]): Token[] {
    const last = tokens[0];
    if (last === undefined || last.type === "code" || last.type === "html" || this.complete) {
      return tokens;
    }
    const raw = tokens.map((token) => token.raw).join("");
    const mended = mend(raw);
    return mended === raw ? tokens : this.lex(mended);
  }
}

/** The index of the last block with text: what is appended may still change it, and nothing before it. */
function lastWithText(tokens: readonly Token[]): number {
  let at = tokens.length - 1;
  while (at > 0 && tokens[at]?.type === "space") {
    at--;
  }
  return Math.max(at, 0);
}

/** Ends the code, the emphasis and the link that the last paragraph of `text` leaves open. */
export function mend(text: string): string {
  const at = text.lastIndexOf("\n\n") + 1;
  const before = text.slice(0, at);
  let rest = text.slice(at);
  if (/^ *(```|~~~)/m.test(rest)) {
    return text;
  }
  rest = rest.replace(/(^|\s)(\*{1,3}|_{1,3}|~{1,2}|`{1,2})$/, "$1");
  const plain = rest.replace(/`[^`\n]*`/g, "");
  if (plain.includes("`")) {
    return `${before}${rest}\``;
  }
  rest = rest.replace(/!?\[([^\]\n]*)\]\([^)\n]*$/, "$1").replace(/!?\[([^\]\n]*)$/, "$1");
  if ((plain.match(/\*\*/g) ?? []).length % 2 === 1) {
    rest = `${rest.replace(/\*$/, "").trimEnd()}**`;
  }
  return before + rest;
}
