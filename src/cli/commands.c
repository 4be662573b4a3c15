/* SPDX-License-Identifier: MIT */
/* The commands and their options: all that --help, parsing and completion know. */
#include "cli/options.h"

#define JSON_OPTION                                                                                \
    {                                                                                              \
        "--json", CLI_SWITCH, NULL, NULL, NULL, "print JSON, with exact figures", false            \
    }

static const struct cli_option list_options[] = {
    JSON_OPTION,
    {"--reload", CLI_SWITCH, NULL, NULL, NULL, "have the server look for new models first", false},
    {"--names", CLI_SWITCH, NULL, NULL, NULL, "only the names, quickly: for completion", true},
    {0},
};

static const struct cli_option load_options[] = {
    {"--no-wait", CLI_SWITCH, NULL, NULL, NULL, "request the load and do not wait until ready",
     false},
    {"--timeout", CLI_VALUE, "TIME", "as long as the server takes", NULL,
     "wait no longer; 0: without a limit", false},
    {"--ttl", CLI_VALUE, "TIME", "as the presets say", NULL,
     "unload it when it is idle for so long; 0: never. Also of what is loaded", false},
    JSON_OPTION,
    {0},
};

static const struct cli_option unload_options[] = {
    {"--all", CLI_SWITCH, NULL, NULL, NULL, "every model that is loaded", false},
    {"--except", CLI_REPEATED, "MODEL", NULL, NULL, "but not this one", false},
    {"--drain", CLI_VALUE, "TIME", NULL, NULL,
     "let running requests finish for at most TIME, then abort them. Without it, a model that "
     "is still busy after the server's --drain-timeout stays loaded",
     false},
    {"--force", CLI_SWITCH, NULL, NULL, NULL, "unload at once; running requests end with an error",
     false},
    {"--hold", CLI_OPTIONAL, "TIME", NULL, NULL,
     "requests do not load it until it is released, or for TIME", false},
    {"--reason", CLI_VALUE, "TEXT", NULL, NULL, "a text for the log and the hold", false},
    {"--forget", CLI_SWITCH, NULL, NULL, NULL,
     "do not save their prompts, and remove those that are saved", false},
    {"--timeout", CLI_VALUE, "TIME", "30s; on hostler as long as it takes", NULL,
     "wait no longer for engines to end; 0: without a limit", false},
    {"--dry-run", CLI_SWITCH, NULL, NULL, NULL, "print what would be done, and do nothing", false},
    JSON_OPTION,
    {0},
};

static const struct cli_option hold_options[] = {
    {"--all", CLI_SWITCH, NULL, NULL, NULL, "every model", false},
    {"--for", CLI_VALUE, "TIME", "until released", NULL, "end the hold after TIME", false},
    {"--reason", CLI_VALUE, "TEXT", NULL, NULL, "shown to clients whose requests are refused",
     false},
    JSON_OPTION,
    {0},
};

static const struct cli_option release_options[] = {
    {"--all", CLI_SWITCH, NULL, NULL, NULL, "every model that is held", false},
    JSON_OPTION,
    {0},
};

static const struct cli_option run_options[] = {
    {"--system", CLI_VALUE, "TEXT", NULL, NULL, "the system prompt", false},
    {"--max-tokens", CLI_VALUE, "N", "the server's", NULL, "end the answer after N tokens", false},
    {"--temperature", CLI_VALUE, "T", "the server's", NULL, "0 picks the likeliest token", false},
    {"--set", CLI_REPEATED, "NAME=VALUE", NULL, NULL,
     "what /set sets in a conversation: top_p, top_k, seed, think, …", false},
    {"--image", CLI_REPEATED, "PATH", NULL, NULL, "an image file to send with the prompt", false},
    {"--json", CLI_SWITCH, NULL, NULL, NULL, "print the whole answer as one JSON object", false},
    {0},
};

#define ENGINE_VALUE(name, arg, help)                                                              \
    {                                                                                              \
        name, CLI_VALUE, arg, "the model's own", NULL, help, false                                 \
    }
#define ENGINE_SWITCH(name, help)                                                                  \
    {                                                                                              \
        name, CLI_SWITCH, NULL, NULL, NULL, help, false                                            \
    }

