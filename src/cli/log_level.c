/* SPDX-License-Identifier: MIT */
/* hostler log-level: what the server's log tells, and changes that while it runs. */
#include "cli/hostler_command.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/peer/router.h"

static int show_or_set(struct router *r, const struct cli_args *a, void *ctx)
{
    struct router_answer answer;
    const char *level = a->n_operands ? a->operands[0] : NULL;
    (void)ctx;
    int status = router_ask(r, level ? "POST" : "GET", "/hostler/v1/log-level",
                            level ? json_pack("{s:o}", "level", cli_json_string(level)) : NULL,
                            r->timeout_ms, &answer);
    if (status)
        return status;
    if (answer.status != 200) {
        cli_error(r->cli, "%s", router_message(&answer));
        status = CLI_SOME_FAILED;
    } else if (r->cli->json) {
        cli_print_json(json_incref(answer.body));
    } else {
        cli_print("%s", cli_json_text_or(answer.body, "level", ""));
    }
    router_answer_finish(&answer);
    return status;
}

int cli_log_level(struct cli *cli, int argc, char **argv)
{
    static const struct hostler_command command = {"log-level", "has no log whose level can change",
                                                   show_or_set};
    return hostler_command(cli, argc, argv, &command, NULL);
}
