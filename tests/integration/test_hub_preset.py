# SPDX-License-Identifier: MIT
"""`serve -hf USER/REPO` of a repository that holds a preset.ini: a router of its sections."""
import json
import threading

import pytest

import tiny_model
from conftest import PATIENCE, until
from fake_hub import Hub, commit_of

PRESET = "version = 1\n[*]\nctx-size = 512\n[small]\nhf-repo = u/m:Q4_K_M\nalias = default\n[other]\nhf-repo = u/m\nctx-size = 256\n"


@pytest.fixture
def hub(tmp_path):
    server = Hub(tmp_path / "hub")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (server.root / "u/m").mkdir(parents=True)
    tiny_model.make(str(server.root / "u/m/m-Q4_K_M.gguf"))
    yield server
    server.shutdown()


@pytest.fixture
def put(hub):
    """put(repo, text, fake={…}): a repository of that preset.ini, which misbehaves like that."""
    def make(repo, text=PRESET, **fake):
        folder = hub.root / repo
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "preset.ini").write_text(text, encoding="utf-8")
        folder.with_name(folder.name + ".fake").write_text(json.dumps(fake), encoding="ascii")
        return folder
    return make


@pytest.fixture
def start(hostler, hub):
    def call(*args, endpoint=None, **env):
        return hostler("--threads", "1", *args, env={"HF_ENDPOINT": endpoint or hub.url, **env})
    return call


def mode(server):
    return server.get("/hostler/v1/status").json["mode"]


@pytest.mark.parametrize("name", ["u/p", "u/p:Q4_K_M"])
def test_a_router_of_its_sections(start, put, tmp_path, name):
    put("u/p")
    server = start("-hf", name, "--temp", "0.5")
    assert mode(server) == "router" and list(server.models()) == ["other", "small"]
    args = server.models()["small"]["status"]["args"]
    assert args[args.index("--hf-repo") + 1] == "u/m:Q4_K_M" and args[args.index("--temperature") + 1] == "0.5"
    assert server.tokenize("default").status == 200  # fetched when it is needed
    assert server.models()["small"]["meta"]["n_ctx"] == 512
    assert server.tokenize("other").status == 200
    assert server.models()["other"]["meta"]["n_ctx"] == 256
    assert "presets of the repository u/p" in server.log() and "trust" in server.log()
    snapshot = tmp_path / "cache/models--u--p/snapshots" / commit_of("u/p")
    assert (snapshot / "preset.ini").read_text(encoding="utf-8") == PRESET


def test_by_the_environment(start, put):
    put("u/p")
    assert mode(start(LLAMA_ARG_HF_REPO="u/p")) == "router"


def test_beside_a_folder_and_a_model(start, put, hub, models):
    """A repository that holds both is one of presets, as for llama-server."""
    tiny_model.make(str(put("u/both") / "b-Q4_K_M.gguf"))
    server = start("-hf", "u/both", "--models-dir", models)
    assert list(server.models()) == ["m1", "m2", "m3", "m4", "other", "small"]
    assert not any("b-Q4_K_M" in r["path"] for r in hub.requests)


def test_without_a_hub_the_cache_has_it(start, put):
    put("u/p")
    assert mode(start("-hf", "u/p")) == "router"
    assert mode(start("-hf", "u/p", "--offline", endpoint="http://127.0.0.1:1/")) == "router"
    server = start("-hf", "u/p", endpoint="http://127.0.0.1:1/")
    assert mode(server) == "router" and "cannot ask the hub whether u/p holds presets" in server.log()


def test_a_repository_without_presets_is_one_model(start):
    server = start("-hf", "u/m")
    until(lambda: server.get("/health").status == 200, PATIENCE)
    assert mode(server) == "classic"


def test_a_repository_for_who_has_a_token(start, put):
    token = "hf_" + "s" * 34
    put("u/secret", token=token)
    assert mode(start("-hf", "u/secret", HF_TOKEN=token)) == "router"


