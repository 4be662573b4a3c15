// SPDX-License-Identifier: MIT
// The last barrier between what a model writes and the page: only these elements and attributes, whatever the
// renderer lets through. The page's Content-Security-Policy stands behind it: it takes HTML of DOMPurify's policy only
// (Trusted Types), so that no other line of the page can make HTML from text.
import DOMPurify from "dompurify";

const OPTIONS = {
  ALLOWED_TAGS:
    "a b blockquote br button code del details div em h3 h4 h5 h6 hr i img kbd li mark ol p pre s span strong sub summary sup table tbody td th thead tr u ul".split(" "),
  ALLOWED_ATTR: "href target rel class src alt tabindex type start align aria-label".split(" "),
  ALLOW_DATA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|data:image\/(?:png|jpeg|gif|webp);)/i,
};
const CLASS = /^(hljs(-[\w-]+)?|code-box|code-bar|copy-code|language_|function_|class_|inherited__)$/;

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.hasAttribute("class")) {
    const kept = [...node.classList].filter((name) => CLASS.test(name));
    node.setAttribute("class", kept.join(" "));
  }
  if (node.tagName === "A") {
    node.setAttribute("rel", "noopener noreferrer nofollow");
    node.setAttribute("target", "_blank");
  }
  if (node.tagName === "IMG" && !node.getAttribute("src")?.startsWith("data:image/")) {
    node.remove();
  }
});

/** A TrustedHTML, where the browser knows of such. Preact takes it as text. */
export function sanitize(html: string): string {
  return DOMPurify.sanitize(html, { ...OPTIONS, RETURN_TRUSTED_TYPE: true }) as unknown as string;
}