static const struct cli_option estimate_options[] = {
    ENGINE_VALUE("--ctx-size", "N", "context in tokens"),
    ENGINE_VALUE("--parallel", "N", "requests at once"),
    ENGINE_VALUE("--n-gpu-layers", "N", "layers on the GPU"),
    ENGINE_VALUE("--n-cpu-moe", "N", "layers whose experts stay on the host"),
    ENGINE_VALUE("--cache-type-k", "TYPE", "type of the cache's keys: f16, q8_0, …"),
    ENGINE_VALUE("--cache-type-v", "TYPE", "type of the cache's values"),
    ENGINE_VALUE("--batch-size", "N", "tokens of a batch"),
    ENGINE_VALUE("--ubatch-size", "N", "tokens computed at once"),
    ENGINE_VALUE("--flash-attn", "on|off|auto", "Flash Attention"),
    ENGINE_VALUE("--split-mode", "MODE", "how the model is split over several GPUs"),
    ENGINE_VALUE("--tensor-split", "N0,N1,…", "the share of each GPU"),
    ENGINE_SWITCH("--cpu-moe", "all experts stay on the host"),
    ENGINE_SWITCH("--swa-full", "keep the full cache of sliding-window layers"),
    JSON_OPTION,
    {0},
};

static const struct cli_option requests_options[] = {
    {"-n", CLI_VALUE, "N", "20", NULL, "the number of requests, newest first", false},
    {"--state", CLI_VALUE, "STATE", NULL, NULL, "only these: waiting, running or done", false},
    JSON_OPTION,
    {0},
};

static const struct cli_option logs_options[] = {
    {"-n", CLI_VALUE, "N", "100", NULL, "the last N lines", false},
    {"-f", CLI_SWITCH, NULL, NULL, NULL, "and those that come, until Ctrl-C", false},
    {"--json", CLI_SWITCH, NULL, NULL, NULL, "a JSON object a line: {\"line\":\"…\"}", false},
    {0},
};

static const struct cli_option json_options[] = {JSON_OPTION, {0}};

static const struct cli_option help_options[] = {
    {"--man", CLI_SWITCH, NULL, NULL, NULL, "as the source of a manual page, without prose", true},
    {0},
};
static const struct cli_option top_options[] = {
    {"--interval", CLI_VALUE, "TIME", "1s", NULL,
     "how often the server is polled; changes of models are shown at once in any case", false},
    {0},
};

static const struct cli_option no_options[] = {{0}};

