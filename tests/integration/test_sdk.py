# SPDX-License-Identifier: MIT
"""The OpenAI and Anthropic SDKs, unmodified, with a model that can speak.

SDKS names the folder that has them (scripts/python-packages fetches it), REAL_MODEL the model's file.
"""
import asyncio
import json
import os
import pathlib
import signal
import sys

import pytest
from conftest import until

REAL = pathlib.Path(os.environ.get("REAL_MODEL", ""))
SDKS = os.environ.get("SDKS", "")
if not REAL.is_file() or REAL.stat().st_size < 50 << 20:
    pytest.skip("REAL_MODEL does not name a real model's file (scripts/model fetches one)", allow_module_level=True)
if not os.path.isdir(SDKS):
    pytest.skip("the OpenAI and Anthropic SDKs are missing: scripts/python-packages could not fetch them", allow_module_level=True)
sys.path.insert(0, SDKS)
import anthropic  # noqa: E402
import openai  # noqa: E402

KEY = "one"
QUESTION = [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}]
CHAT = {"model": "real", "messages": QUESTION, "max_tokens": 12, "temperature": 0}
# Anthropic's takes no temperature by name.
MESSAGE = {**{k: v for k, v in CHAT.items() if k != "temperature"}, "extra_body": {"temperature": 0}}
# Half a minute of answer, if nobody stops it.
COUNT = [{"role": "user", "content": "Count from 1 to 500: 1, 2, 3,"}]
LONG = {"model": "real", "messages": COUNT, "max_tokens": 3000, "stream": True, "extra_body": {"temperature": 0}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    (folder / "real.gguf").symlink_to(REAL.resolve())
    return folder


@pytest.fixture(scope="module")
def server(module_hostler, folder):
    return module_hostler("--models-dir", folder, "-c", "4096", "-np", "2", "-t", "1", "--slots",
                          "--api-key", KEY)


@pytest.fixture
def address(server):
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture
def gpt(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
def claude(address):
    with anthropic.Anthropic(base_url=address, api_key=KEY, max_retries=0, timeout=60) as client:
        yield client


def is_idle(server):
    slots = server.get("/slots?model=real", headers={"X-Api-Key": KEY}).json
    return not any(slot["is_processing"] for slot in slots)


# --- OpenAI --------------------------------------------------------------------------------------------

def test_openai_lists_models(gpt):
    [model] = gpt.models.list()
    assert (model.id, model.object, model.owned_by) == ("real", "model", "llamacpp")
    assert isinstance(model.created, int)


def test_openai_chats(gpt):
    answer = gpt.chat.completions.create(**CHAT)
    [choice] = answer.choices
    assert "Paris" in choice.message.content
    assert (choice.message.role, choice.finish_reason) in [("assistant", "stop"), ("assistant", "length")]
    assert (answer.object, answer.model) == ("chat.completion", "real")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_openai_streams_the_same(gpt):
    whole = gpt.chat.completions.create(**CHAT)
    chunks = list(gpt.chat.completions.create(**CHAT, stream=True, stream_options={"include_usage": True}))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant"
    assert {c.object for c in chunks} == {"chat.completion.chunk"}
    assert {c.model for c in chunks} == {"real"}
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == whole.choices[0].finish_reason


def test_openai_streams_with_its_helper(gpt):
    with gpt.chat.completions.stream(**CHAT) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "content.delta" in kinds and kinds[-1] == "content.done"
    assert "Paris" in final.choices[0].message.content


def test_openai_asks_for_json(gpt):
    schema = {"type": "object", "properties": {"capital": {"type": "string", "maxLength": 12}},
              "required": ["capital"]}
    answer = gpt.chat.completions.create(
        model="real", messages=QUESTION, temperature=0, max_tokens=40,
        response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    assert list(json.loads(answer.choices[0].message.content)) == ["capital"]


def test_openai_completes(gpt):
    prompt = {"model": "real", "prompt": "The capital of France is", "max_tokens": 4, "temperature": 0}
    whole = gpt.completions.create(**prompt)
    assert "Paris" in whole.choices[0].text
    assert "".join(c.choices[0].text for c in gpt.completions.create(**prompt, stream=True)) == whole.choices[0].text


def test_openai_responds(gpt):
    asked = {"model": "real", "input": QUESTION[0]["content"], "max_output_tokens": 12, "temperature": 0}
    whole = gpt.responses.create(**asked)
    assert "Paris" in whole.output_text
    events = list(gpt.responses.create(**asked, stream=True))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == whole.output_text


@pytest.mark.parametrize("form", [{}, {"encoding_format": "float"}], ids=["base64, its default", "float"])
def test_openai_embeds(hostler, folder, form):
    server = hostler("--models-dir", folder, "-c", "512", "-t", "1", "--embeddings", "--pooling", "mean")
    with openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="none", max_retries=0) as client:
        got = client.embeddings.create(model="real", input=["Paris", "Rome", "Paris"], **form)
    one, two, three = (d.embedding for d in got.data)
    assert len(one) == 576 and one != two
    assert one == pytest.approx(three, abs=1e-3)
    assert got.usage.prompt_tokens > 0


def test_openai_side_by_side(address):
    async def ask():
        async with openai.AsyncOpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=0) as client:
            return await asyncio.gather(*(client.chat.completions.create(**CHAT) for _ in range(4)))

    assert all("Paris" in a.choices[0].message.content for a in asyncio.run(ask()))


def test_openai_meets_an_unknown_model(gpt):
    with pytest.raises(openai.BadRequestError) as caught:
        gpt.chat.completions.create(**{**CHAT, "model": "gpt-4o"})
    assert "gpt-4o" in caught.value.message
    assert (caught.value.code, caught.value.type) == ("400", "invalid_request_error")
    with pytest.raises(openai.BadRequestError):
        list(gpt.chat.completions.create(**{**CHAT, "model": "gpt-4o"}, stream=True))
    with pytest.raises(openai.NotFoundError):
        gpt.models.retrieve("gpt-4o")
    assert gpt.models.retrieve("real").id == "real"


def test_openai_meets_a_wrong_key(address):
    with openai.OpenAI(base_url=f"{address}/v1", api_key="two", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            client.chat.completions.create(**CHAT)
    assert "Invalid API Key" in caught.value.message


def test_openai_meets_an_engines_error(gpt):
    with pytest.raises(openai.APIStatusError) as caught:
        gpt.chat.completions.create(model="real", messages=[{"role": "user"}], max_tokens=1)
    assert caught.value.status_code in (400, 500) and caught.value.message


def test_openai_breaks_off_a_stream(server, gpt):
    stream = gpt.chat.completions.create(**LONG)
    next(iter(stream))
    assert not is_idle(server)
    stream.close()
    until(lambda: is_idle(server), what="the end of the generation")
    assert gpt.chat.completions.create(**CHAT).choices


def test_openai_loses_its_patience(server, gpt):
    with pytest.raises(openai.APITimeoutError):
        gpt.with_options(timeout=0.3).chat.completions.create(
            **{**LONG, "stream": False, "max_tokens": 200})
    # The engine does not notice: what nobody reads is generated to its end.
    until(lambda: is_idle(server), what="the end of the generation")


# --- Anthropic -----------------------------------------------------------------------------------------

def test_anthropic_chats(claude):
    answer = claude.messages.create(**MESSAGE)
    [block] = answer.content
    assert block.type == "text" and "Paris" in block.text
    assert (answer.type, answer.role, answer.model) == ("message", "assistant", "real")
    assert answer.stop_reason in ("end_turn", "max_tokens")
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


def test_anthropic_streams_the_same(claude):
    whole = claude.messages.create(**MESSAGE)
    with claude.messages.stream(**MESSAGE) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == whole.content[0].text == final.content[0].text
    assert final.stop_reason == whole.stop_reason
    assert final.usage.output_tokens == whole.usage.output_tokens


def test_anthropic_counts(claude):
    assert claude.messages.count_tokens(model="real", messages=QUESTION).input_tokens > 10


def test_anthropic_meets_an_unknown_model(claude):
    with pytest.raises(anthropic.BadRequestError) as caught:
        claude.messages.create(**{**MESSAGE, "model": "claude"})
    assert "claude" in caught.value.message
    with pytest.raises(anthropic.BadRequestError):
        with claude.messages.stream(**{**MESSAGE, "model": "claude"}) as stream:
            stream.until_done()


def test_anthropic_meets_a_wrong_key(address):
    with anthropic.Anthropic(base_url=address, api_key="two", max_retries=0) as client:
        with pytest.raises(anthropic.AuthenticationError):
            client.messages.create(**MESSAGE)


def test_anthropic_breaks_off_a_stream(server, claude):
    with claude.messages.stream(**{k: v for k, v in LONG.items() if k != "stream"}) as stream:
        next(iter(stream.text_stream))
        assert not is_idle(server)
    until(lambda: is_idle(server), what="the end of the generation")


def test_anthropic_side_by_side(address):
    async def ask():
        async with anthropic.AsyncAnthropic(base_url=address, api_key=KEY, max_retries=0) as client:
            return await asyncio.gather(*(client.messages.create(**MESSAGE) for _ in range(3)))

    assert all("Paris" in a.content[0].text for a in asyncio.run(ask()))


# --- an engine that dies while it answers -----------------------------------------------------------

def of_chat(gpt, _):
    return gpt.chat.completions.create(**LONG)


def of_responses(gpt, _):
    return gpt.responses.create(model="real", input=COUNT[0]["content"], stream=True, max_output_tokens=3000,
                                temperature=0)


def of_messages(_, claude):
    return claude.messages.create(**LONG)


@pytest.mark.parametrize("begin,error", [
    (of_chat, openai.APIError), (of_responses, openai.APIError), (of_messages, anthropic.APIStatusError)])
def test_an_engine_that_dies_in_a_stream(server, gpt, claude, begin, error):
    """The SDK raises; a stream that just ended would look like a short answer."""
    stream = iter(begin(gpt, claude))
    next(stream)
    [engine] = server.get("/hostler/v1/status", headers={"X-Api-Key": KEY}).json["engines"]
    os.kill(engine["pid"], signal.SIGKILL)
    with pytest.raises(error) as caught:
        list(stream)
    assert "real" in str(caught.value)


# --- a model that is held ---------------------------------------------------------------------------

@pytest.mark.parametrize("sdk", [openai, anthropic])
def test_a_hold_is_told_at_once(server, address, sdk):
    """The SDKs would sleep for Retry-After, and ask again: not where a person must do something."""
    key = {"X-Api-Key": KEY}

    def held():
        return [r["error"] for r in server.get("/hostler/v1/requests", headers=key).json["requests"]].count("held")

    before = held()
    server.post("/models/unload", {"model": "real"}, headers=key)
    assert server.post("/models/hold", {"model": "real", "for": "10m"}, headers=key).status == 200
    try:
        if sdk is openai:
            client = openai.OpenAI(base_url=f"{address}/v1", api_key=KEY, max_retries=2)
            ask = lambda: client.chat.completions.create(**CHAT)
        else:
            client = anthropic.Anthropic(base_url=address, api_key=KEY, max_retries=2)
            ask = lambda: client.messages.create(**MESSAGE)
        with client, pytest.raises(sdk.InternalServerError) as caught:
            ask()
        assert caught.value.status_code == 503 and "held" in caught.value.message
        assert held() == before + 1
    finally:
        assert server.post("/models/release", {"model": "real"}, headers=key).status == 200
