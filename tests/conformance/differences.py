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
    "memory": "what its engine takes, where that is known",
    "memory_source": "whether that is measured or estimated",
    "status.reason": "why it is not loaded any more",
    "status.signal": "the signal that ended its engine",
    "status.message": "what went wrong, in words",
    "status.log": "the last log lines of an engine that failed",
    "status.draining": "it finishes what it has and goes, or is on its way out",
    "status.saving": "its prompts are saved before its engine is stopped",
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

differs("it says what it is: its own version behind the engine's", *(
    (case, "props.body.build_info", re.compile("^b[0-9]+-[^ ]+$"), re.compile("^b[0-9]+-[^ ]+ hostler-"))
    for case in ("test_health.py::test_props", "test_health.py::test_props_tell_of_options",
                 "test_health.py::test_props_of_no_limit",
                 "test_health.py::test_props_with_an_empty_model_are_the_routers*")))

differs("OpenAI's clients ask for one model by its name: they get its entry of the list",
        ("test_clients.py::test_openai", "retrieve", 404, 200))

NO_MODEL = "test_proxy.py::test_a_query_names_no_model[-model name is missing from the request-/metrics]"
differs("without a model GET /metrics tells the router's own figures",
        (NO_MODEL, "answer.status", 400, 200),
        (NO_MODEL, "answer.type", re.compile("json"), re.compile("^text/plain; version=0.0.4")),
        (NO_MODEL, "answer.body", dict, re.compile("hostler_requests_total")))

# --- the list ----------------------------------------------------------------------------------------

ENTRIES = ("test_listing.py::test_every_field_of_an_unloaded_model",
           "test_listing.py::test_every_field_of_a_loaded_model",
           "test_listing.py::test_every_field_after_an_unload",
           "test_listing.py::test_every_field_of_a_failed_model")

differs("engines listen on a unix socket and not on a port: the router's own arguments are not shown",
        *((case, "entry.status.args", list, list) for case in ENTRIES))
differs("a file's size is known before it is loaded",
        *((case, "entry.size", ABSENT, int) for case in ENTRIES))
differs("what an engine takes, once somebody has asked for it",
        *((case, "entry.memory", ABSENT, dict) for case in ENTRIES[1:]),
        *((case, "entry.memory_source", ABSENT, str) for case in ENTRIES[1:]))
differs("why a model is not loaded",
        (ENTRIES[2], "entry.status.reason", ABSENT, "unloaded"),
        (ENTRIES[3], "entry.status.reason", ABSENT, "load_failed"),
        (ENTRIES[3], "entry.status.message", ABSENT, re.compile("exited with code 1 while loading")))
differs("shards at the top of the folder are one model; the second alone cannot be loaded",
        ("test_listing.py::test_names_in_a_folder[m-00001-of-00002.gguf,*", "ids",
         ["m-00001-of-00002", "m-00002-of-00002"], ["m-00001-of-00002"]))

differs("what an engine told is forgotten with it: the next one may be another build, or have other options",
        ("test_listing.py::test_what_a_model_that_sees_takes", "unloaded again.eyes.input_modalities",
         ["text", "image", "video"], ["text", "image"]))

differs("engines listen on a unix socket and not on a port, elsewhere too", *(
    (case, path + ".status.args", list, list) for case, path in (
        ("test_presets.py::test_a_section_is_a_model", "one"),
        ("test_presets.py::test_a_section_for_a_model_of_the_folder", "m1"),
        ("test_presets.py::test_a_section_for_a_model_of_the_folder", "m2"))),
        ("test_listing.py::test_arguments_of_the_command_line", "unloaded", list, list),
        ("test_listing.py::test_arguments_of_the_command_line", "loaded", list, list))
CACHED = "test_cache.py::test_an_entry"
differs("what is in the cache is loaded from its file: without the hub, and of the revision that is listed",
        (CACHED, "unloaded.status.args", list, list),
        (CACHED, "unloaded.status.preset", re.compile("hf-repo = u/r:Q4_0"), re.compile("model = FOLDER/cache/")),
        (CACHED, "arguments", [["--hf-repo", "u/r:Q4_0"]], [["--model", re.compile("x-Q4_0.gguf$")]]))

# --- presets -----------------------------------------------------------------------------------------

