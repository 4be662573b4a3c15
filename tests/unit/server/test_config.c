/* SPDX-License-Identifier: MIT */
#include "config_test.h"

static void defaults(void **state)
{
    (void)state;
    parse(ARGV(MODELS), ENV(NULL));
    assert_string_equal(c.models_dir, "/m");
    assert_false(c.classic);
    assert_null(c.model);
    assert_int_equal(c.models_max, 4);
    assert_true(c.autoload);
    assert_string_equal(c.host, "127.0.0.1");
    assert_int_equal(c.port, 8080);
    assert_int_equal(c.api_keys.n + c.aliases.n, 0);
    assert_int_equal(c.ttl_ms, 0);
    assert_int_equal(c.max_wait_ms, 30000);
    assert_int_equal(c.drain_timeout_ms, 60000);
    assert_int_equal(c.load_timeout_ms, 600000);
    assert_int_equal(c.save_timeout_ms, 5000);
    assert_int_equal(c.stop_timeout_ms, 10000);
    assert_int_equal(c.max_queue, 1000);
    assert_int_equal(c.log_level, LOG_INFO);
    assert_int_equal(c.log_format, LOG_TEXT);
    assert_int_equal(c.args.n, 0);
}

static void each_option(void **state)
{
    (void)state;
    parse(ARGV(MODELS, "--models-max", "0", "--no-models-autoload", "--host", "a.sock", "--port",
               "0", "--api-key", "a, b", "--ttl", "5m", "--max-wait", "1s", "--drain-timeout", "2s",
               "--load-timeout", "3s", "--save-timeout", "off", "--stop-timeout", "500ms",
               "--max-queue", "7", "--log-level", "debug", "--log-format", "json"),
          ENV(NULL));
    assert_int_equal(c.models_max, 0);
    assert_false(c.autoload);
    assert_string_equal(c.host, "a.sock");
    assert_int_equal(c.port, 0);
    assert_int_equal(c.api_keys.n, 2);
    assert_non_null(keys_find(&c.api_keys, "b"));
    assert_int_equal(c.ttl_ms, 300000);
    assert_int_equal(c.max_wait_ms, 1000);
    assert_int_equal(c.drain_timeout_ms, 2000);
    assert_int_equal(c.load_timeout_ms, 3000);
    assert_int_equal(c.save_timeout_ms, 0);
    assert_int_equal(c.stop_timeout_ms, 500);
    assert_int_equal(c.max_queue, 7);
    assert_int_equal(c.log_level, LOG_DEBUG);
    assert_int_equal(c.log_format, LOG_JSON);
}

static void each_variable(void **state)
{
    (void)state;
    parse(ARGV(NULL),
          ENV("LLAMA_ARG_MODELS_DIR=/e", "LLAMA_ARG_MODELS_MAX=2", "LLAMA_ARG_MODELS_AUTOLOAD=off",
              "LLAMA_ARG_HOST=::1", "LLAMA_ARG_PORT=99", "LLAMA_API_KEY=k", "HOSTLER_TTL=1",
              "HOSTLER_MAX_WAIT=2", "HOSTLER_DRAIN_TIMEOUT=3", "HOSTLER_LOAD_TIMEOUT=4",
              "HOSTLER_STOP_TIMEOUT=5", "HOSTLER_SAVE_TIMEOUT=6", "HOSTLER_MAX_QUEUE=6",
              "HOSTLER_LOG_LEVEL=error", "HOSTLER_LOG_FORMAT=json", "UNRELATED=x",
              "NO_EQUALS_SIGN"));
    assert_string_equal(c.models_dir, "/e");
    assert_int_equal(c.models_max, 2);
    assert_false(c.autoload);
    assert_string_equal(c.host, "::1");
    assert_int_equal(c.port, 99);
    assert_non_null(keys_find(&c.api_keys, "k"));
    assert_int_equal(c.ttl_ms + c.max_wait_ms + c.drain_timeout_ms + c.load_timeout_ms +
                         c.stop_timeout_ms + c.save_timeout_ms,
                     21000);
    assert_int_equal(c.max_queue, 6);
    assert_int_equal(c.log_level, LOG_ERROR);
    assert_int_equal(c.log_format, LOG_JSON);
}

