# SPDX-License-Identifier: MIT
"""Models of the Hugging Face cache: fetched from a hub (tests/fake_hub.py), and deleted."""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import threading

import pytest

import tiny_model
from background import background
from conftest import PATIENCE, until
from events import Events
from fake_hub import Hub, commit_of
from pace import Frozen
from unloading import alive, load
from wire import Wire, chat, is_json_error

FILE = "tiny-Q4_K_M.gguf"
TOKEN = "hf_" + "s" * 34  # llama.cpp drops what has not this shape
SLOW = {"rate": 200_000}  # 2.4 s for a model

CANCELLED = {"message": "it was cancelled", "error": {"message": "it was cancelled"}}


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    server = Hub(tmp_path_factory.mktemp("hub"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture
def repo(hub, request):
    """repo(rate=…): the name of a new repository with one model, which misbehaves like that."""
    made = []

    def make(*files, **fake):
        name = f"u/{request.node.name.split('[')[0]}{len(made)}"
        folder = hub.root / name
        folder.mkdir(parents=True, exist_ok=True)
        for file in files or [FILE]:
            tiny_model.make(str(folder / file), seed=len(made))
        folder.with_name(folder.name + ".fake").write_text(json.dumps(fake), encoding="ascii")
        made.append(name)
        return name
    return make


def start(hostler, hub, *args, **env):
    return hostler("--threads", "1", *args, env={"HF_ENDPOINT": hub.url, **env})


@pytest.fixture(scope="module")
def server(module_hostler, hub):
    return start(module_hostler, hub)


def cache_of(server):
    return server.runtime.parent / "cache"


def files_of(server, repo):
    """What the cache has of it: links and blobs."""
    folder = cache_of(server) / ("models--" + repo.replace("/", "--"))
    return [p for part in ("snapshots", "blobs") for p in (folder / part).rglob("*") if p.is_file()]


def put(server, repo, file=FILE):
    """A model that was fetched before: its id."""
    folder = cache_of(server) / ("models--" + repo.replace("/", "--"))
    snapshot = folder / "snapshots" / commit_of(repo)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "blobs").mkdir()
    (folder / "refs" / "main").write_text(commit_of(repo), encoding="ascii")
    tiny_model.make(str(folder / "blobs" / "b1"))
    (snapshot / file).symlink_to("../../blobs/b1")
    assert server.get("/models?reload=1").status == 200
    model = f"{repo}:Q4_K_M"
    assert model in server.models()
    return model


def download_pids(server):
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1]
            environ = (process / "environ").read_bytes().split(b"\0")
            if int(parent) == server.pid and b"LLAMA_SERVER_CHILD_MODE=download" in environ:
                found.append(int(process.name))
    return found


def download(server, model):
    return server.post("/models", {"model": model})


def delete(server, model, **kw):
    return server.request("DELETE", f"/models?model={model}", **kw)


def succeeded(answer):
    return answer.status == 200 and answer.json == {"success": True}


class Told(Events):
    """Events of one download, or of a deletion, which holds its model meanwhile."""

    def next(self):
        while (told := super().next())[1] in ("hold", "release"):
            pass
        return told

    def of(self, repo):
        while (told := self.next())[0] != repo:
            pass
        return told[1], told[2]

    def end_of(self, repo):
        """Its last event."""
        while (told := self.of(repo))[0] in ("model_status", "download_progress"):
            pass
        return told


def coming(server, events, model):
    """Begins a download; a part of it is there."""
    assert succeeded(download(server, model))
    assert events.of(model) == ("model_status", {"status": "downloading"})
    while (told := events.of(model))[0] == "download_progress":
        url, bytes_ = next(iter(told[1]["progress"].items()))
        if bytes_["done"]:
            return url, bytes_
    raise AssertionError(told)


# --- fetching --------------------------------------------------------------------------------------

def test_a_download(server, hub, repo):
    name = repo(rate=1_000_000)
    events = Told(server)
    url, first = coming(server, events, f"{name}:Q4_K_M")
    assert url.startswith(hub.url) and url.endswith(FILE)
    size = os.stat(hub.root / name / FILE).st_size
    assert 0 < first["done"] <= size == first["total"]
    entry = server.models()[f"{name}:Q4_K_M"]
    assert entry["status"]["value"] == "downloading" and url in entry["status"]["progress"]
    assert (entry["source"], entry["can_remove"], entry["object"]) == ("cache", True, "model")
    assert isinstance(entry["created"], int) and entry["aliases"] == entry["tags"] == []
    done = [first["done"]]
    while (told := events.of(f"{name}:Q4_K_M"))[0] == "download_progress":
        done.append(told[1]["progress"][url]["done"])
    assert told == ("download_finished", None)
    assert done == sorted(done) and done[-1] == size
    entry = server.models()[f"{name}:Q4_K_M"]
    assert entry["status"]["value"] == "unloaded" and entry["size"] == size
    assert server.tokenize(f"{name}:Q4_K_M").status == 200
    events.close()


