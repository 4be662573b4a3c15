// SPDX-License-Identifier: MIT
import assert from "node:assert/strict";
import { test } from "node:test";
import { MarkdownStream, mend } from "../src/markdown/stream";

const TEXT = `# Title

A paragraph with **bold**, \`code\` and [a link](https://example.org/x).

1. one

   \`\`\`python
   def f(): return 1
   \`\`\`
2. two

| a | b |
| - | - |
| 1 | 2 |

Setext
======

> quoted
still quoted

\`\`\`rust
fn main() {

    println!("hi");
}
\`\`\`

- [x] done
- [ ] open

See [later].

[later]: https://example.org/later
`;

function html(text: string): string {
  return new MarkdownStream().update(text, true).join("");
}

test("a text that grows ends as what it is at once", () => {
  for (const step of [1, 3, 17]) {
    const stream = new MarkdownStream();
    for (let n = 0; n < TEXT.length; n += step) stream.update(TEXT.slice(0, n), false);
    assert.equal(stream.update(TEXT, true).join(""), html(TEXT));
  }
});

test("a settled block keeps its HTML while the text grows", () => {
  const stream = new MarkdownStream();
  let before: readonly string[] = [];
  for (let n = 0; n <= TEXT.length; n++) {
    const now = stream.update(TEXT.slice(0, n), false);
    for (let i = 0; i < before.length - 1; i++) assert.equal(now[i], before[i], `block ${i} at ${n}`);
    before = now;
  }
});

test("what is open is not shown as it is typed", () => {
  assert.equal(mend("a **bol"), "a **bol**");
  assert.equal(mend("a **bold*"), "a **bold**");
  assert.equal(mend("a **"), "a ");
  assert.equal(mend("a `co"), "a `co`");
  assert.equal(mend("see [the do"), "see the do");
  assert.equal(mend("see [the docs](https://exa"), "see the docs");
  assert.equal(mend("2 * 3 is 6"), "2 * 3 is 6");
  assert.equal(mend("**done** and\n\n- plain"), "**done** and\n\n- plain");
  const stream = new MarkdownStream();
  for (let n = 1; n <= 20; n++) {
    assert.ok(!stream.update("so **very** [long](https://example.org)".slice(0, n), false).join("").includes("**"), `${n}`);
  }
});

test("a text that is replaced is read anew", () => {
  const stream = new MarkdownStream();
  stream.update("one\n\ntwo\n\nthree", false);
  assert.equal(stream.update("# other", false).join(""), html("# other"));
});

test("nothing is loaded from elsewhere, and nothing is run", () => {
  const out = html(
    "![p](https://example.org/p.png) <img src=x onerror=alert(1)> <script>alert(1)</script>\n\n[x](javascript:alert(1)) [y](data:text/html,hi) <b>b</b><br>",
  );
  assert.ok(!/<img|<script|javascript:|data:text/.test(out.replace(/&#60;/g, "")), out);
  assert.ok(out.includes("picture: p") && out.includes("<b>b</b><br>"));
});

test("links open elsewhere without telling from where", () => {
  assert.match(html("https://example.org"), /<a href="https:\/\/example.org" target="_blank" rel="noopener noreferrer nofollow">/);
});

test("code has its language, highlighting and a button", () => {
  const out = html("```js\nconst a = '<b>';\n```");
  assert.match(out, /hljs-keyword/);
  assert.match(out, /<button type="button" class="copy-code"/);
  assert.ok(!out.includes("<b>"));
  assert.ok(html("```nolang\n<i>\n```").includes("&#60;i&#62;"));
});

test("a carriage return is a line's end", () => {
  assert.equal(html("a\r\n\r\nb"), html("a\n\nb"));
});

test("a long text costs each update its last block only", () => {
  const stream = new MarkdownStream();
  const paragraph = "word ".repeat(50) + "\n\n";
  let text = "";
  for (let i = 0; i < 2000; i++) stream.update((text += paragraph), false);
  assert.equal(stream.update(text, true).length, 2000);
});
