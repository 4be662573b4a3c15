# SPDX-License-Identifier: MIT
"""The slots of the fake engine: what llama-server 11669 does with them (docs/engine.md, Slots), as far as hostler can tell.

A token is four bytes of the rendered prompt. A slot keeps, beside the text that it was given (its tokens), the state that was computed for
it: here the same text once more. An answer is a hash of the state that was reused and of the text that was computed, so a state that does
not belong to its tokens gives another answer than an engine without any cache.
"""
import hashlib
import json
import os
import pathlib
import struct
import threading
import time

TOKEN = 4
MAGIC = b"fakeslot"
SIMILARITY = 0.1
NO_FILES = "This server does not support slots action. Start it with `--slot-save-path`"
NOT_RESTORED = "Unable to restore slot: No available space in KV cache or invalid slot save file"


def tokens_of(text):
    return (len(text) + TOKEN - 1) // TOKEN


def common_bytes(a, b):
    """Up to the last whole token that both begin with."""
    return len(os.path.commonprefix([a, b])) // TOKEN * TOKEN


def text_of(content):
    if isinstance(content, list):
        return "".join(p.get("text", "") for p in content if isinstance(p, dict))
    return str(content or "")


def render(request):
    """A prompt as its template would make it; the answer follows at its end."""
    if "prompt" in request:
        return text_of(request["prompt"]).encode()
    text = "".join(text_of(request.get(name)) + "\n" for name in ("system", "instructions") if request.get(name))
    messages = request.get("messages", request.get("input"))
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    for m in messages:
        text += f"<{m.get('role')}>{text_of(m.get('content'))}\n"
    return (text + "<assistant>").encode()


def words(state, n):
    """What an answer says, which only the prompt's bytes decide."""
    digest = hashlib.sha256(state).hexdigest()
    return [f"{digest[i % 56:i % 56 + 8]} " for i in range(n)]


class Slot:
    def __init__(self, number):
        self.number, self.busy, self.task, self.used = number, False, None, 0
        self.clear()

    def clear(self):
        self.text = self.state = b""
        self.tokens = 0
        self.useless = False


class Refused(Exception):
    """The answer is an error: status and message."""