def test_a_repository_without_tag(server, repo):
    name = repo()
    events = Told(server)
    assert succeeded(download(server, name))
    assert events.end_of(name) == ("download_finished", None)
    assert f"{name}:Q4_K_M" in server.models() and name not in server.models()
    events.close()


def test_a_tag_of_several_words(server, hub, repo):
    """The cache lists a model by the last of them."""
    name = repo("tiny-UD-Q4_K_XL.gguf")
    model = f"{name}:UD-Q4_K_XL"
    events = Told(server)
    assert succeeded(download(server, model))
    assert events.end_of(model) == ("download_finished", None)
    assert f"{name}:Q4_K_XL" in server.models()
    assert f"'{name}:Q4_K_XL' already exists" in is_json_error(download(server, model), 400)
    events.close()


def test_a_mistake_in_the_presets_is_no_failure_of_a_download(hostler, hub, repo, tmp_path):
    preset = tmp_path / "presets.ini"
    preset.write_text("", encoding="ascii")
    server = start(hostler, hub, "--models-preset", preset)
    preset.write_text("[nothing\n", encoding="ascii")
    name = repo()
    events = Told(server)
    assert succeeded(download(server, name))
    assert events.end_of(name) == ("download_finished", None)
    assert f"download of {name}: it is not listed yet" in server.log()
    preset.write_text("", encoding="ascii")
    server.get("/models?reload=1")
    assert f"{name}:Q4_K_M" in server.models()


def test_what_is_there_already(server, hub, repo):
    name = repo()
    model = put(server, name)
    for same in (model, f"{name}:q4_k_m"):
        assert "already exists" in is_json_error(download(server, same), 400)
    events = Told(server)
    assert succeeded(download(server, name))
    assert events.end_of(name) == ("download_finished", None)
    assert not [r for r in hub.requests if name in r["path"] and r["method"] == "GET"
                and r["path"].endswith(FILE)]
    events.close()


def test_two_at_once(server, repo):
    names = [repo(**SLOW) for _ in range(2)]
    events = [Told(server) for _ in names]
    for name, e in zip(names, events):
        coming(server, e, name)
    assert all(server.state(name) == "downloading" for name in names)
    assert "being downloaded" in is_json_error(download(server, names[0]), 400)
    assert len(download_pids(server)) == 2
    assert succeeded(delete(server, names[0]))
    assert events[0].end_of(names[0])[0] == "download_failed"
    assert server.state(names[1]) == "downloading"
    assert events[1].end_of(names[1]) == ("download_finished", None)
    for e in events:
        e.close()


def test_more_than_four_at_once(hostler, hub, repo):
    names = [repo(hang="refs") for _ in range(5)]
    server = start(hostler, hub)
    for name in names[:4]:
        assert succeeded(download(server, name))
    answer = download(server, names[4])
    assert "4 downloads are under way" in is_json_error(answer, 429)
    assert len(download_pids(server)) == 4
    assert succeeded(delete(server, names[0]))
    until(lambda: names[0] not in server.models(), what="the cancelled one's end")
    assert succeeded(download(server, names[4]))


@pytest.mark.parametrize("wrong", ["", "x", "u/", "/m", "u/m:", "u/m:a/b", "../m", "u/..", "u/m m",
                                   "u/m\n", "u/m/x", "u/" + "m" * 300, 1, None])
def test_what_names_no_repository(server, wrong):
    assert "USER/REPO" in is_json_error(download(server, wrong), 400)
    assert download_pids(server) == []


def test_a_download_needs_a_key(hostler, hub):
    server = start(hostler, hub, "--api-key", "k")
    is_json_error(download(server, "u/m"), 401)
    is_json_error(delete(server, "u/m"), 401)


# --- in vain ---------------------------------------------------------------------------------------

def test_no_such_repository(server):
    events = Told(server)
    assert succeeded(download(server, "u/nothing"))
    event, data = events.end_of("u/nothing")
    assert event == "download_failed" and "no such repository" in data["message"]
    assert data["error"] == {"message": data["message"]}
    assert "u/nothing" not in server.models()
    events.close()