static void the_command_line_wins(void **state)
{
    (void)state;
    parse(ARGV(MODELS, "--port", "1", "--models-autoload", "-c", "10"),
          ENV("LLAMA_ARG_MODELS_DIR=/e", "LLAMA_ARG_PORT=2", "LLAMA_ARG_MODELS_AUTOLOAD=0",
              "LLAMA_ARG_CTX_SIZE=20", "LLAMA_ARG_MLOCK=1"));
    assert_string_equal(c.models_dir, "/m");
    assert_int_equal(c.port, 1);
    assert_true(c.autoload);
    assert_string_equal(engine_value("-c"), "10");
    assert_string_equal(engine_value("--mlock"), "on");
}

static void the_last_one_wins(void **state)
{
    (void)state;
    parse(ARGV(MODELS, "--port", "1", "--port", "2", "-c", "3", "--ctx-size", "4"), ENV(NULL));
    assert_int_equal(c.port, 2);
    assert_string_equal(engine_value("-c"), "4");
}

static void an_empty_variable_is_none(void **state)
{
    (void)state;
    parse(ARGV(MODELS), ENV("LLAMA_ARG_PORT=", "LLAMA_ARG_CTX_SIZE="));
    assert_int_equal(c.port, 8080);
    assert_null(engine_value("-c"));
}

/* --- the engine's options ---------------------------------------------------------------- */

static void options_of_the_engine(void **state)
{
    (void)state;
    parse(ARGV(MODELS, "--ctx_size", "512", "-nkvo", "--mlock", "--lora", "a", "--lora", "b",
               "--control-vector-layer-range", "1", "12"),
          ENV(NULL));
    assert_string_equal(engine_value("-c"), "512");
    assert_string_equal(engine_value("-kvo"), "off");
    assert_string_equal(engine_value("--mlock"), "on");
    assert_string_equal(engine_value("--control-vector-layer-range"), "1 12");
    assert_int_equal(c.args.n, 6); /* both --lora */
    assert_int_equal(c.args.v[0].origin, ARGS_FROM_COMMAND_LINE);
}

static void variables_of_the_engine(void **state)
{
    (void)state;
    parse(ARGV(MODELS),
          ENV("LLAMA_ARG_KV_OFFLOAD=0", "LLAMA_ARG_MLOCK=false", "LLAMA_ARG_CTX_SIZE=9"));
    assert_string_equal(engine_value("-kvo"), "off");
    assert_string_equal(engine_value("--mlock"), "off");
    assert_string_equal(engine_value("-c"), "9");
    assert_int_equal(c.args.n, 0);
    assert_int_equal(c.env_args.v[0].origin, ARGS_FROM_ENVIRONMENT);
    refuse(ARGV(MODELS), ENV("LLAMA_ARG_MLOCK=maybe"),
           "LLAMA_ARG_MLOCK: 'maybe' is neither on nor off");
}

static void unknown_options_name_the_nearest(void **state)
{
    (void)state;
    refuse(ARGV(MODELS, "--prot", "1"), ENV(NULL), "unknown option '--prot'");
    assert_non_null(strstr(err.text, "did you mean '--port'?"));
    assert_non_null(strstr(err.text, "version: 0.7.0"));
    refuse(ARGV(MODELS, "--ctx-sise", "1"), ENV(NULL), "did you mean '--ctx-size'?");
    refuse(ARGV(MODELS, "--no-kv-ofload"), ENV(NULL), "did you mean '--no-kv-offload'?");
    refuse(ARGV(MODELS, "--frobnicate-wildly"), ENV(NULL), "unknown option '--frobnicate-wildly'");
    assert_null(strstr(err.text, "did you mean"));
    refuse(ARGV(MODELS, "stray"), ENV(NULL), "'stray' is no option: models are named by");
    refuse(ARGV(MODELS, ""), ENV(NULL), "'' is no option");
}