MISTAKES = "test_presets.py::test_what_is_not_refused_at_the_start"
differs("a mistake is an error with its line at the start, and not a model that cannot be loaded, or one that "
        "does what was not meant", *(
            difference for text, ids in (
                ("model = M1\\\\n", ["default"]),
                *((f"[one]\\\\nmodel = M1\\\\n{key}\\\\n", ["one"]) for key in (
                    "jinja =", "jinja = maybe", "LLAMA_ARG_NO_JINJA = 1", "stop-timeout = many", "stop-timeout = -1")))
            for difference in ((f"{MISTAKES}['{text}']", "refused", False, True),
                               (f"{MISTAKES}['{text}']", "ids", ids, None))))
differs("no is not yes",
        ("test_presets.py::test_booleans[jinja = no---jinja]", "arguments", [["--jinja", None], list],
         [["--model", str], ["--no-jinja", None]]))
differs("an indented key is a key",
        ("test_presets.py::test_what_is_refused_at_the_start['[one]\\\\nmodel = M1\\\\n  ctx-size = 5\\\\n']",
         "refused", True, False))
differs("blanks around a section's name are no part of it",
        ("test_presets.py::test_names_of_a_section[' padded '-'padded ']", "ids", ["padded "], ["padded"]))
QUOTED = "test_presets.py::test_values_in_quotes"
differs("quotes are a way to write a value with ; or #", *(
    (f"{QUOTED}[{value!r}-{stock!r}]", "value.--chat-template", stock, hostler) for value, stock, hostler in (
        ('"a;b"', '"a', "a;b"), ("'a;b'", "'a", "a;b"), ('"a#b" # words', '"a', "a#b"),
        ('"a;b" ; "words"', '"a', "a;b"), ('"a"b;c"', '"a"b', 'a"b;c'))))
SPELLING = "test_presets.py::test_the_spelling_of_a_section_is_a_name_too"
differs("a name has a normal form, and every spelling of it is answered",
        *((SPELLING, f"others.{name}", 400, 200) for name in ("u/r:UD-Q4_K_XL", "u/r:q4_k_xl", "m:8b", "n:Q8")),
        *((f"test_cache.py::test_another_spelling[{name}]", path, stock, hostler) for name in ("u/r:q4_0", "u/r:UD-Q4_0")
          for path, stock, hostler in (("tokenize", 400, 200), ("query", 400, 200), ("load", 404, int))))
differs("of two sections that are one model the last one of the file counts, and a warning names both lines",
        ("test_presets.py::test_two_spellings_in_another_order", "arguments", [["--model", "MODELS/m1.gguf"]],
         [["--model", "MODELS/m2.gguf"]]))
differs("a model's id is no alias of it",
        ("test_presets.py::test_an_alias_that_is_no_news[its own]", "aliases", ["one"], []))
differs("an alias that a reload brings is good at once, and needs no other process",
        ("test_presets.py::test_an_alias_changes", "tokenize", [200, 400], [400, 200]))

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

# --- events, streams, downloads ----------------------------------------------------------------------

differs("the engine's last log lines say why",
        (ENTRIES[3], "entry.status.log", ABSENT, re.compile("failed to load model")),
        ("test_loading.py::test_a_request_for_a_model_that_does_not_load", "tokenize.body.error.log", ABSENT,
         re.compile("failed to load model")))

differs("why a model is not loaded, in its event too",
        ("test_events.py::test_load_and_unload", "exit code.reason", ABSENT, "unloaded"),
        ("test_events.py::test_the_framing", "lines", [re.compile('"exit_code":0}}$'), ""],
         [re.compile('"exit_code":0,"reason":"unloaded","cause":"unloaded by POST .*"}}$'), ""]),
        ("test_events.py::test_a_failed_load", "exit code.reason", ABSENT, "load_failed"),
        ("test_events.py::test_a_killed_engine", "data.reason", ABSENT, "crashed"),
        ("test_loading.py::test_the_last_engine_is_killed", "event.data.reason", ABSENT, "crashed"))
differs("who caused it",
        ("test_events.py::test_load_and_unload", "exit code.cause", ABSENT,
         re.compile("unloaded by POST /models/unload from 127")),
        ("test_events.py::test_every_field", "spawn.data.cause", ABSENT,
         re.compile("POST /models/load from 127")))
differs("a model that is being deleted is held meanwhile, which is told, and the list changes",
        ("test_cache.py::test_delete_a_running_model", "story",
         [["u/r:Q4_0", "status_change", "unloaded"], ["u/r:Q4_0", "model_remove", None]],
         [["u/r:Q4_0", "hold", None], ["u/r:Q4_0", "status_change", "unloaded"], ["u/r:Q4_0", "release", None],
          ["*", "models_reload", None], ["u/r:Q4_0", "model_remove", None]]))