def test_no_such_tag(server, repo):
    model = repo() + ":Q8_0"
    events = Told(server)
    assert succeeded(download(server, model))
    event, data = events.end_of(model)
    assert event == "download_failed" and "that tag" in data["message"]
    events.close()


def test_a_file_that_is_refused(server, repo):
    name = repo(file_status=403)
    events = Told(server)
    assert succeeded(download(server, name))
    event, data = events.end_of(name)
    assert event == "download_failed" and "could not fetch" in data["message"]
    assert "403" in data["message"], "the reason stands in llama-server's log"
    events.close()


def test_the_engine_cannot_be_started(hostler, hub, engine, tmp_path):
    copy = tmp_path / "llama-server"
    copy.write_text(f'#!/bin/sh\nexec {engine} "$@"\n', encoding="ascii")
    copy.chmod(0o755)
    server = hostler(engine=copy)
    copy.unlink()
    message = is_json_error(download(server, "u/m"), 500)
    assert str(copy) in message and "No such file" in message
    assert server.models() == {}


# --- tokens ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("way", ["environment", "option", "preset"])
def test_a_token_is_seen_by_the_download_alone(hostler, hub, repo, tmp_path, way):
    name = repo(token=TOKEN, rate=500_000)
    preset = tmp_path / "presets.ini"
    preset.write_text(f"[*]\nhf-token = {TOKEN}\n" if way == "preset" else "", encoding="ascii")
    option = ["--hf-token", TOKEN] if way == "option" else []
    env = {"HF_TOKEN": TOKEN} if way == "environment" else {}
    server = start(hostler, hub, "--models-preset", preset, *option, **env)
    events = Told(server)
    coming(server, events, name)
    process = pathlib.Path(f"/proc/{download_pids(server)[0]}")
    assert f"HF_TOKEN={TOKEN}".encode() in (process / "environ").read_bytes().split(b"\0")
    assert TOKEN.encode() not in (process / "cmdline").read_bytes()
    assert events.end_of(name) == ("download_finished", None)
    model = f"{name}:Q4_K_M"
    if way == "environment":
        engine = pathlib.Path(f"/proc/{load(server, model)[model]}")
        assert TOKEN.encode() not in (engine / "environ").read_bytes()
    assert TOKEN not in server.log()
    assert TOKEN.encode() not in server.get("/models").body


def test_without_the_token(hostler, hub, repo):
    name = repo(token=TOKEN)
    server = start(hostler, hub)
    events = Told(server)
    assert succeeded(download(server, name))
    event, data = events.end_of(name)
    assert event == "download_failed" and "HF_TOKEN" in data["message"]


# --- cancelling ------------------------------------------------------------------------------------

@pytest.mark.parametrize("how", ["unload", "DELETE"])
def test_a_cancel(server, repo, how):
    name = repo(**SLOW)
    events = Told(server)
    coming(server, events, name)
    pid, = download_pids(server)
    answer = (delete(server, name) if how == "DELETE"
              else server.post("/models/unload", {"model": name}))
    assert succeeded(answer)
    assert events.end_of(name) == ("download_failed", CANCELLED)
    assert name not in server.models() and not alive(pid)
    assert not files_of(server, name)
    is_json_error(delete(server, name), 404)
    events.close()


@pytest.mark.parametrize("how", ["unload", "DELETE"])
def test_a_cancel_that_comes_too_late(hostler, hub, repo, tmp_path, how):
    preset = tmp_path / "presets.ini"
    preset.write_text("", encoding="ascii")
    server = start(hostler, hub, "--models-preset", preset)
    preset.unlink()
    os.mkfifo(preset)  # a reading of the sources waits until somebody writes into it
    name = repo()
    assert succeeded(download(server, name))
    until(lambda: server.state(name) == "downloaded", what="the files")
    answer = (delete(server, name) if how == "DELETE"
              else server.post("/models/unload", {"model": name}))
    assert f"the download of '{name}' is over" in is_json_error(answer, 409)
    preset.write_text("", encoding="ascii")
    until(lambda: f"{name}:Q4_K_M" in server.models(), what="the model")


@pytest.mark.parametrize("kind", ["refs", "tree", "head", "get"])
def test_a_hub_that_hangs_is_cancelled(server, hub, repo, kind):
    name = repo(hang=kind)
    events = Told(server)
    assert succeeded(download(server, name))
    until(lambda: [r for r in hub.requests if name in r["path"] and is_kind(r, kind)],
          what="the request that is not answered")
    pid, = download_pids(server)
    assert succeeded(delete(server, name))
    assert events.end_of(name) == ("download_failed", CANCELLED)
    assert not alive(pid)
    events.close()


