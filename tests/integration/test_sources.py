# SPDX-License-Identifier: MIT
"""Model files that come, go and change while the daemon runs, by themselves: nobody tells it."""
import contextlib
import json
import os
import pathlib
import shutil
import time

import pytest

import tiny_model
from background import background
from conftest import PATIENCE, run_cli, until
from hub_cache import put
from wire import open_stream, read_events


@pytest.fixture
def folder(tmp_path, models):
    path = tmp_path / "models"
    path.mkdir()
    os.link(models / "m1.gguf", path / "m1.gguf")
    return path


@pytest.fixture
def server(hostler, folder):
    return hostler("--models-dir", folder)


def appears(server, model):
    until(lambda: model in server.models(), what=f"the appearance of {model}")


def vanishes(server, model):
    until(lambda: model not in server.models(), what=f"the end of {model}")


def is_missing(server, model):
    return server.models()[model]["status"].get("reason") == "missing"


def test_a_file_that_appears(server, folder, models):
    os.link(models / "m2.gguf", folder / "linked.gguf")
    shutil.copy(models / "m3.gguf", folder / "copied.gguf")
    appears(server, "linked")
    appears(server, "copied")
    assert server.tokenize("linked").status == server.tokenize("copied").status == 200


def test_what_is_left_out_is_told_once(server, folder, models):
    (folder / "nowhere.gguf").symlink_to("/nonexistent")
    os.mkfifo(folder / "fifo.gguf")
    for name in ("n1", "n2", "n3"):
        shutil.copy(models / "m1.gguf", folder / f"{name}.gguf")
        appears(server, name)
        assert server.get("/models?reload=1").status == 200
    for name in ("nowhere", "fifo"):
        assert server.log().count(f"{name}.gguf is left out: ") == 1


def test_models_that_lie_too_deep_are_told_once(hostler, folder, models, tmp_path):
    """Other programs store files so; a section serves one of them."""
    for name in ("u/r/a.gguf", "u/s/b.gguf", "v/r/c.gguf"):
        (folder / name).parent.mkdir(parents=True)
        shutil.copy(models / "m1.gguf", folder / name)
    preset = tmp_path / "p.ini"
    preset.write_text(f"[c]\nmodel = {folder}/v/r/c.gguf\n", encoding="utf-8")
    server = hostler("--models-dir", folder, "--models-preset", preset)
    note = f"{folder}/u/r/a.gguf is not listed, because it lies deeper than one folder below {folder}: give --models-dir {folder}/u,"
    assert note in server.log() and server.log().count("deeper than one folder") == 1
    assert server.get("/models?reload=1").status == 200
    assert server.log().count("deeper than one folder") == 1
    report = json.loads(run_cli("doctor", "--json", server=server).stdout)
    found = [f for f in report["findings"] if "deeper than" in f["what"]]
    assert [(f["level"], f["what"].startswith(note)) for f in found] == [("note", True)]


def test_a_file_is_left_alone_until_its_writer_is_done(server, folder, models):
    data = (models / "m2.gguf").read_bytes()
    step = len(data) // 10
    with open(folder / "slow.gguf", "wb", buffering=0) as file:
        for at in range(0, len(data), step):
            file.write(data[at:at + step])
            rests = time.monotonic() + 0.5  # a slow writer; each look meanwhile must find nothing
            while time.monotonic() < rests:
                assert "slow" not in server.models()
    appears(server, "slow")
    assert server.tokenize("slow").status == 200
    assert "failed" not in server.models()["slow"]["status"]
    assert "model slow:" not in server.log()  # it was never taken for broken


def test_what_is_downloaded_beside_and_renamed(server, folder, models):
    part = folder / "new.gguf.part"
    shutil.copy(models / "m2.gguf", part)
    os.utime(part, (1_600_000_000, 1_600_000_000))
    part.rename(folder / "new.gguf")
    appears(server, "new")
    assert server.tokenize("new").status == 200


def test_a_file_that_is_deleted(server, folder):
    until(lambda: "context_length" in server.models()["m1"])
    (folder / "m1.gguf").unlink()
    vanishes(server, "m1")
    assert server.tokenize("m1").status in (400, 404)


def test_the_engine_of_a_deleted_file_finishes(server, folder):
    tiny_model.make(str(folder / "slow.gguf"), pad_mb=60)
    appears(server, "slow")
    connection, response = open_stream(server, "slow", max_tokens=150, ignore_eos=True)
    read_events(response, 2)
    pid = server.engines()["slow"]["pid"]
    (folder / "slow.gguf").unlink()
    vanishes(server, "slow")
    assert pathlib.Path(f"/proc/{pid}").exists()
    assert [text for _, text in read_events(response)][-1] == "[DONE]"
    connection.close()
    until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), what="the engine's end")