class Slots:
    def __init__(self, engine, options):
        self.engine, self.fake = engine, engine.fake
        parallel = int(options.get("--parallel") or options.get("-np") or os.environ.get("LLAMA_ARG_N_PARALLEL") or -1)
        self.slots = [Slot(n) for n in range(parallel if parallel > 0 else 4)]
        self.context = int(options.get("--ctx-size") or options.get("-c") or 1 << 20)
        self.folder = options.get("--slot-save-path") or os.environ.get("LLAMA_ARG_SLOT_SAVE_PATH")
        self.free = threading.Condition()
        self.task = 0
        self.loop = threading.Lock()  # one thing at a time, as in the engine's own loop
        self.poisoned = False

    def wrong(self, name):
        """How it misbehaves now: a test may change that while it runs."""
        try:
            self.fake = json.loads(pathlib.Path(self.engine.model + ".fake").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            pass
        return self.fake.get(name)

    def forget(self):
        """It sleeps: what the slots held is freed."""
        for slot in self.slots:
            slot.clear()
            slot.task = None

    def note(self, what):
        """In the file `slot_log`, for tests that count across engines."""
        path = self.fake.get("slot_log")
        if path:
            with open(path, "a", encoding="ascii") as f:
                f.write(what + "\n")

    def stumble(self, how):
        """What may happen to any of the routes."""
        if how == "hang":
            time.sleep(3600)
        if how == "slow":
            time.sleep(self.fake.get("slot_slow_s", 2))
        if how == "crash":
            os.kill(os.getpid(), 9)
        if isinstance(how, int):
            raise Refused(how, NO_FILES if how == 501 else "it does not want to")

    # -- a request --------------------------------------------------------------------------------

    def choose(self, prompt):
        """Of the idle ones the most alike, if that is more than a tenth; else the one that was used the longest ago."""
        idle = [s for s in self.slots if not s.busy]
        best = max(idle, key=lambda s: common_bytes(s.text, prompt), default=None)
        if best and common_bytes(best.text, prompt) > SIMILARITY * len(prompt):
            return best
        return min(idle, key=lambda s: s.used, default=None)

    def take(self, prompt):
        with self.free:
            while not (slot := self.choose(prompt)):
                self.free.wait()
            self.task += 1
            slot.busy, slot.task = True, self.task
            if self.fake.get("idle_slots_cleared"):
                for other in self.slots:
                    if not other.busy:
                        other.clear()
            return slot

    def give_back(self, slot):
        with self.free:
            slot.busy, slot.used = False, self.task
            self.free.notify_all()

    def begin(self, request, pause):
        """Computes a prompt: the slot, and what the answer says of it. `pause(seconds)` raises when the client leaves."""
        if self.poisoned:
            os.kill(os.getpid(), 9)
        prompt = render(request)
        slot = self.take(prompt)
        common = 0 if slot.useless else min(common_bytes(slot.text, prompt), (tokens_of(prompt) - 1) * TOKEN)
        cached, n = common // TOKEN, tokens_of(prompt)
        slot.state = slot.state[:common] + prompt[common:]
        slot.text, slot.tokens, slot.useless = prompt, n, False
        ms = (n - cached) * self.fake["prompt_token_ms"]
        try:
            pause(ms / 1000 * self.fake.get("prompt_sleep", 1))
        except OSError:
            slot.clear()
            self.give_back(slot)
            raise
        return slot, {"cache_n": cached, "prompt_n": n - cached, "prompt_ms": max(ms, 0.001)}


    def end(self, slot, said):
        answer = "".join(said[:-1]).encode()
        slot.text += answer
        slot.state += answer
        slot.tokens += max(len(said) - 1, 0)
        self.give_back(slot)

    # -- the routes -------------------------------------------------------------------------------

    def list(self):
        how = self.wrong("slot_list")
        self.note("list")
        self.stumble(how)
        if how == "garbage":
            return {"slots": "[[["}
        found = []
        for s in self.slots:
            entry = {"id": s.number, "n_ctx": self.context, "speculative": False, "is_processing": s.busy or how == "busy"}
            if s.task is not None:
                wrong = 1000 if how == "wrong_counts" else 0
                entry.update(id_task=s.task, n_prompt_tokens=s.tokens + wrong, n_prompt_tokens_processed=0, params={"seed": 1})
            found.append(entry)
        return found

    def act(self, number, action, request):
        if not self.folder:
            raise Refused(501, NO_FILES)
        deeds = {"save": self.save, "restore": self.restore, "erase": self.erase}
        if action not in deeds:
            raise Refused(400, "Invalid action")
        name = request.get("filename", "")
        if "/" in name or (not name and action != "erase"):
            raise Refused(400, "Invalid filename")
        if number >= len(self.slots):
            raise Refused(400, "Invalid slot ID")
        slot = self.slots[number]
        with self.free:  # it is put off while the slot is busy
            while slot.busy:
                self.free.wait()
            slot.busy = True
        try:
            return deeds[action](slot, name)
        finally:
            slot.used -= 1
            self.give_back(slot)

    def save(self, slot, name):
        how = self.wrong("slot_save")
        path = pathlib.Path(self.folder, name)
        data = MAGIC + struct.pack("<II", slot.tokens, len(slot.text)) + slot.text + slot.state
        data += bytes(self.fake.get("slot_bytes", 0))
        try:
            with open(path, "wb") as f:
                f.write(data[:len(data) // 2])
                f.flush()
                self.note(f"save {how or 'ok'} {name}")
                self.stumble(how)
                if how != "short":
                    f.write(data[len(data) // 2:])
        except OSError as e:
            raise Refused(500, "Unable to save slot") from e
        if how == "nothing":
            path.unlink()
        return {"id_slot": slot.number, "filename": name, "n_saved": slot.tokens + (7 if how == "wrong_tokens" else 0),
                "n_written": len(data), "timings": {"save_ms": 1.0}}

    def restore(self, slot, name):
        how = self.wrong("slot_restore")
        self.note(f"restore {how or 'ok'} {name}")
        self.stumble(how)
        try:
            data = pathlib.Path(self.folder, name).read_bytes()
        except OSError as e:
            raise Refused(400, NOT_RESTORED) from e
        if len(data) < 16 or data[:8] != MAGIC:
            raise Refused(400, NOT_RESTORED)
        tokens, size = struct.unpack("<II", data[8:16])
        if len(data) < 16 + 2 * size:
            raise Refused(400, NOT_RESTORED)
        slot.text, slot.state, slot.tokens = data[16:16 + size], data[16 + size:16 + 2 * size], tokens
        slot.useless = how == "useless"
        self.poisoned = how == "poison"
        return {"id_slot": slot.number, "filename": name, "n_restored": tokens + (7 if how == "wrong_tokens" else 0),
                "n_read": len(data), "timings": {"restore_ms": 1.0}}

    def erase(self, slot, _):
        n = slot.tokens
        slot.clear()
        return {"id_slot": slot.number, "n_erased": n}
