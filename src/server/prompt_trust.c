/* SPDX-License-Identifier: MIT */
#include "server/prompt_trust.h"

#include <string.h>

#define SECTION "prompts"
#define REMEMBERED 500

static const char *const names[] = {
    [PROMPT_SAVE] = "failed saves", [PROMPT_RESTORE] = "failed restores"};

static json_int_t failures(const json_t *record, enum prompt_deed deed)
{
    return json_integer_value(json_object_get(record, names[deed]));
}

bool prompt_trust_is_lost(const struct state *s, const char *identity)
{
    const json_t *record = state_get(s, SECTION, identity);
    return failures(record, PROMPT_SAVE) >= PROMPT_FAILURES_MAX ||
           failures(record, PROMPT_RESTORE) >= PROMPT_FAILURES_MAX;
}

/* What state_get() returned must not be changed. */
static json_t *copy(const struct state *s, const char *identity)
{
    json_t *record = json_copy(state_get(s, SECTION, identity));
    return record ? record : json_object();
}

void prompt_trust_note_success(struct state *s, const char *identity, enum prompt_deed deed)
{
    if (!failures(state_get(s, SECTION, identity), deed))
        return;
    json_t *record = copy(s, identity);
    json_object_del(record, names[deed]);
    state_set(s, SECTION, identity, record, REMEMBERED);
}

void prompt_trust_note_failure(struct state *s, const char *identity, const char *model,
                               enum prompt_deed deed)
{
    json_t *record = copy(s, identity);
    json_object_set_new(record, "model", json_string(model));
    json_object_set_new(record, names[deed], json_integer(failures(record, deed) + 1));
    state_set(s, SECTION, identity, record, REMEMBERED);
}

void prompt_trust_reset(struct state *s, const char *model)
{
    const char *identity;
    const json_t *record;
    json_t *all = json_copy((json_t *)state_section(s, SECTION));
    json_object_foreach (all, identity, record) {
        const char *of = json_string_value(json_object_get(record, "model"));
        if (!model || (of && strcmp(of, model) == 0))
            state_set(s, SECTION, identity, NULL, REMEMBERED);
    }
    json_decref(all);
}