differs("an unload that somebody asked for is no failure",
        ("test_events.py::test_an_unload_while_loading", "exit code", 1, 0))
differs("events and streams are not to be kept by a cache on their way",
        ("test_events.py::test_the_head", "head.cache-control", None, "no-cache"),
        ("test_streaming.py::test_headers_of_a_stream", "headers.cache-control", None, "no-cache"),
        ("test_resumable.py::test_headers_of_a_stream_again", "headers.cache-control", None, "no-cache"))
differs("a model that a reload takes finishes what it has; the list is told at once",
        ("test_events.py::test_reload_that_takes_a_model", "story",
         [["a", "status_change", "unloaded"], ["*", "models_reload", None]], [["*", "models_reload", None]]))
differs("a lookup that is no list of ids is a bad request", *(
    (f"test_resumable.py::test_bad_lookups[{body!r}]", path, stock, hostler) for body in ("[]", "nonsense")
    for path, stock, hostler in (("lookup.status", 200, 400),
                                 ("lookup.body", [], {"error": {"code": 400}}))))

DOWNLOADS = "test_downloads.py::"
differs("what could not be had is not called finished", *(
    (DOWNLOADS + case, "end", "download_finished", "download_failed") for case in (
        "test_no_hub", *(f"test_what_cannot_be_had[{name}]" for name in
                         ("u/nowhere", "u/none", "u/plain:Q2_K", "u/secret")))))
differs("what can be no repository is refused at once", *(
    (f"{DOWNLOADS}test_what_cannot_be_had[{name}]", path, stock, hostler) for name in ("../x", "u/", "/r")
    for path, stock, hostler in (("answer.status", 200, 400), ("answer.body.success", True, ABSENT),
                                 ("answer.body.error", ABSENT, {"code": 400, "type": "invalid_request_error"}),
                                 ("end", "download_finished", ABSENT))))
differs("a model that is still on its way cannot be loaded",
        (DOWNLOADS + "test_while_it_comes", "load.status", 200, 400),
        (DOWNLOADS + "test_while_it_comes", "load.body.success", True, ABSENT),
        (DOWNLOADS + "test_while_it_comes", "load.body.error", ABSENT, {"code": 400}))
differs("a model that is not there, or not removable, is the client's mistake and not the server's", *(
    (case, path, stock, hostler)
    for case, observed, status, kind in (
        ("test_cache.py::test_delete", "again", 404, "not_found_error"),
        ("test_cache.py::test_delete_of_what_is_not_cached[?model=nowhere-500]", "answer", 404, "not_found_error"),
        ("test_cache.py::test_delete_of_what_is_not_cached[?model=m1-500]", "answer", 400, "invalid_request_error"))
    for path, stock, hostler in ((observed + ".status", 500, status), (observed + ".body.error.code", 500, status),
                                 (observed + ".body.error.type", "server_error", kind))))

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
          for request in ("GET-/health", "GET-/models", "GET-/nowhere", "POST-/models/load", "POST-/tokenize")))
differs("an origin that is not allowed is not told which one is", *(
    ("test_options.py::test_origins[http://other.test]", observed + ".access-control-allow-origin",
     "http://other.test", None) for observed in ("answer", "preflight")))
differs("an HTTP/1.1 request names its host (RFC 9112, 3.2)",
        ("test_http.py::test_what_rfc_9112_forbids[no Host]", "status", 200, 400))
TARGETS = "test_http.py::test_forms_of_the_target"
differs("a target may be a whole URL (RFC 9112, 3.2.2); a route is compared as it is sent, as a proxy in front "
        "of it would",
        (TARGETS + "[http://localhost/health-404]", "status", 404, 200),
        (TARGETS + "[/%68ealth-200]", "status", 200, 404))
differs("a request for another host is not for this server (RFC 9110, 15.5.20): the name may be a page's own, made "
        "to lead here",
        (TARGETS + "[http://elsewhere.test/health-404]", "status", 404, 421))
differs("`*` covers no Authorization, and with credentials no field at all (Fetch, 3.2.5): what the page asks for is "
        "permitted by name",
        *((f"test_http.py::test_a_preflight[http://web.test-{path}]", "cors.access-control-allow-headers", "*",
           "authorization,content-type") for path in ("/health", "/v1/chat/completions", "/nowhere")))