static void missing_values(void **state)
{
    (void)state;
    refuse(ARGV(MODELS, "--port"), ENV(NULL), "--port needs a value: --port N");
    refuse(ARGV(MODELS, "-c"), ENV(NULL), "-c needs a value: -c N");
    refuse(ARGV(MODELS, "--control-vector-layer-range", "1"), ENV(NULL), "needs two values");
}

static void bad_values(void **state)
{
    (void)state;
    static const struct {
        const char *option, *value;
    } bad[] = {
        {"--port", "65536"},
        {"--port", "-1"},
        {"--port", "x"},
        {"--port", ""},
        {"--port", "80a"},
        {"--models-max", "-1"},
        {"--models-max", "1.5"},
        {"--models-max", "1 2"},
        {"--max-queue", "99999999999"},
        {"--ttl", "soon"},
        {"--ttl", "-5s"},
        {"--max-wait", ""},
        {"--log-level", "loud"},
        {"--log-format", "xml"},
        {"--api-key", " , "},
        {"--save-timeout", "on"},
        {"--load-timeout", "1y"},
        {"--stop-timeout", "5 s"},
        {"--api-key-file", "/nonexistent"},
        {"--prompt-cache", ""},
        {"--prompt-cache-size", "0"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char *option = strdup(bad[i].option), *value = strdup(bad[i].value);
        refuse(ARGV(MODELS, option, value), ENV(NULL), option);
        free(option);
        free(value);
    }
    refuse(ARGV(MODELS), ENV("HOSTLER_TTL=soon"), "environment variable HOSTLER_TTL: 'soon'");
    refuse(ARGV(MODELS), ENV("LLAMA_ARG_MODELS_AUTOLOAD=perhaps"), "neither on nor off");
}

/* It is a time, only too long a one. */
static void a_time_too_long(void **state)
{
    (void)state;
    refuse(ARGV(MODELS, "--ttl", "40000d"), ENV(NULL), "--ttl: '40000d'");
    assert_null(strstr(err.text, "is no time"));
}

static void what_is_below_a_prefix(void **state)
{
    (void)state;
    parse(ARGV(MODELS, "--api-prefix", "/a/b//"), ENV(NULL));
    assert_string_equal(c.api_prefix, "/a/b");
    assert_null(engine_value("--api-prefix"));
    parse(ARGV(MODELS, "--api-prefix", "/"), ENV("LLAMA_ARG_API_PREFIX=/x"));
    assert_null(c.api_prefix);
    refuse(ARGV(MODELS, "--api-prefix", "a"), ENV(NULL),
           "--api-prefix: 'a' does not begin with a slash");
    refuse(ARGV(MODELS, "--api-prefix", "/a?b"), ENV(NULL), "no plain path");
    refuse(ARGV(MODELS, "--api-prefix", "/a b"), ENV(NULL), "no plain path");
}

/* A word after --ui is its value only if it is one that --ui knows. */
static void which_page(void **state)
{
    (void)state;
    parse(ARGV(MODELS), ENV(NULL));
    assert_int_equal(c.ui, CONFIG_UI_OWN);
    parse(ARGV(MODELS, "--ui", "engine", "--port", "1"), ENV("LLAMA_ARG_NO_UI=1"));
    assert_int_equal(c.ui, CONFIG_UI_ENGINE);
    assert_int_equal(c.port, 1);
    parse(ARGV(MODELS, "--ui", "engine", "--webui"), ENV(NULL));
    assert_int_equal(c.ui, CONFIG_UI_OWN);
    parse(ARGV("--ui", MODELS), ENV("LLAMA_ARG_UI=off"));
    assert_int_equal(c.ui, CONFIG_UI_OWN);
    parse(ARGV(MODELS), ENV("LLAMA_ARG_UI=engine"));
    assert_int_equal(c.ui, CONFIG_UI_ENGINE);
    parse(ARGV(MODELS), ENV("LLAMA_ARG_WEBUI=false"));
    assert_int_equal(c.ui, CONFIG_UI_OFF);
    parse(ARGV(MODELS, "--no-webui"), ENV(NULL));
    assert_int_equal(c.ui, CONFIG_UI_OFF);
    refuse(ARGV(MODELS, "--ui", "stock"), ENV(NULL), "'stock' is no option");
    refuse(ARGV(MODELS), ENV("LLAMA_ARG_UI=stock"), "LLAMA_ARG_UI: 'stock'");
}

static void a_timeout_is_the_engines_too(void **state)
{
    (void)state;
    parse(ARGV(MODELS), ENV(NULL));
    assert_int_equal(c.timeout_ms, 3600000);
    assert_null(engine_value("--timeout"));
    parse(ARGV(MODELS, "-to", "7"), ENV("LLAMA_ARG_TIMEOUT=9"));
    assert_int_equal(c.timeout_ms, 7000);
    assert_string_equal(engine_value("--timeout"), "7");
    parse(ARGV(MODELS), ENV("LLAMA_ARG_TIMEOUT=9"));
    assert_int_equal(c.timeout_ms, 9000);
    assert_string_equal(engine_value("--timeout"), "9");
    parse(ARGV(MODELS, "--timeout", "0"), ENV("LLAMA_ARG_TIMEOUT=9"));
    assert_true(c.timeout_ms == CONFIG_NO_LIMIT);
    assert_string_equal(engine_value("--timeout"), "-1");
    parse(ARGV(MODELS), ENV("LLAMA_ARG_TIMEOUT=-3"));
    assert_true(c.timeout_ms == CONFIG_NO_LIMIT);
    assert_string_equal(engine_value("--timeout"), "-1");
    refuse(ARGV(MODELS, "--timeout", "5m"), ENV(NULL), "no number of seconds");
}

/* As llama-server has it: an unset variable of a script names nothing. */
static void an_empty_text_is_none(void **state)
{
    (void)state;
    parse(ARGV("--models-dir", "", "--models-preset", "", "--ssl-key-file", "", "--log-file", ""),
          ENV(NULL));
    assert_null(c.models_dir);
    assert_null(c.models_preset);
    assert_null(c.log_file);
    parse(ARGV("--models-dir", ""), ENV("LLAMA_ARG_MODEL=x"));
    assert_true(c.classic);
    refuse(ARGV(MODELS, "--host", ""), ENV(NULL), "names no address");
}

static void who_may_ask_from_elsewhere(void **state)
{
    (void)state;
    parse(ARGV(MODELS), ENV(NULL));
    assert_true(strv_has(&c.cors_origins, "*") && c.cors_credentials && !c.reuse_port);
    parse(ARGV(MODELS, "--tools", "all", "--reuse-port"), ENV(NULL));
    assert_true(strv_has(&c.cors_origins, "localhost") && c.cors_origins.n == 1);
    assert_true(c.reuse_port);
    assert_null(engine_value("--reuse-port"));
    parse(ARGV(MODELS, "--cors-origins", "a, b", "--no-cors-credentials"),
          ENV("LLAMA_ARG_TOOLS=x"));
    assert_true(strv_has(&c.cors_origins, "b") && c.cors_origins.n == 2 && !c.cors_credentials);
    assert_null(engine_value("--cors-origins"));
    parse(ARGV(MODELS, "--cors-origins", ""), ENV(NULL));
    assert_false(strv_has(&c.cors_origins, "*"));
    refuse(ARGV(MODELS, "--cors-methods", "GET\r\nX: y"), ENV(NULL),
           "control character, at byte 3");
}

/* test_tls.c has what a certificate may be. */
static void https_needs_two_files(void **state)
{
    (void)state;
    refuse(ARGV(MODELS, "--ssl-key-file", "x"), ENV(NULL), "--ssl-cert-file is missing");
    refuse(ARGV(MODELS), ENV("LLAMA_ARG_SSL_KEY_FILE=x"), "--ssl-cert-file is missing");
    refuse(ARGV(MODELS, "--ssl-cert-file", "x"), ENV(NULL), "--ssl-key-file is missing");
    refuse(ARGV(MODELS, "--ssl-cert-file", "/nowhere"), ENV("LLAMA_ARG_SSL_KEY_FILE=x"),
           "cannot read /nowhere");
    parse(ARGV(MODELS), ENV(NULL));
    assert_null(c.ssl_key_file);
    assert_null(c.ssl_cert_file);
}

/* As llama-server has it: `_` stands for `-` in long names, also in those that are ours. */
static void underscores_in_our_own_options(void **state)
{
    (void)state;
    parse(ARGV("--models_dir", "/m"), ENV(NULL));
    assert_string_equal(c.models_dir, "/m");
}

/* --- modes ------------------------------------------------------------------------------- */

static void classic_mode(void **state)
{
    (void)state;
    parse(ARGV("-m", "x.gguf", "-a", "one, two"), ENV(NULL));
    assert_true(c.classic);
    assert_string_equal(c.model, "x.gguf");
    assert_int_equal(c.aliases.n, 2);
    parse(ARGV(NULL), ENV("LLAMA_ARG_MODEL=y.gguf"));
    assert_true(c.classic);
    assert_string_equal(c.model, "y.gguf");
}

/* The engine fetches it. */
static void a_repository_is_one_model(void **state)
{
    (void)state;
    parse(ARGV("-hf", "user/model:Q4"), ENV(NULL));
    assert_true(c.classic);
    assert_null(c.model);
    assert_string_equal(engine_value("-hf"), "user/model:Q4");
    parse(ARGV(NULL), ENV("LLAMA_ARG_HF_REPO=user/model"));
    assert_true(c.classic);
    assert_string_equal(engine_value("-hf"), "user/model");
}

/* As llama-server has it. */
static void a_variable_makes_classic_mode_too(void **state)
{
    (void)state;
    parse(ARGV(MODELS), ENV("LLAMA_ARG_MODEL=a.gguf"));
    assert_true(c.classic);
    assert_string_equal(c.model, "a.gguf");
    parse(ARGV(MODELS, "-m", "b.gguf"), ENV("LLAMA_ARG_MODEL=a.gguf"));
    assert_true(c.classic);
    assert_string_equal(c.model, "b.gguf");
    parse(ARGV(MODELS), ENV("LLAMA_ARG_HF_REPO=user/model"));
    assert_true(c.classic);
    assert_string_equal(engine_value("-hf"), "user/model");
    parse(ARGV("--models-preset", "p.ini"), ENV("LLAMA_ARG_MODEL=a.gguf"));
    assert_true(c.classic);
    assert_string_equal(c.model, "a.gguf");
}

/* llama.cpp's own choice of a model and its settings, as with llama-server. */
static void a_set_is_one_model(void **state)
{
    (void)state;
    parse(ARGV(MODELS, "--port", "7", "--gpt-oss-20b-default"), ENV("LLAMA_ARG_PORT=6"));
    assert_true(c.classic);
    assert_null(c.model);
    assert_int_equal(c.port, 8013);
    assert_string_equal(engine_value("--gpt-oss-20b-default"), "on");
    parse(ARGV("--gpt-oss-20b-default", "--port", "7"), ENV(NULL));
    assert_true(c.classic);
    assert_int_equal(c.port, 7);
}

/* llama-server is a router with it, too. */
static void a_url_gives_way_to_a_folder(void **state)
{
    (void)state;
    parse(ARGV(MODELS, "-mu", "http://x/y.gguf"), ENV(NULL));
    assert_false(c.classic);
    assert_null(engine_value("-mu"));
    parse(ARGV("-mu", "http://x/y.gguf"), ENV("LLAMA_ARG_MODELS_DIR=/m"));
    assert_false(c.classic);
    parse(ARGV("-mu", "http://x/y.gguf"), ENV(NULL));
    assert_true(c.classic);
}

/* `--model "$MODEL"` in a script that did not set it. */
static void an_empty_name_is_no_model(void **state)
{
    (void)state;
    parse(ARGV(MODELS, "-m", "", "-hf", ""), ENV(NULL));
    assert_false(c.classic);
    assert_null(c.model);
    assert_null(engine_value("-hf"));
    parse(ARGV(MODELS, "-m", "x.gguf", "-m", ""), ENV("LLAMA_ARG_MODEL="));
    assert_false(c.classic);
    parse(ARGV(MODELS, "-m", ""), ENV("LLAMA_ARG_MODEL=x.gguf"));
    assert_false(c.classic);
    parse(ARGV(MODELS, "-hf", ""), ENV("LLAMA_ARG_HF_REPO=user/model"));
    assert_false(c.classic);
    assert_null(engine_value("-hf"));
}

/* What stands before it must be right, what follows is not read: as llama-server has it. */
static void options_that_end_the_process(void **state)
{
    (void)state;
    parse(ARGV(MODELS, "--list-devices", "--no-such", "--ssl-key-file"), ENV(NULL));
    assert_string_equal(c.ends->canonical, "--list-devices");
    parse(ARGV("-m", "x.gguf", "-cl"), ENV(NULL));
    assert_string_equal(c.ends->canonical, "--cache-list");
    parse(ARGV("--ssl-key-file", "x", "--version"), ENV(NULL));
    assert_string_equal(c.ends->canonical, "--version");
    refuse(ARGV("--no-such", "--version"), ENV(NULL), "unknown option");
    refuse(ARGV("--version"), ENV("LLAMA_ARG_PORT=x"), "LLAMA_ARG_PORT");
    parse(ARGV(MODELS), ENV(NULL));
    assert_null(c.ends);
}

/* A router on the cache alone. */
static void no_models(void **state)
{
    (void)state;
    parse(ARGV(NULL), ENV("HF_HOME=/hf"));
    assert_false(c.classic);
    assert_null(c.models_dir);
    assert_null(c.models_preset);
    assert_non_null(c.cache_dir);
}

static void assert_state_dir(const char *wanted)
{
    if (wanted) {
        assert_non_null(c.state_dir);
        assert_string_equal(c.state_dir, wanted);
    } else {
        assert_null(c.state_dir);
    }
}

static void where_its_state_is(void **state)
{
    (void)state;
    parse(ARGV(MODELS), ENV("HOME=/h"));
    assert_state_dir("/h/.local/state/hostler");
    assert_false(c.state_dir_given);
    parse(ARGV(MODELS), ENV("HOME=/h", "XDG_STATE_HOME=/x"));
    assert_state_dir("/x/hostler");
    parse(ARGV(MODELS), ENV("HOME=/h", "XDG_STATE_HOME=relative"));
    assert_state_dir("/h/.local/state/hostler");
    parse(ARGV(MODELS), ENV("HOME=/h", "XDG_STATE_HOME=/x", "STATE_DIRECTORY=/s:/t"));
    assert_state_dir("/s");
    parse(ARGV(MODELS), ENV(NULL));
    assert_state_dir(NULL);
    parse(ARGV(MODELS, "--state-dir", "/d"), ENV("HOME=/h"));
    assert_state_dir("/d");
    assert_true(c.state_dir_given);
    /* What the status tells is of use to others, who are elsewhere. */
    char here[PATH_MAX], wanted[PATH_MAX + 16];
    assert_non_null(getcwd(here, sizeof here));
    parse(ARGV(MODELS, "--state-dir", "d", "--log-file", "l"), ENV("HOME=/h"));
    snprintf(wanted, sizeof wanted, "%s/d", here);
    assert_state_dir(wanted);
    snprintf(wanted, sizeof wanted, "%s/l", here);
    assert_string_equal(c.log_file, wanted);
    parse(ARGV(MODELS, "--state-dir", "off"), ENV("HOME=/h"));
    assert_state_dir(NULL);
}

/* --- keys and the engine ----------------------------------------------------------------- */

/* `# name: TEXT` right above a key. */
static void assert_prompt_cache(const char *wanted, uint64_t size)
{
    if (wanted) {
        assert_non_null(c.prompt_cache_dir);
        assert_string_equal(c.prompt_cache_dir, wanted);
    } else {
        assert_null(c.prompt_cache_dir);
    }
    assert_int_equal(c.prompt_cache_size, size);
}

static void where_prompt_caches_are(void **state)
{
    (void)state;
    parse(ARGV(MODELS), ENV("HOME=/h"));
    assert_prompt_cache("/h/.local/state/hostler/prompt-cache", 0);
    parse(ARGV(MODELS, "--state-dir", "/s"), ENV("HOME=/h"));
    assert_prompt_cache("/s/prompt-cache", 0);
    parse(ARGV(MODELS, "--state-dir", "off"), ENV("HOME=/h"));
    assert_prompt_cache(NULL, 0);
    parse(ARGV(MODELS, "--state-dir", "off", "--prompt-cache", "/p", "--prompt-cache-size", "1.5G"),
          ENV("HOME=/h"));
    assert_prompt_cache("/p", 1536ULL << 20);
    parse(ARGV(MODELS, "--prompt-cache", "off"), ENV("HOME=/h"));
    assert_prompt_cache(NULL, 0);
    parse(ARGV(MODELS), ENV("HOME=/h", "HOSTLER_PROMPT_CACHE=/p", "HOSTLER_PROMPT_CACHE_SIZE=4K"));
    assert_prompt_cache("/p", 4096);
}

static void names_of_keys_in_a_file(void **state)
{
    char keys[100];
    (void)state;
    put("keys",
        "# name: us\n\nk1\n#name:alice\nk2\nk3\n## \t name: bob of sales\r\nk4\r\n#old-k5\nk5\n# "
        "name:\nk6\n",
        0600);
    snprintf(keys, sizeof keys, "%s/keys", folder);
    parse(ARGV(MODELS, "--api-key", "k0", "--api-key-file", keys), ENV(NULL));
    assert_string_equal(keys_find(&c.api_keys, "k0"), "key 1");
    assert_string_equal(keys_find(&c.api_keys, "k1"), "key 2");
    assert_string_equal(keys_find(&c.api_keys, "k2"), "alice");
    assert_string_equal(keys_find(&c.api_keys, "k3"), "key 4");
    assert_string_equal(keys_find(&c.api_keys, "k4"), "bob of sales");
    assert_string_equal(keys_find(&c.api_keys, "k5"), "key 6"); /* no name is a key of before */
    assert_string_equal(keys_find(&c.api_keys, "k6"), "key 7");
    put("keys", "# a comment\nk1\r\n\nk,2\n", 0600);
}

static void keys_from_a_file(void **state)
{
    (void)state;
    char keys[100], none[100];
    snprintf(keys, sizeof keys, "%s/keys", folder);
    snprintf(none, sizeof none, "%s/no-keys", folder);
    parse(ARGV(MODELS, "--api-key-file", keys, "--api-key", "k3"), ENV(NULL));
    assert_int_equal(c.api_keys.n, 3);
    assert_non_null(keys_find(&c.api_keys, "k1"));
    assert_non_null(keys_find(&c.api_keys, "k,2"));
    assert_non_null(keys_find(&c.api_keys, "k3"));
    assert_null(keys_find(&c.api_keys, "# a comment"));
    assert_null(keys_find(&c.api_keys, ""));
    refuse(ARGV(MODELS, "--api-key-file", none), ENV(NULL), "holds no key");
}

/* As editors of Windows write a text. */
static void keys_behind_a_byte_order_mark(void **state)
{
    char keys[100];
    (void)state;
    put("keys", "\xef\xbb\xbfk1\r\nk2\r\n", 0600);
    snprintf(keys, sizeof keys, "%s/keys", folder);
    parse(ARGV(MODELS, "--api-key-file", keys), ENV(NULL));
    assert_int_equal(c.api_keys.n, 2);
    assert_non_null(keys_find(&c.api_keys, "k1"));
    put("keys", "\xef\xbb\xbf# name: us\nk1\n", 0600);
    parse(ARGV(MODELS, "--api-key-file", keys), ENV(NULL));
    assert_int_equal(c.api_keys.n, 1);
    assert_string_equal(keys_find(&c.api_keys, "k1"), "us");
    put("keys", "# a comment\nk1\r\n\nk,2\n", 0600);
}

static void the_engine_is_found(void **state)
{
    (void)state;
    parse(ARGV(MODELS, "--engine", engine), ARGV("LLAMA_SERVER=/nonexistent"));
    assert_string_equal(c.engine.path, engine);
    parse(ARGV(MODELS), ENV(NULL));
    assert_string_equal(c.engine.path, engine);
    parse(ARGV(MODELS, "--engine", "/nonexistent", "--engine", engine), ENV(NULL));
    assert_string_equal(c.engine.path, engine);
    parse(ARGV(MODELS), ARGV(path_variable));
    assert_string_equal(c.engine.path, engine);
}

static void no_engine(void **state)
{
    (void)state;
    refuse(ARGV(MODELS), ARGV("PATH=/nonexistent"), "no engine: 'llama-server' is not there");
    refuse(ARGV(MODELS, "--engine", "/nonexistent"), ENV(NULL), "no engine: '/nonexistent'");
    refuse(ARGV(MODELS, "--engine", "/bin/true"), ENV(NULL), "no llama-server");
    refuse(ARGV(MODELS, "--engine"), ENV(NULL), "--engine needs a value: --engine PATH");
}

static void the_table_is_complete(void **state)
{
    (void)state;
    const struct config_option *o;
    for (size_t i = 0; (o = config_option_at(i)); i++) {
        assert_int_equal(o->names[0][0], '-');
        assert_non_null(o->help);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, NULL, finish)
    const struct CMUnitTest tests[] = {
        TEST(defaults),
        TEST(each_option),
        TEST(each_variable),
        TEST(the_command_line_wins),
        TEST(the_last_one_wins),
        TEST(an_empty_variable_is_none),
        TEST(options_of_the_engine),
        TEST(variables_of_the_engine),
        TEST(unknown_options_name_the_nearest),
        TEST(missing_values),
        TEST(bad_values),
        TEST(a_time_too_long),
        TEST(https_needs_two_files),
        TEST(what_is_below_a_prefix),
        TEST(which_page),
        TEST(a_timeout_is_the_engines_too),
        TEST(an_empty_text_is_none),
        TEST(who_may_ask_from_elsewhere),
        TEST(underscores_in_our_own_options),
        TEST(classic_mode),
        TEST(a_repository_is_one_model),
        TEST(a_variable_makes_classic_mode_too),
        TEST(a_set_is_one_model),
        TEST(a_url_gives_way_to_a_folder),
        TEST(an_empty_name_is_no_model),
        TEST(options_that_end_the_process),
        TEST(no_models),
        TEST(where_its_state_is),
        TEST(where_prompt_caches_are),
        TEST(names_of_keys_in_a_file),
        TEST(keys_from_a_file),
        TEST(keys_behind_a_byte_order_mark),
        TEST(the_engine_is_found),
        TEST(no_engine),
        TEST(the_table_is_complete),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
