# SPDX-License-Identifier: MIT
"""A GPU's driver that does not answer: only what needs its figures waits, and not for ever."""
import os
import pathlib
import signal
import time

import pytest
from background import background
from conftest import HOSTLER, PATIENCE, until
from events import Events
from unloading import ENDLESS, alive, fake, load, results, unload_all  # noqa: F401
from wire import is_json_error, open_stream, read_events

NVML = pathlib.Path(HOSTLER).with_name("fake_nvml.so")
MIB = 1 << 20
WARNING = "has not told the memory figures"


@pytest.fixture
def driver(tmp_path):
    """driver.hangs(): it answers no more; driver.answers(free): again, with so many MiB free on gpu0."""
    if not NVML.exists():
        pytest.skip(f"{NVML} is not built")

    class Driver:
        lock, file = tmp_path / "hang", tmp_path / "nvml"
        env = {"HOSTLER_NVML": str(NVML), "FAKE_NVML_FILE": str(file), "FAKE_NVML_HANG": str(lock)}

        def hangs(self):
            self.lock.touch()

        def answers(self, free):
            self.file.write_text(f"{free},49152\n\n", encoding="ascii")
            self.lock.unlink(missing_ok=True)

    driver = Driver()
    driver.answers(24000)
    yield driver
    driver.answers(24000)


def free(status):
    return status.json["memory"]["gpu0"]["available"] // MIB


def wait_for_warning(server):
    """Asks for figures until the daemon has noticed that none come."""
    until(lambda: server.get("/hostler/v1/status").status == 200 and WARNING in server.log(), what="the warning")


def recover(server, driver):
    """The driver answers again: a server that is ended while it hangs exits with status 1."""
    driver.answers(20000)
    until(lambda: free(server.get("/hostler/v1/status")) == 20000, what="the new figure")


def test_a_driver_that_does_not_let_go(fake, driver, tmp_path):
    """It is told as that, not as figures that do not come; what is asked for meanwhile is done."""
    server = fake(env={**driver.env, "FAKE_NVML_REST": str(driver.lock)}, a={})
    driver.hangs()
    until(lambda: "has not let go of the cards" in server.log(), what="the warning")
    assert WARNING not in server.log()
    assert server.tokenize("a").status == 200
    recover(server, driver)
    assert "the drivers have let go of the cards after" in server.log()
    assert "figures have come after" not in server.log()


def test_health_and_streams_go_on_while_it_hangs(fake, driver):
    server = fake(env=driver.env, a=ENDLESS)
    load(server, "a")
    connection, response = open_stream(server, "a")
    read_events(response, 1)
    driver.hangs()
    warned = background(wait_for_warning, server)
    rounds = 0
    while not warned.done() or rounds < 20:
        assert server.get("/health", timeout=PATIENCE / 4).status == 200
        assert len(read_events(response, 2)) == 2
        rounds += 1
    warned.result(PATIENCE)
    recover(server, driver)
    connection.close()


def test_what_needs_its_figures_is_done_with_the_last_ones(fake, driver):
    server = fake(env=driver.env, a={}, b={})
    load(server, "a")
    driver.hangs()
    driver.file.write_text("20000,49152\n\n", encoding="ascii")
    wait_for_warning(server)
    assert free(server.get("/hostler/v1/status")) == 24000
    assert server.tokenize("b").status == 200  # it was placed
    assert server.get("/hostler/v1/estimate?model=a").status == 200
    assert results(unload_all(server)) == {"a": "unloaded", "b": "unloaded"}
    assert server.log().count(WARNING) == 1
    driver.answers(21000)
    until(lambda: free(server.get("/hostler/v1/status")) == 21000, what="the new figure")
    assert "the memory figures have come after" in server.log()


def test_a_load_has_begun_when_its_request_is_answered(fake, driver):
    """As in llama.cpp, also while the figures that decide its place are read."""
    server = fake(env=driver.env, a={})
    driver.hangs()
    time.sleep(0.3)  # nothing says when the last figures are too old for a decision: after 250 ms
    assert server.post("/models/load", {"model": "a"}).json == {"success": True}
    assert server.state("a") == "loading"
    assert is_json_error(server.post("/models/load", {"model": "a"}), 400) == "model is already running"
    until(lambda: server.state("a") == "loaded", what="the load with the last figures")
    recover(server, driver)


def test_an_engine_that_is_killed_while_it_loads(fake, driver):
    """Whether the kernel did that for lack of memory is in a reading that does not come."""
    server = fake(env=driver.env, a={"load_s": 60})
    waiting = background(server.tokenize, "a")
    pid = until(lambda: server.engines().get("a", {}).get("pid"), what="its start")
    driver.hangs()
    os.kill(pid, signal.SIGKILL)
    answer = waiting.result(PATIENCE)
    assert answer.status >= 500 and "ended by signal 9" in answer.error["message"], answer.body
    recover(server, driver)


def test_an_engine_that_is_stopped_while_it_loads(fake, driver, tmp_path):
    """No reading of its memory is waited for, in which it could load to the end."""
    gate = tmp_path / "gate"
    server = fake(env=driver.env, a={"load_until": str(gate)})
    events = Events(server)
    assert server.post("/models/load", {"model": "a"}).status == 200
    until(lambda: events.next()[2].get("progress"), what="its progress")
    driver.hangs()
    unloading = background(server.post, "/models/unload", {"model": "a"})
    until(lambda: "model a is being stopped" in server.log(), what="its stop")
    gate.touch()
    assert unloading.result(PATIENCE).status == 200
    assert "loaded" not in [status for _, status in events.until("unloaded")]
    recover(server, driver)


def test_the_server_ends_while_it_hangs(fake, driver):
    server = fake(env=driver.env, a={})
    pid = load(server, "a")["a"]
    driver.hangs()
    wait_for_warning(server)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(PATIENCE) == 1
    assert not alive(pid)
    assert "exits without waiting" in server.log()