def test_what_presets_of_others_may_not_do(start, put, tmp_path):
    """They say which models there are, not what runs on this machine."""
    put("u/p", PRESET + f"env = LD_PRELOAD={tmp_path}/x.so\ntools = all\n")
    server = start("-hf", "u/p")
    args = server.models()["other"]["status"]["args"]
    assert "--tools" not in args
    assert "line 10: env does not count" in server.log() and "line 11: tools does not count" in server.log()
    assert "LD_PRELOAD" not in json.dumps(server.get("/hostler/v1/show?model=other").json)


def test_only_what_is_harmless_counts(start, put, tmp_path):
    """Files, addresses and keys of presets that somebody else wrote reach no engine, by whatever name of the option."""
    evil = {"log-file": tmp_path / "written", "LLAMA_ARG_SLOT_SAVE_PATH": tmp_path, "media-path": "/", "path": "/", "rpc": "h:1",
            "m": "/any/path", "md": "/any/path", "lora": "/any/path", "grammar-file": "/any/path", "model-url": "http://h/x.gguf",
            "api-key": "k", "hf-token": "k", "lookup-cache-dynamic": tmp_path / "written", "props": "on", "memory": "host=1M"}
    good = {"spec-draft-hf": "u/m", "temp": "0.5", "c": "256", "ngl": "0", "fa": "off", "ctk": "f16", "chat-template": "chatml",
            "no-jinja": "on", "np": "1", "ttl": "5m"}
    put("u/p", "".join(f"{key} = {value}\n" for key, value in
                       [("[evil]\nhf-repo", "u/m"), *evil.items(), ("[good]\nhf-repo", "u/m"), *good.items()]))
    server = start("-hf", "u/p")
    args = {name: " ".join(model["status"]["args"]) for name, model in server.models().items()}
    assert not any(str(value) in args["evil"].split() for value in evil.values())
    assert all(f": {key} does not count" in server.log() for key in evil)
    assert "--no-jinja" in args["good"] and "--chat-template chatml" in args["good"]
    assert not any(f": {key} does not count" in server.log() for key in good)
    assert server.tokenize("evil").status == 200 and not (tmp_path / "written").exists()


def test_a_mistake_in_it(hostler, hub, put):
    put("u/p", "[a]\nctx-sise = 1\n")
    server = hostler("-hf", "u/p", env={"HF_ENDPOINT": hub.url}, wait=False)
    assert server.process.wait(PATIENCE) != 0 and "preset.ini: line 2: ctx-sise" in server.log()


def test_on_a_machine_without_a_cache(start, put, tmp_path):
    """None of ~/.cache/huggingface/hub is there yet."""
    put("u/p")
    home = tmp_path / "home"
    home.mkdir()
    server = start("-hf", "u/p", HOME=str(home), LLAMA_CACHE="", XDG_CACHE_HOME="")
    assert mode(server) == "router"
    repo = home / ".cache/huggingface/hub/models--u--p"
    assert (repo / "refs/main").read_text(encoding="ascii") == commit_of("u/p")
    assert (repo / "snapshots" / commit_of("u/p") / "preset.ini").read_text(encoding="utf-8") == PRESET


def test_a_cache_that_cannot_be_written_is_told(start, put, tmp_path):
    put("u/p")
    (tmp_path / "link").symlink_to(tmp_path / "away")
    server = start("-hf", "u/p", LLAMA_CACHE=str(tmp_path / "link"))
    assert "cannot write into" in server.log()


def test_cached_models_of_the_repository_stay(start, put, tmp_path):
    """The ref stays at the commit whose snapshot holds them; the presets are found there without the hub."""
    put("u/both")
    old, repo = "a" * 40, tmp_path / "cache/models--u--both"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs/main").write_text(old, encoding="ascii")
    (repo / "snapshots" / old).mkdir(parents=True)
    tiny_model.make(str(repo / "snapshots" / old / "b-Q4_K_M.gguf"))
    for more in [], ["--offline"]:
        assert list(start("-hf", "u/both", *more).models()) == ["other", "small", "u/both:Q4_K_M"]
    assert (repo / "refs/main").read_text(encoding="ascii") == old


def test_one_deadline_for_all_answers(start, put):
    """Each comes in time, all together do not."""
    put("u/p", delay=4)
    server = start("-hf", "u/p")
    assert "cannot ask the hub whether u/p holds presets" in server.log() and mode(server) == "classic"
