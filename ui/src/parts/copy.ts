// SPDX-License-Identifier: MIT
// Text into the clipboard, also where the browser's newer way is not allowed: on a page by plain HTTP of another host.

/** False where it is not allowed at all. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.className = "only-read";
    field.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  }
}
