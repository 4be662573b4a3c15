# SPDX-License-Identifier: MIT
"""Where hostler answers otherwise than llama.cpp's router, on purpose.

Each entry names a case, the place in what it saw, why, and what stock and hostler give there. The
suite fails when one of the two does not hold any more, and when there is no such case.
"""
import re
from dataclasses import dataclass
from typing import Any


@dataclass
class Difference:
    case: str  # file::function[parameters]; * stands for any text
    path: str  # observation, then members: answer.body.error.message
    why: str
    stock: Any
    hostler: Any


class Absent:
    """A member that is not there."""

    def __repr__(self):
        return "absent"


ABSENT = Absent()

# What hostler adds to an entry of /models. test_listing.py::test_every_field… has the whole.
ADDED = {
    "size": "the file's bytes, known before it is loaded",
    "held": "an operator's hold",
    "status.reason": "why it is not loaded any more",
    "status.signal": "the signal that ended its engine",
    "status.message": "what went wrong, in words",
    "status.draining": "it finishes what it has and goes",
    "status.progress": "how far its load is",
}

DIFFERENCES = []


def differs(why, *where):
    """differs(why, (case, path, stock, hostler), …)"""
    DIFFERENCES.extend(Difference(case, path, why, stock, hostler)
                       for case, path, stock, hostler in where)


def wrong_method(case):
    """The three places in which a 405 is not a 404."""
    return [(case, "answer.status", 404, 405), (case, "answer.body.error.code", 404, 405),
            (case, "answer.body.error.type", "not_found_error", "invalid_request_error")]


differs("a route that exists for another method says so, with Allow (RFC 9110, 15.5.6)",
        *wrong_method("test_health.py::test_another_method*"))

differs("it says what it is: hostler's version, not the engine's", *(
    (case, "props.body.build_info", re.compile("^b[0-9]+"), re.compile("^hostler-"))
    for case in ("test_health.py::test_props", "test_health.py::test_props_tell_of_options",
                 "test_health.py::test_props_of_no_limit",
                 "test_health.py::test_props_with_an_empty_model_are_the_routers*")))

# --- the list ----------------------------------------------------------------------------------------

ENTRIES = ("test_listing.py::test_every_field_of_an_unloaded_model",
           "test_listing.py::test_every_field_of_a_loaded_model",
           "test_listing.py::test_every_field_after_an_unload",
           "test_listing.py::test_every_field_of_a_failed_model")

differs("engines listen on a unix socket and not on a port: the router's own arguments are not shown",
        *((case, "entry.status.args", list, list) for case in ENTRIES))
differs("a file's size is known before it is loaded",
        *((case, "entry.size", ABSENT, int) for case in ENTRIES))
differs("why a model is not loaded",
        (ENTRIES[2], "entry.status.reason", ABSENT, "unloaded"),
        (ENTRIES[3], "entry.status.reason", ABSENT, "load_failed"),
        (ENTRIES[3], "entry.status.message", ABSENT, re.compile("exited with code 1 while loading")))
differs("shards at the top of the folder are one model; the second alone cannot be loaded",
        ("test_listing.py::test_names_in_a_folder[m-00001-of-00002.gguf,*", "ids",
         ["m-00001-of-00002", "m-00002-of-00002"], ["m-00001-of-00002"]))
differs("the last good list is better than none",
        ("test_listing.py::test_a_reload_without_the_folder", "reload", {"status": 500}, {"status": 200}))

# --- loading -----------------------------------------------------------------------------------------

NAMELESS = ["no model", "a number", "model null", "model a list", "model an object", "a list", "a text", "null"]
differs("a load that names no model is a bad request; 404 would be of a model that there is not", *(
    (f"test_loading.py::test_a_body_names_no_model[{body}-load]", path, stock, hostler) for body in NAMELESS
    for path, stock, hostler in (("answer.status", 404, 400), ("answer.body.error.code", 404, 400),
                                 ("answer.body.error.type", "not_found_error", "invalid_request_error"))))
differs("an engine that dies in a request: an error in JSON, in a stream as its last event",
        ("test_loading.py::test_an_engine_is_killed_in_a_request", "answer.status", 500, 502),
        ("test_loading.py::test_an_engine_is_killed_in_a_request", "answer.body", re.compile("^proxy error"),
         {"error": {"code": 502, "type": "server_error"}}),
        ("test_loading.py::test_an_engine_is_killed_in_a_stream", "an error in it", False, True))
differs("a load takes part in the queue in place of failing when the only place is busy",
        ("test_eviction.py::test_a_load_beside_a_busy_model", "answer",
         {"status": 500}, {"status": 200, "body": {"success": True}}))

# --- HTTP --------------------------------------------------------------------------------------------

differs("framing is kept, and connections stay open",
        ("test_http.py::test_a_connection_after_what_an_engine_answered", "connection", "close", None),
        ("test_http.py::test_a_connection_after_what_an_engine_answered", "framing", [False, "chunked"],
         [True, None]),
        ("test_http.py::test_http_1_0_to_an_engine", "framing", "chunked", None),
        ("test_http.py::test_one_connection_after_an_error", "after it", "closed", 200))
differs("an empty Access-Control-Allow-Origin says nothing: without Origin there is none",
        ("test_http.py::test_a_preflight[None-*", "cors.access-control-allow-origin", "", None),
        *((f"test_http.py::test_an_answer_to_another_origin[None-{request}]",
           "cors.access-control-allow-origin", "", None)
          for request in ("GET-/health", "GET-/models", "GET-/nowhere", "POST-/models/load")))
differs("an authentication scheme has no case (RFC 9110, 11.1)",
        ("test_keys.py::test_keys[case of the scheme]", "status", 401, 200),
        ("test_keys.py::test_keys[case of the scheme]", "answer", {"status": 401}, {"status": 200}))

# --- one model, no router ----------------------------------------------------------------------------

differs("the one model can be loaded and unloaded too",
        ("test_classic.py::test_the_routers_routes[/models/load]", "answer", {"status": 404}, {"status": 400}),
        ("test_classic.py::test_the_routers_routes[/models/unload]", "answer", {"status": 404}, {"status": 200}))
