// SPDX-License-Identifier: MIT
// A modal question: the browser's own <dialog>, which keeps the focus inside and gives it back at its end.
// One is open at a time; openDialog() replaces it.
import { signal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

const shown = signal<(() => JSX.Element) | null>(null);

/** What had the focus before the first of dialogs that replaced one another. */
let opener: HTMLElement | null = null;

export function openDialog(content: () => JSX.Element): void {
  if (shown.peek() === null) opener = document.activeElement as HTMLElement | null;
  shown.value = content;
}

export function closeDialog(): void {
  shown.value = null;
}

export function dialogIsOpen(): boolean {
  return shown.peek() !== null;
}

/** Where the open dialog is drawn; the shell has it once. */
export function DialogPlace(): JSX.Element | null {
  const Content = shown.value;
  return Content ? <Content key={Content} /> : null;
}

interface DialogProps {
  title: string;
  children: ComponentChildren;
  /** Wide enough for text of 80 columns. */
  wide?: boolean;
  onSubmit?: () => void;
}

export function Dialog({ title, children, wide, onSubmit }: DialogProps): JSX.Element {
  const element = useRef<HTMLDialogElement>(null);
  const own = useRef(shown.peek());
  const pressedBeside = useRef(false); /* a selection that ends beside the dialog is no click there */
  /* The event of a dialog's end comes when another one may already be shown in its place. */
  const close = (): void => {
    if (shown.peek() === own.current) closeDialog();
  };
  useEffect(() => {
    const dialog = element.current;
    if (!dialog) return;
    dialog.showModal();
    dialog.querySelector<HTMLElement>("[data-first]")?.focus();
    return () => {
      dialog.close();
      if (shown.peek() === null) opener?.focus(); /* the browser does not give it back to who is gone from the page by now */
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={wide ? "dialog dialog-wide" : "dialog"}
      aria-labelledby="dialog-title"
      onCancel={(e) => {
        e.preventDefault(); /* Escape: it is over now, not when the event of its end comes; a key may come between */
        close();
      }}
      onClose={close}
      onPointerDown={(e) => { pressedBeside.current = e.target === element.current; }}
      onClick={(e) => pressedBeside.current && e.target === element.current && closeDialog()}
    >
      <form
        class="dialog-body"
        method="dialog"
        onSubmit={(e) => {
          e.preventDefault();
          onSubmit?.();
        }}
      >
        <header class="dialog-head">
          <h2 id="dialog-title">{title}</h2>
          <button type="button" class="icon-button" aria-label="Close" onClick={closeDialog}>
            ×
          </button>
        </header>
        {children}
      </form>
    </dialog>
  );
}

interface QuestionProps {
  title: string;
  /** The word on the button that goes on: the deed, not "OK". */
  yes: string;
  danger?: boolean;
  children: ComponentChildren;
  act: () => void | Promise<unknown>;
}

/** A question with one deed: it closes at once and the deed goes on, with its errors told by the caller. */
export function Question({ title, yes, danger, children, act }: QuestionProps): JSX.Element {
  return (
    <Dialog
      title={title}
      onSubmit={() => {
        closeDialog();
        void act();
      }}
    >
      <div class="dialog-text">{children}</div>
      <footer class="dialog-foot">
        <button type="button" class="button" onClick={closeDialog}>
          Cancel
        </button>
        <button type="submit" class={danger ? "button button-danger" : "button button-primary"} data-first>
          {yes}
        </button>
      </footer>
    </Dialog>
  );
}

export function ask(question: QuestionProps): void {
  openDialog(() => <Question {...question} />);
}