def test_a_deleted_file_under_a_section(hostler, folder, models, tmp_path):
    """It is no mistake in the presets: others must go on to come and go."""
    preset = tmp_path / "p.ini"
    preset.write_text("[m1]\nalias = one\nc = 512\n", encoding="utf-8")
    server = hostler("--models-dir", folder, "--models-preset", preset)
    (folder / "m1.gguf").unlink()
    until(lambda: is_missing(server, "m1"))
    os.link(models / "m2.gguf", folder / "one.gguf")  # even with a name that was an alias
    appears(server, "one")
    os.link(models / "m1.gguf", folder / "m1.gguf")
    until(lambda: not is_missing(server, "m1"))
    assert "--ctx-size" in server.models()["m1"]["status"]["args"]
    assert "stay as they were" not in server.log()


def test_a_folder_that_appears(server, folder, models):
    """Also what is put into it just when it is found."""
    for i in range(10):
        sub = folder / f"sub{i}"
        sub.mkdir()
        shutil.copy(models / "m2.gguf", sub / "model.gguf")
    for i in range(10):
        appears(server, f"sub{i}")
    shutil.copy(models / "m3.gguf", folder / "sub0" / "another.gguf")  # before it, by name
    until(lambda: any(a.endswith("another.gguf") for a in server.models()["sub0"]["status"]["args"]))
    tiny_model.make_mmproj(str(folder / "sub1" / "mmproj.gguf"))
    until(lambda: "image" in server.models()["sub1"]["architecture"]["input_modalities"])
    shutil.rmtree(folder / "sub2")
    vanishes(server, "sub2")
    (folder / "sub3").rename(folder / "other3")
    appears(server, "other3")
    assert "sub3" not in server.models()
    (folder / "sub3").mkdir()
    shutil.copy(models / "m2.gguf", folder / "sub3" / "model.gguf")
    appears(server, "sub3")


def problem_of(server):
    return server.get("/hostler/v1/status").json["problem"]


def test_the_folder_is_away_for_a_while(server, folder, models):
    """Nothing tells of its return: it is looked for, and watched anew with all that is below it."""
    (folder / "sub").mkdir()
    shutil.copy(models / "m2.gguf", folder / "sub" / "model.gguf")
    appears(server, "sub")
    away = folder.rename(folder.parent / "away")
    until(lambda: problem_of(server), what="the problem")
    assert server.get("/models?reload=1").status == 500  # which is no mistake that stands, either
    assert "m1" in server.models()
    shutil.copytree(away, folder)  # of the same names, but not the same folders
    until(lambda: not problem_of(server), what="the end of the problem")
    os.link(models / "m3.gguf", folder / "new.gguf")
    appears(server, "new")
    shutil.copy(models / "m3.gguf", folder / "sub" / "another.gguf")
    until(lambda: any(a.endswith("another.gguf")
                      for a in server.models()["sub"]["status"]["args"]))
    assert server.log().count("stay as they were") <= 2  # one look's, one asker's


def test_the_folder_is_removed_and_made_again(server, folder, models):
    shutil.rmtree(folder)
    until(lambda: problem_of(server), what="the problem")
    folder.mkdir()
    os.link(models / "m2.gguf", folder / "m2.gguf")
    appears(server, "m2")
    assert problem_of(server) is None


def test_a_file_that_changes_in_place(server, folder):
    path = folder / "m.gguf"
    tiny_model.make(str(path), n_ctx_train=1024)
    appears(server, "m")
    assert server.tokenize("m").status == 200
    old = server.engines()["m"]["pid"]
    path.unlink()  # the engine has the old one mapped: written over, it would crash
    tiny_model.make(str(path), seed=2, n_ctx_train=512)
    until(lambda: server.models().get("m", {}).get("context_length") == 512)
    until(lambda: not pathlib.Path(f"/proc/{old}").exists(), what="the old engine's end")
    assert server.tokenize("m").status == 200
    assert server.models()["m"]["meta"]["n_ctx_train"] == 512
    tiny_model.make(str(path), seed=3, n_ctx_train=2048)  # over it; nobody is asked in between
    until(lambda: server.models().get("m", {}).get("context_length") == 2048)