PAGE_OPERATES = "test_http.py::test_an_answer_to_another_origin"
differs("a page of an origin that is not trusted cannot operate the server, nor read who uses it, and it is not "
        "permitted to try",
        ("test_http.py::test_a_preflight[http://web.test-/models/load]", "cors.status", 200, 403),
        *(("test_http.py::test_a_preflight[http://web.test-/models/load]", f"cors.access-control-allow-{field}", str, None)
          for field in ("origin", "methods", "headers", "credentials")),
        *((f"{PAGE_OPERATES}[{origin}-POST-/models/load]", "cors.status", 400, 403) for origin in ("http://web.test", "null")),
        *((f"{PAGE_OPERATES}[{origin}-POST-/models/load]", "cors.access-control-allow-origin", origin, None)
          for origin in ("http://web.test", "null")),
        ("test_events.py::test_head_to_another_origin", "origin", "http://web.test", None))
differs("an authentication scheme has no case (RFC 9110, 11.1)",
        ("test_keys.py::test_keys[case of the scheme]", "status", 401, 200),
        ("test_keys.py::test_keys[case of the scheme]", "answer", {"status": 401}, {"status": 200}))

# --- options -----------------------------------------------------------------------------------------

def refused_here(case, *names):
    """Cases in which stock serves and hostler says what is wrong."""
    return [(f"test_options.py::{case}[{name}]", "refused", False, True) for name in names]


MISTAKEN = "test_what_is_mistaken"
differs("a number is one as a whole: stock reads as much of it as is a number, and cuts off the rest", *refused_here(
    MISTAKEN, "5x", "a fraction", "hexadecimal", "an exponent", "5x seconds", "1.5 seconds", "a port in hexadecimal"))
differs("a port ends at 65535: stock says that it listens on 65536, and listens elsewhere",
        *refused_here(MISTAKEN, "port 65536"))
differs("who asks for keys and gives none, as by a variable of a script that is not set, would serve everybody",
        *refused_here(MISTAKEN, "an empty key", "no key but commas", "an empty file of keys",
                      "a file of keys with comments", "a folder of keys"),
        *refused_here("test_variables_that_are_mistaken", "LLAMA_API_KEY-,"))
differs("who asks for HTTPS and gives one file of the two would serve without encryption",
        *refused_here(MISTAKEN, "a key without a certificate", "a certificate without a key"))
differs("a log that cannot be written would be missed when it is needed",
        *refused_here(MISTAKEN, "a log in no folder", "a log that is a folder"))
differs("below such a prefix no request can reach a route",
        *refused_here(MISTAKEN, "a relative prefix", "a prefix with a blank", "a prefix with a query"),
        *refused_here("test_variables_that_are_mistaken", "LLAMA_ARG_API_PREFIX-llama"))
differs("a slash at the end of a prefix is no part of it: stock serves below `//`",
        ("test_options.py::test_values_at_the_edge[['--api-prefix', '/']]", "list", 404, 200),
        ("test_options.py::test_a_prefix_that_ends_with_a_slash", "health", 404, 200))
differs("a line break in a field of an answer's head would begin another field",
        *refused_here(MISTAKEN, "methods with a line break"))
differs("a switch is on or off: stock takes every other word for off", *refused_here(
    "test_variables_that_are_mistaken", "LLAMA_ARG_REUSE_PORT-maybe", "LLAMA_ARG_EMBEDDINGS-maybe"))
differs("a variable that is empty counts as not set, as files of variables have it for one without a value",
        ("test_options.py::test_variables_that_stock_refuses[LLAMA_ARG_*-]", "refused", True, False),
        ("test_options.py::test_the_environment[LLAMA_ARG_NO_MODELS_AUTOLOAD=-models_autoload=False]",
         "props.models_autoload", False, True))
differs("what only engines use, and read when they start, is found when the first one is loaded", *(
    (f"test_options.py::test_what_stock_reads_when_it_starts[{args}]", "refused", True, False)
    for args in ("--tools nope", "--tools ", "--mcp-servers-json {", "--ui-config {")))
differs("the port that llama.cpp's router had until 2026, and that its clients have in their settings",
        ("test_options.py::test_defaults", "defaults.--port", "9931", "8080"))
differs("no is off, in variables as in presets", *(
    (f"test_options.py::test_variables_that_stock_refuses[LLAMA_ARG_{name}-no]", "refused", True, False)
    for name in ("MODELS_AUTOLOAD", "JINJA")))

# --- one model, no router ----------------------------------------------------------------------------

differs("the one model can be loaded and unloaded too",
        ("test_classic.py::test_the_routers_routes[/models/load]", "answer", {"status": 404}, {"status": 400}),
        ("test_classic.py::test_the_routers_routes[/models/unload]", "answer", {"status": 404}, {"status": 200}))
