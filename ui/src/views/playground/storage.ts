// SPDX-License-Identifier: MIT
// Conversations in this browser: IndexedDB, bounded in number and size; the oldest go first. Nothing of them is
// sent anywhere but to the models.
import { toStored, fromStored, type Conversation, type StoredConversation } from "./conversation";

export interface Summary {
  id: string;
  title: string;
  updated: number;
  /** Characters as JSON. */
  size: number;
}

export const MOST_CONVERSATIONS = 200;
export const MOST_CHARACTERS = 64 << 20;

const SUMMARIES = "summaries";
const CONVERSATIONS = "conversations";

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("the browser's storage failed"));
  });
}

let database: Promise<IDBDatabase> | null = null;

function open(): Promise<IDBDatabase> {
  database ??= new Promise((resolve, reject) => {
    const request = indexedDB.open("hostler", 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(SUMMARIES, { keyPath: "id" });
      request.result.createObjectStore(CONVERSATIONS, { keyPath: "id" });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("this browser stores nothing"));
    request.onblocked = () => reject(new Error("another tab has an older page open"));
  });
  return database;
}

async function begin(mode: IDBTransactionMode): Promise<{ summaries: IDBObjectStore; conversations: IDBObjectStore }> {
  const transaction = (await open()).transaction([SUMMARIES, CONVERSATIONS], mode);
  return { summaries: transaction.objectStore(SUMMARIES), conversations: transaction.objectStore(CONVERSATIONS) };
}

/** The newest first. */
export async function list(): Promise<Summary[]> {
  const { summaries } = await begin("readonly");
  const all = (await done(summaries.getAll())) as Summary[];
  return all.sort((a, b) => b.updated - a.updated);
}

export async function read(id: string): Promise<Conversation | null> {
  const { conversations } = await begin("readonly");
  const stored = (await done(conversations.get(id))) as StoredConversation | undefined;
  return stored ? fromStored(stored) : null;
}

export async function readAll(): Promise<StoredConversation[]> {
  const { conversations } = await begin("readonly");
  return (await done(conversations.getAll())) as StoredConversation[];
}

/** Those that must go so that the rest is within the bounds; the newest stays whatever its size. */
export function surplus(all: readonly Summary[], mostCharacters = MOST_CHARACTERS): Summary[] {
  let characters = 0;
  const newestFirst = [...all].sort((a, b) => b.updated - a.updated);
  return newestFirst.filter((s, at) => (characters += s.size) > mostCharacters ? at > 0 : at >= MOST_CONVERSATIONS);
}

export async function remove(ids: readonly string[]): Promise<void> {
  const { summaries, conversations } = await begin("readwrite");
  await Promise.all(ids.flatMap((id) => [done(summaries.delete(id)), done(conversations.delete(id))]));
}

/** Returns how many old ones were removed for it. */
export async function save(c: Conversation): Promise<number> {
  const stored = toStored(c);
  const summary: Summary = { id: c.id, title: c.title, updated: c.updated, size: JSON.stringify(stored).length };
  const { summaries, conversations } = await begin("readwrite");
  await Promise.all([done(summaries.put(summary)), done(conversations.put(stored))]);
  const over = surplus(await list()).map((s) => s.id);
  if (over.length > 0) await remove(over);
  return over.length;
}