def test_a_thousand_files_at_once(server, folder, models):
    ready = folder.parent / "ready"
    ready.mkdir()
    for i in range(1000):
        shutil.copy(models / "m2.gguf", ready / f"x{i}.gguf")
    begun = time.monotonic()
    for i in range(1000):
        (ready / f"x{i}.gguf").rename(folder / f"x{i}.gguf")
    longest = 0
    while len(server.models()) < 1001:
        before = time.monotonic()
        assert server.get("/health").status == 200
        longest = max(longest, time.monotonic() - before)
        assert before - begun < PATIENCE
    until(lambda: all("context_length" in m for m in server.models().values()), what="the headers")
    assert longest < 2
    assert server.tokenize("x999").status == 200


def inotify_watches(server):
    watches = 0
    for info in pathlib.Path(f"/proc/{server.pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed since the folder was listed
            watches += info.read_text(encoding="ascii").count("inotify wd:")
    return watches


def test_folders_that_come_and_go_leave_no_watch(server, folder, models):
    before = inotify_watches(server)
    for i in range(20):
        sub = folder / f"s{i}"
        sub.mkdir()
        os.link(models / "m2.gguf", sub / "m.gguf")
    appears(server, "s19")
    until(lambda: inotify_watches(server) == before + 20)
    for i in range(20):
        shutil.rmtree(folder / f"s{i}")
    vanishes(server, "s19")
    assert inotify_watches(server) == before


def test_requests_go_on_while_files_come_and_go(server, folder, models):
    def serve():
        return [server.tokenize("m1").status for _ in range(100)]
    served = background(serve)
    for i in range(50):
        os.link(models / "m2.gguf", folder / f"y{i}.gguf")
        (folder / f"y{i - 1}.gguf").unlink(missing_ok=True)
    assert served.result(PATIENCE) == [200] * 100
    appears(server, "y49")
    assert list(server.engines()) == ["m1"]


# --- models that are not there yet --------------------------------------------------------------------

@pytest.fixture
def partly(hostler, folder, tmp_path):
    """A daemon with presets of which some models are not there."""
    preset = tmp_path / "p.ini"
    preset.write_text("[m1]\nctx-size = 256\n[u/gone:UD-Q4_K_M]\nctx-size = 512\nalias = later\n[lost]\nctx-size = 768\n"
                      f"[far]\nmodel = {tmp_path}/mount/deep/far.gguf\n[*]\nload-on-startup = false\n", encoding="utf-8")
    return hostler("--models-dir", folder, "--models-preset", preset)


def test_models_that_are_not_there(partly, cli):
    server = partly
    assert list(server.models()) == ["far", "lost", "m1", "u/gone:Q4_K_M"]
    assert server.tokenize("m1").status == 200
    for name in ("u/gone:Q4_K_M", "u/gone:UD-Q4_K_M", "later", "lost"):
        answer = server.tokenize(name)
        assert answer.status == 404 and "line " in answer.error["message"], answer.body
        assert server.post("/models/load", {"model": name}).status == 404
    assert server.models()["u/gone:Q4_K_M"]["status"]["value"] == "unloaded"
    assert is_missing(server, "lost") and is_missing(server, "u/gone:Q4_K_M")
    answer = server.tokenize("far")  # no engine is started, and nobody evicted, for a file that is not there
    assert answer.status == 404 and "far.gguf" in answer.error["message"], answer.body
    assert is_missing(server, "far")
    assert server.get("/models?reload=1").status == 200
    assert server.post("/models/pin", {"model": "lost"}).status == 200
    assert "missing" in cli("list", server=server).stdout
    assert server.loaded() == ["m1"]


def test_models_that_come_late(partly, folder, models, tmp_path):
    server = partly
    server.post("/models/hold", {"model": "u/gone:Q4_K_M"})
    os.link(models / "m2.gguf", folder / "lost.gguf")
    put(tmp_path / "cache", "u/gone", "x-UD-Q4_K_M.gguf")
    (tmp_path / "mount" / "deep").mkdir(parents=True)
    shutil.copy(models / "m3.gguf", tmp_path / "mount" / "deep" / "far.gguf")
    for name in ("lost", "far", "u/gone:Q4_K_M"):
        until(lambda name=name: "failed" not in server.models()[name]["status"], what=f"the appearance of {name}")
    assert server.tokenize("later").status == 503  # held before it came
    server.post("/models/release", {"model": "later"})
    for name, context in {"lost": 768, "u/gone:Q4_K_M": 512, "far": None}.items():
        assert server.tokenize(name).status == 200
        assert context in (None, server.models()[name]["meta"]["n_ctx"])


def test_a_key_that_is_wrong_is_an_error_beside_a_missing_model(hostler, folder, tmp_path):
    preset = tmp_path / "p.ini"
    preset.write_text("[gone]\nctx-size = 512\n[m1]\nctx-sise = 1\n", encoding="utf-8")
    server = hostler("--models-dir", folder, "--models-preset", preset, wait=False)
    assert server.process.wait(PATIENCE) != 0 and "line 4: ctx-sise" in server.log()


# --- links that are pointed elsewhere -----------------------------------------------------------------

def point(link, target):
    """As `ln -sfn` does."""
    new = link.with_name(link.name + ".new")
    new.symlink_to(target)
    new.rename(link)


@pytest.fixture
def releases(tmp_path, models):
    """Folders `one` with a model m1 and `two` with m2."""
    for name, file in {"one": "m1", "two": "m2"}.items():
        (tmp_path / name / "below").mkdir(parents=True)
        shutil.copy(models / f"{file}.gguf", tmp_path / name / f"{file}.gguf")
        shutil.copy(models / f"{file}.gguf", tmp_path / name / "below" / f"{file}.gguf")
    return tmp_path


def lists(server, *names):
    until(lambda: list(server.models()) == list(names), what=f"the list {names}, which is {list(server.models())}")


def test_the_folder_is_a_link(hostler, releases):
    link = releases / "current"
    link.symlink_to("one")
    server = hostler("--models-dir", link)
    lists(server, "below", "m1")
    for target, model in [(releases / "two", "m2"), ("one", "m1"), ("two", "m2")]:
        point(link, target)
        lists(server, "below", model)
    shutil.copy(releases / "one" / "m1.gguf", releases / "two" / "m3.gguf")
    lists(server, "below", "m2", "m3")


def test_a_link_on_the_way_to_the_folder(hostler, releases):
    (releases / "hop").symlink_to(releases / "one")
    (releases / "current").symlink_to("hop")
    server = hostler("--models-dir", releases / "current")
    lists(server, "below", "m1")
    point(releases / "hop", "two")
    lists(server, "below", "m2")


def test_a_folder_on_the_way_is_exchanged(hostler, tmp_path, models):
    for name, file in {"a": "m1", "b": "m2"}.items():
        (tmp_path / name / "deep" / "models").mkdir(parents=True)
        shutil.copy(models / f"{file}.gguf", tmp_path / name / "deep" / "models" / f"{file}.gguf")
    server = hostler("--models-dir", tmp_path / "a" / "deep" / "models")
    lists(server, "m1")
    (tmp_path / "a").rename(tmp_path / "old")
    (tmp_path / "b").rename(tmp_path / "a")
    lists(server, "m2")


def test_a_folder_below_is_a_link(hostler, releases, folder):
    """And one that leads to a link."""
    (releases / "hop").symlink_to("one")
    (folder / "x").symlink_to(releases / "hop")
    server = hostler("--models-dir", folder)
    lists(server, "m1", "x")
    path = server.models()["x"]["status"]["args"]
    assert str(folder / "x" / "m1.gguf") in path
    point(releases / "hop", "two")
    until(lambda: str(folder / "x" / "m2.gguf") in server.models()["x"]["status"]["args"])
    point(folder / "x", releases / "one")
    until(lambda: str(folder / "x" / "m1.gguf") in server.models()["x"]["status"]["args"])


def test_a_file_is_a_link(hostler, releases, models, tmp_path):
    """In the folder, and in a section: the file that it leads to changes, comes and goes."""
    store = tmp_path / "store"
    store.mkdir()
    shutil.copy(models / "m1.gguf", store / "v1")
    tiny_model.make(str(store / "v2"), n_ctx_train=512)
    (store / "latest").symlink_to("v1")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "x.gguf").symlink_to(store / "latest")
    (tmp_path / "own.gguf").symlink_to(store / "latest")
    preset = tmp_path / "p.ini"
    preset.write_text(f"[own]\nmodel = {tmp_path / 'own.gguf'}\n", encoding="utf-8")
    server = hostler("--models-dir", folder, "--models-preset", preset)

    def contexts(x):
        until(lambda: [m.get("context_length") for m in server.models().values()] == [x, x], what=f"contexts of {x}")
    contexts(2048)
    point(store / "latest", "v2")
    contexts(512)
    (store / "v2").rename(store / "v3")
    until(lambda: "x" not in server.models() and server.models()["own"]["status"].get("failed"))
    tiny_model.make(str(store / "v2"), n_ctx_train=1024)
    contexts(1024)