const struct cli_command cli_commands[] = {
    /* serve reads its own options, because the engine's belong to them. */
    {"serve", cli_serve, "", "Runs the daemon", NULL, NULL, 0, CLI_MANY, NULL, CLI_LOCAL},
    {"list", cli_list, "", "Lists every model: state, size, context, memory, source, aliases",
     "MEMORY is what the engine of a loaded model holds, else what it would need; `~`\n"
     "marks an estimate. Mapped weights are not included: see `hostler show`.\n"
     "Works on a stock llama.cpp router, llama-swap and Ollama, too.",
     list_options, 0, 0, NULL, 0},
    {"ps", cli_ps, "", "Lists the engines: what is loaded, with its memory and use",
     "Works on a stock llama.cpp router, llama-swap and Ollama, too: what they do not\n"
     "tell is shown as `-`.",
     json_options, 0, 0, NULL, 0},
    {"load", cli_load, "MODEL...", "Loads models and waits until they are ready",
     "All loads are requested first, then waited for together. Options that are not\n"
     "listed here are the engine's, and count for this load alone: `hostler load coder\n"
     "--ctx-size 65536`. What follows one is its value; of a switch say `=on` or `=off`.",
     load_options, 1, CLI_MANY, "which model?", CLI_ENGINES_OPTIONS},
    {"unload", cli_unload, "MODEL... | --all", "Unloads models and prints the memory freed",
     "Requests in flight are finished first. Works on a stock llama.cpp router,\n"
     "llama-swap and Ollama, too: the first two cut requests off, and --drain,\n"
     "--force, --hold, --reason and --forget are refused there. A model that is loaded\n"
     "again at once counts as failed; hostler names the request that loaded it.",
     unload_options, 0, CLI_MANY, NULL, 0},
    {"hold", cli_hold, "MODEL... | --all", "Keeps models from loading",
     "What is loaded stays loaded: `hostler unload --hold` does both. A hold ends\n"
     "with `hostler release` or `hostler load`.",
     hold_options, 0, CLI_MANY, NULL, 0},
    {"release", cli_release, "MODEL... | --all", "Ends holds: requests load these models again",
     NULL, release_options, 0, CLI_MANY, NULL, 0},
    {"run", cli_run, "MODEL [PROMPT]", "Chats with a model",
     "The prompt is the words after MODEL, then the piped input. A word that names an\n"
     "image file sends that image along, if the model takes images. Without a prompt,\n"
     "on a terminal, it is a conversation: Ctrl-C stops an answer, Ctrl-D ends, /help\n"
     "lists the commands. Its history is kept.\n"
     "Reasoning is shown on stderr, and only on a terminal: stdout is the answer and\n"
     "nothing else. Works on a stock llama.cpp router, too.",
     run_options, 1, CLI_MANY, "which model?", 0},
    {"show", cli_show, "MODEL", "Shows all that is known of a model",
     "Its header, its arguments and the origin of each, the memory that it needs, why\n"
     "its engine last ended, and its history: who loaded it, who unloaded it.",
     json_options, 1, 1, "which model?", 0},
    {"estimate", cli_estimate, "MODEL",
     "Prints the memory a model needs, and which models it would evict",
     "Exit status 0: it fits, perhaps when others are evicted; 1: it does not.", estimate_options,
     1, 1, "which model?", 0},
    {"requests", cli_requests, "[MODEL]",
     "Lists requests: when, from whom, which one loaded a model", NULL, requests_options, 0, 1,
     NULL, 0},
    {"events", cli_events, "[MODEL]", "Follows the events of models, one per line",
     "The time is local. With --json each event is as the server sends it, and a\n"
     "`time` in UTC is added. Ends with Ctrl-C. Works on a stock llama.cpp router, too.",
     json_options, 0, 1, NULL, 0},
    {"logs", cli_logs, "[MODEL]", "Prints the log: the server's, and the engines'",
     "With MODEL its engine's output and the server's lines about it. The time is\n"
     "local, and with --json as the server writes it, in UTC.",
     logs_options, 0, 1, NULL, 0},
    {"log-level", cli_log_level, "[error|warn|info|debug]",
     "Prints what the server's log tells, or changes it while the server runs",
     "It stays so until the server ends: --log-level says what it begins with.", json_options, 0, 1,
     NULL, 0},
    {"cache", cli_cache, "[list|clear] [MODEL...]",
     "Lists or removes saved prompts, which models need not compute again",
     "The prompts of conversations are saved when their engine stops, and restored\n"
     "when one of them goes on. `hostler cache clear` removes them all, with MODEL\n"
     "those of that model; a loaded model keeps what it has in memory.",
     json_options, 0, CLI_MANY, NULL, 0},
    {"pin", cli_pin, "MODEL...", "Keeps models from being evicted",
     "Overrides the preset and outlasts a restart. An operator can still unload them.",
     json_options, 1, CLI_MANY, "which model?", 0},
    {"unpin", cli_unpin, "MODEL...", "Lets models be evicted again", NULL, json_options, 1,
     CLI_MANY, "which model?", 0},
    {"top", cli_top, "", "Shows the server live on the whole terminal: models, memory, requests",
     "Keys load, unload, hold and pin models, filter, sort, follow a log; `?` lists\n"
     "them. Without a terminal, use `hostler ps`. Works on a stock llama.cpp router,\n"
     "too, with the data that it provides.",
     top_options, 0, 0, NULL, 0},
    {"doctor", cli_doctor, "[MODEL]", "Finds what is wrong and prints the command that fixes it",
     "Checks the server and, when it is on this machine, its engine, files, presets\n"
     "and limits, and other programs that hold memory. With MODEL, also whether that\n"
     "model can be loaded. Changes nothing. Exit status: 0 nothing is wrong; 1\n"
     "something is; 3 no router answers; 4 the key is refused.",
     json_options, 0, 1, NULL, 0},
    {"completion", cli_completion, "bash|zsh|fish", "Prints completion for a shell",
     "  bash: source <(hostler completion bash)\n"
     "  zsh:  hostler completion zsh > \"${fpath[1]}/_hostler\"\n"
     "  fish: hostler completion fish > ~/.config/fish/completions/hostler.fish",
     no_options, 1, 1, "for which shell?", CLI_LOCAL},
    {"help", cli_help, "[COMMAND]", "Explains a command", NULL, help_options, 0, 1, NULL,
     CLI_LOCAL},
    {"version", cli_version, "", "Prints the version of this program and of the server", NULL,
     json_options, 0, 0, NULL, 0},
    {0},
};
