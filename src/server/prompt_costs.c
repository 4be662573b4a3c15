/* SPDX-License-Identifier: MIT */
#include "server/prompt_costs.h"

#define COMPUTED_MIN                                                                               \
    32             /* tokens: fewer are computed in one small batch, which takes longer a token */
#define WEIGHT 0.3 /* of a new figure */
#define DOUBT 0.95

/* Until something was saved: SmolLM2-135M takes 0.011 ms a token to save and 0.004 to restore (2,550 tokens, 56 MiB);
 * larger models more, but computing takes more, too. */
#define SAVE 0.04
#define RESTORE 0.02
#define FIXED_MS 5 /* of a request to the engine */

static void note(double *figure, double value)
{
    *figure = *figure > 0 ? *figure + WEIGHT * (value - *figure) : value;
}

void prompt_costs_note_computed(struct prompt_costs *c, uint64_t computed, double ms)
{
    if (computed >= COMPUTED_MIN && ms > 0)
        note(&c->token, ms / (double)computed);
}

void prompt_costs_note_saved(struct prompt_costs *c, uint64_t tokens, uint64_t bytes, double ms)
{
    if (!tokens)
        return;
    note(&c->save, ms / (double)tokens);
    note(&c->bytes, (double)bytes / (double)tokens);
}

void prompt_costs_note_restored(struct prompt_costs *c, uint64_t tokens, double ms)
{
    if (tokens)
        note(&c->restore, ms / (double)tokens);
}

void prompt_costs_doubt(struct prompt_costs *c)
{
    c->restore *= DOUBT;
}

double prompt_costs_save(const struct prompt_costs *c, uint64_t tokens)
{
    return FIXED_MS + (c->save > 0 ? c->save : SAVE) * (double)tokens;
}

double prompt_costs_restore(const struct prompt_costs *c, uint64_t tokens)
{
    return FIXED_MS + (c->restore > 0 ? c->restore : RESTORE) * (double)tokens;
}

bool prompt_costs_worth_saving(const struct prompt_costs *c, uint64_t tokens, uint64_t saved,
                               enum prompt_moment moment)
{
    static const double margin[] = {[PROMPT_AT_STOP] = 2, [PROMPT_WHILE_RUNNING] = 4};
    static const double least[] = {
        [PROMPT_AT_STOP] = PROMPT_GAIN_MIN_MS, [PROMPT_WHILE_RUNNING] = 5.0 * PROMPT_GAIN_MIN_MS};
    double gain = tokens > saved ? c->token * (double)(tokens - saved) : 0;
    double cost = prompt_costs_save(c, tokens) + prompt_costs_restore(c, tokens);
    return gain >= least[moment] && gain > margin[moment] * cost;
}

bool prompt_costs_worth_restoring(const struct prompt_costs *c, uint64_t tokens, double gain_ms)
{
    return gain_ms >= PROMPT_GAIN_MIN_MS && gain_ms > 2 * prompt_costs_restore(c, tokens);
}
