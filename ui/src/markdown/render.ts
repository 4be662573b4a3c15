// SPDX-License-Identifier: MIT
// How Markdown of a model becomes HTML. Nothing is loaded from elsewhere: a picture of another host becomes a link.
// HTML in the text is shown as text, but for a few tags without attributes.
import { Marked, type Tokens } from "marked";
import { escapeHtml, highlight } from "./highlight";

const PLAIN_TAG = /^<\/?(br|sub|sup|kbd|u|s|b|i|em|strong|mark|details|summary)\s*\/?>$/i;
const WEB = /^(https?:|mailto:)/i;
const PICTURE = /^data:image\/(png|jpeg|gif|webp);base64,/i;

let highlighting = true;

/** Calls `render` with or without the highlighting of code, which costs too much for each piece of a long one. */
export function withHighlighting<T>(on: boolean, render: () => T): T {
  highlighting = on;
  try {
    return render();
  } finally {
    highlighting = true;
  }
}

function link(href: string, content: string): string {
  return WEB.test(href)
    ? `<a href="${escapeHtml(href)}" target="_blank" rel="noopener noreferrer nofollow">${content}</a>`
    : content;
}

function code({ text, lang }: Tokens.Code): string {
  const language = (lang ?? "").trim().split(/[\s{]/, 1)[0] ?? "";
  const shown = escapeHtml(language || "text");
  const html = highlighting ? highlight(text, language) : escapeHtml(text);
  return (
    `<div class="code-box"><div class="code-bar"><span>${shown}</span>` +
    `<button type="button" class="copy-code" aria-label="Copy this code">Copy</button></div>` +
    `<pre tabindex="0"><code>${html}\n</code></pre></div>\n`
  );
}

export const markdown = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    code,
    html: ({ text }) => (PLAIN_TAG.test(text.trim()) ? text : escapeHtml(text)),
    link({ href, tokens }) {
      return link(href, this.parser.parseInline(tokens));
    },
    image: ({ href, text }) =>
      PICTURE.test(href)
        ? `<img src="${escapeHtml(href)}" alt="${escapeHtml(text)}">`
        : link(href, `picture: ${escapeHtml(text || href)}`),
    heading({ tokens, depth }) {
      const level = Math.min(depth + 2, 6); // below the headings of the page
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>\n`;
    },
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});
