# SPDX-License-Identifier: MIT
"""Conversations as the OpenAI and Anthropic SDKs write them: the chain of each turn's prompt begins with the whole chain of the turn
before. SDKS names the folder that has them (scripts/python-packages fetches it).
"""
import copy
import json
import os
import subprocess
import sys

import pytest
from conftest import SAN
from fake_http import Fake, Handler

SDKS = os.environ.get("SDKS", "")
if not os.path.isdir(SDKS):
    pytest.skip("the OpenAI and Anthropic SDKs are missing: scripts/python-packages could not fetch them", allow_module_level=True)
sys.path.insert(0, SDKS)
import anthropic  # noqa: E402
import openai  # noqa: E402

TURNS = 5
PROSE = "A line of what was said, with \"quotes\", a \\ and an é.\n" * 20


class Answers(Handler):
    """Answers as a model would, with what is of no use for the next prompt too."""

    def route(self, path, body):
        n = len(self.server.asked)
        usage = {"prompt_tokens": n, "completion_tokens": n, "total_tokens": 2 * n}
        if path == "/v1/chat/completions":
            call = {"id": f"call_{n}", "type": "function", "function": {"name": "look", "arguments": '{"at": "x"}'}}
            message = {"role": "assistant", "content": None if n % 2 else PROSE, "reasoning_content": "Hm.",
                       **({"tool_calls": [call]} if n % 2 else {})}
            self.answer(200, {"id": f"c{n}", "object": "chat.completion", "created": n, "model": "m", "usage": usage, "choices": [
                {"index": 0, "finish_reason": "tool_calls" if n % 2 else "stop", "message": message}]})
        elif path == "/v1/messages":
            content = [{"type": "thinking", "thinking": "Hm.", "signature": ""}, {"type": "text", "text": PROSE},
                       {"type": "tool_use", "id": f"t{n}", "name": "look", "input": {"at": "x", "cache_control": n}}]
            self.answer(200, {"id": f"m{n}", "type": "message", "role": "assistant", "model": "m", "content": content,
                              "stop_reason": "tool_use", "stop_sequence": None, "usage": {"input_tokens": n, "output_tokens": n}})
        else:
            output = [{"type": "message", "id": f"o{n}", "role": "assistant", "status": "completed", "content": [
                {"type": "output_text", "text": PROSE, "annotations": []}]}]
            self.answer(200, {"id": f"r{n}", "object": "response", "created_at": n, "model": "m", "output": output,
                              "parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "status": "completed"})


class Server(Fake):
    handler = Answers


@pytest.fixture
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def gpt(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key="k", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def claude(server):
    with anthropic.Anthropic(base_url=server.url, api_key="k", max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def chains(server, tmp_path):
    """Of each body that the server was sent: the bytes of its prompt, and how many of them it has in common with the body before."""
    def chains():
        files = []
        for n, (_, _, body) in enumerate(server.asked):
            files.append(tmp_path / f"{n}.json")
            files[-1].write_bytes(body)
        out = subprocess.run([SAN / "chains", *files], capture_output=True, text=True, check=True, timeout=60).stdout
        return [tuple(map(int, line.split())) for line in out.splitlines()]
    return chains


def assert_each_contains_the_last(chains):
    assert len(chains) == TURNS
    for (before, _), (size, common) in zip(chains, chains[1:]):
        assert common == before < size


def test_chat_with_answers_as_objects(gpt, chains):
    """The SDK's own objects are appended, as its examples do."""
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    messages = [{"role": "system", "content": "You help."}, {"role": "user", "content": PROSE}]
    for n in range(TURNS):
        answer = gpt.chat.completions.create(model="m", messages=messages, tools=tools, temperature=n / 10, seed=n, user=f"u{n}",
                                             max_tokens=100 + n)
        messages.append(answer.choices[0].message)
        for call in answer.choices[0].message.tool_calls or []:
            messages.append({"role": "tool", "tool_call_id": call.id, "content": "Found."})
        messages.append({"role": "user", "content": f"Go on, {n}."})
    assert_each_contains_the_last(chains())


def test_another_tool_is_another_head(gpt, chains):
    for name in "ab":
        gpt.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hello"}], tools=[
            {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}])
    assert chains()[1][1] == 0


def mark_last(messages):
    """What coding agents do with the last two messages: a string becomes a part, and the last part gets the mark."""
    messages = copy.deepcopy(messages)
    for message in messages[-2:]:
        if isinstance(message["content"], str):
            message["content"] = [{"type": "text", "text": message["content"]}]
        message["content"][-1]["cache_control"] = {"type": "ephemeral"}
    return messages


def test_messages_with_marks_that_move(claude, chains):
    tools = [{"name": "look", "input_schema": {"type": "object"}}]
    messages = [{"role": "user", "content": PROSE}]
    for n in range(TURNS):
        system = [{"type": "text", "text": f"x-anthropic-billing-header: cc_version=2.1; cch={n}a5b4;"},
                  {"type": "text", "text": "You help.", "cache_control": {"type": "ephemeral"}}]
        answer = claude.messages.create(model="m", max_tokens=100, system=system, messages=mark_last(messages), tools=tools,
                                        metadata={"user_id": f"u{n}"})
        messages.append({"role": "assistant", "content": [block.to_dict() for block in answer.content]})
        if n % 2:
            messages.append({"role": "user", "content": f"Go on, {n}."})
            continue
        messages.append({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": answer.content[-1].id, "content": "Found."}, {"type": "text", "text": "So?"}]})
    assert_each_contains_the_last(chains())


def test_messages_with_answers_as_objects(claude, chains):
    messages = [{"role": "user", "content": PROSE}]
    for n in range(TURNS):
        answer = claude.messages.create(model="m", max_tokens=100, system="You help.", messages=messages)
        messages += [{"role": "assistant", "content": answer.content}, {"role": "user", "content": f"Go on, {n}."}]
    assert_each_contains_the_last(chains())


def test_responses_with_items(gpt, chains):
    items = [{"role": "user", "content": PROSE}]
    for n in range(TURNS):
        answer = gpt.responses.create(model="m", input=items, instructions="You help.", store=False, metadata={"n": str(n)})
        items += answer.output
        items.append({"role": "user", "content": f"Go on, {n}."})
    assert_each_contains_the_last(chains())


def test_completions_that_grow(gpt, chains):
    """A text has points every 4 KiB only."""
    prompt = PROSE * 20
    for n in range(TURNS):
        gpt.post("/responses", body={"model": "m", "prompt": prompt}, cast_to=object)
        prompt += PROSE * (1 + 4 * (n % 2))
    sizes = chains()
    assert all(common == before <= size for (before, _), (size, common) in zip(sizes, sizes[1:]))
    assert sizes[0][0] > 16384 and sizes[-1][0] > sizes[0][0]


def test_a_body_with_blanks(server, gpt, chains):
    """Another client writes the same conversation with other white space and members."""
    messages = [{"role": "user", "content": PROSE}]
    gpt.chat.completions.create(model="m", messages=messages)
    server.asked.append(("POST", "/", json.dumps({"stream": True, "messages": messages}, indent=2, ensure_ascii=False).encode()))
    (before, _), (size, common) = chains()
    assert before == size == common