def is_kind(request, kind):
    if kind in ("refs", "tree"):
        return f"/{kind}" in request["path"]
    return request["method"] == kind.upper() and "/resolve/" in request["path"]


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_the_daemon_ends(hostler, hub, repo, signum):
    name = repo(**SLOW)
    server = start(hostler, hub)
    coming(server, Told(server), name)
    pid, = download_pids(server)
    server.process.send_signal(signum)
    assert server.process.wait(PATIENCE) == (0 if signum == signal.SIGTERM else -signum)
    until(lambda: not alive(pid), what="the end of the download")


# --- deleting --------------------------------------------------------------------------------------

def test_delete_of_one_that_is_not_loaded(server, repo):
    name = repo()
    model = put(server, name)
    events = Told(server)
    assert succeeded(delete(server, model))
    assert model not in server.models() and not files_of(server, name)
    assert events.next() == ("*", "models_reload", None)
    assert events.next() == (model, "model_remove", None)
    is_json_error(delete(server, model), 404)
    events.close()


def test_delete_of_one_that_is_loaded(server, repo):
    name = repo()
    model = put(server, name)
    pid = load(server, model)[model]
    events = Told(server)
    assert succeeded(delete(server, model))
    assert not alive(pid) and not files_of(server, name)
    assert events.of(model) == ("status_change", {"status": "unloaded", "exit_code": 0,
                                                  "reason": "unloaded"})
    assert events.of(model) == ("model_remove", None)
    assert is_json_error(server.tokenize(model), 400).startswith(f"model '{model}' not found")
    events.close()


@contextlib.contextmanager
def busy(server, model):
    """Its engine has a request, and stands still."""
    with Frozen(server, model):
        request = background(server.post, "/v1/chat/completions", chat(model, max_tokens=5))
        until(lambda: server.engines()[model]["requests"] == 1, what="the request")
        yield request


def test_delete_of_one_that_is_busy(hostler, hub, repo):
    server = start(hostler, hub, "--drain-timeout", "100ms")
    name = repo()
    model = put(server, name)
    with busy(server, model) as request:
        message = is_json_error(delete(server, model), 409)
        assert "busy" in message and "force" in message
    assert request.result(PATIENCE).status == 200
    assert server.state(model) == "loaded" and len(files_of(server, name)) == 2
    assert server.tokenize(model).status == 200
    assert succeeded(delete(server, model))


def test_delete_waits_for_a_request_that_ends_in_time(server, repo):
    model = put(server, repo())
    with busy(server, model) as request:
        answer = background(delete, server, model)
        until(lambda: server.engines()[model]["state"] == "draining", what="the drain")
    assert request.result(PATIENCE).status == 200
    assert succeeded(answer.result(PATIENCE))
    assert model not in server.models()


def test_delete_lets_no_request_start_the_engine_again(server, repo):
    model = put(server, repo())
    with busy(server, model) as request:
        answer = background(delete, server, model)
        until(lambda: server.engines()[model]["state"] == "draining", what="the drain")
        late = background(server.tokenize, model)
        until(lambda: late.done() or model in server.queue(), what="the late request")
    assert request.result(PATIENCE).status == 200
    assert succeeded(answer.result(PATIENCE))
    assert "it is to be deleted" in is_json_error(late.result(PATIENCE), 503)
    assert late.result().error["state"] == "held"


def test_delete_leaves_no_hold(server, repo):
    name = repo()
    model = put(server, name)
    assert succeeded(delete(server, model))
    assert succeeded(download(server, name))
    until(lambda: model in server.models(), what="the model")
    assert server.tokenize(model).status == 200


def test_delete_leaves_an_operators_hold(hostler, hub, repo):
    server = start(hostler, hub, "--drain-timeout", "100ms")
    model = put(server, repo())
    with busy(server, model):
        server.post("/models/hold", {"model": model, "reason": "mine"})
        is_json_error(delete(server, model), 409)
    (held,) = server.get("/hostler/v1/status").json["holds"]
    assert (held["model"], held["reason"]) == (model, "mine")


def test_delete_goes_on_without_its_client(server, repo):
    name = repo()
    model = put(server, name)
    with busy(server, model):
        with Wire(server) as wire:
            wire.ask("DELETE", f"/models?model={model}")
            until(lambda: server.engines()[model]["state"] == "draining", what="the drain")
    until(lambda: model not in server.models(), what="the model's end")
    assert not files_of(server, name)


def test_the_daemon_ends_while_it_deletes(hostler, hub, repo):
    server = start(hostler, hub)
    name = repo()
    model = put(server, name)
    with busy(server, model):
        answer = background(delete, server, model)
        until(lambda: server.engines()[model]["state"] == "draining", what="the drain")
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in server.log(), what="the end's beginning")
    assert succeeded(answer.result(PATIENCE))
    assert server.stop() == 0 and not files_of(server, name)


def test_the_daemon_waits_for_a_delete_that_begins_at_its_end(hostler, hub, repo, tmp_path):
    preset = tmp_path / "presets.ini"
    preset.write_text("", encoding="ascii")
    server = start(hostler, hub, "--models-preset", preset)
    name = repo()
    model = put(server, name)
    preset.unlink()
    os.mkfifo(preset)  # a reading of the sources waits until somebody writes into it
    with Wire(server) as wire:
        wire.send(f"DELETE /models?model={model} HTTP/1.1\r\n".encode())
        server.get("/health")  # what was sent before has been read by now
        server.process.send_signal(signal.SIGTERM)
        until(lambda: "all engines are gone" in server.log(), what="the engines' end")
        wire.send(b"Host: localhost\r\n\r\n")
        until(lambda: "was deleted" in server.log(), what="the files' end")
    with pytest.raises(subprocess.TimeoutExpired):
        server.process.wait(0.3)
    preset.write_text("", encoding="ascii")
    assert server.process.wait(PATIENCE) == 0 and not files_of(server, name)


def test_delete_of_what_a_section_names(hostler, hub, repo, tmp_path):
    preset = tmp_path / "presets.ini"
    preset.write_text("", encoding="ascii")
    server = start(hostler, hub, "--models-preset", preset)
    name = repo()
    model = put(server, name)
    preset.write_text(f"[{model}]\nalias = mine\n", encoding="ascii")
    server.get("/models?reload=1")
    assert "already exists" in is_json_error(download(server, "mine"), 400)
    for either in ("mine", model):
        assert is_json_error(delete(server, either), 400) == \
            f"model '{model}' cannot be deleted: a section of the presets names it: take that out first"
    preset.write_text("", encoding="ascii")
    server.get("/models?reload=1")
    assert succeeded(delete(server, model)) and not files_of(server, name)


def test_delete_of_what_is_not_from_the_cache(hostler, hub, models):
    server = start(hostler, hub, "--models-dir", models)
    message = is_json_error(delete(server, "m1"), 400)
    assert message == "model 'm1' cannot be deleted: it is from --models-dir, not from the cache"
    assert (models / "m1.gguf").exists()


def test_delete_of_what_is_not_there(server, repo):
    model = put(server, repo())
    assert is_json_error(delete(server, model[:-1]), 404).endswith(f"did you mean '{model}'?")
    for target in ("/models", "/models?model="):
        assert "?model=" in is_json_error(server.request("DELETE", target), 400)


def test_two_deletes_at_once(server, repo):
    name = repo()
    model = put(server, name)
    with busy(server, model):
        answers = [background(delete, server, model) for _ in range(2)]
        until(lambda: server.engines()[model]["state"] == "draining", what="the drain")
    statuses = sorted(a.result(PATIENCE).status for a in answers)
    assert statuses in ([200, 200], [200, 404])  # as either has removed some of it, or one has all
    assert not files_of(server, name)


def test_a_model_that_a_section_awaits(hostler, hub, repo, tmp_path):
    """It is listed as missing, and once while it comes; then it runs as the section says."""
    name = repo(**SLOW)
    model, preset = f"{name}:Q4_K_M", tmp_path / "p.ini"
    preset.write_text(f"[{name}:UD-q4_k_m]\nctx-size = 512\n", encoding="utf-8")
    server = start(hostler, hub, "--models-preset", preset)
    assert server.models()[model]["status"]["reason"] == "missing"
    with contextlib.closing(Told(server)) as told:
        assert succeeded(download(server, f"{name}:q4_k_m"))
        listed = [m["id"] for m in server.get("/models").json["data"]]
        assert len(listed) == 1, listed
        assert told.end_of(f"{name}:q4_k_m")[0] == "download_finished"
    until(lambda: "reason" not in server.models()[model]["status"])
    assert server.tokenize(model).status == 200
    assert server.models()[model]["meta"]["n_ctx"] == 512
    assert server.post("/models", {"model": f"{name}:UD-Q4_K_M"}).status == 400  # it is there
