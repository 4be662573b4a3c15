/* SPDX-License-Identifier: MIT */
/* What answers and events say of a model, as JSON. Each O(what it writes), whatever the number of models. */
#ifndef HOSTLER_API_MODEL_JSON_H
#define HOSTLER_API_MODEL_JSON_H

#include <jansson.h>

#include "server/downloads.h"
#include "server/host.h"

/* A model as GET /models lists it. */
json_t *model_json_entry(struct model *m);
/* The same without what operators said and who they are, and without log lines: for callers without
 * RIGHT_STATUS. */
json_t *model_json_public_entry(struct model *m);
/* A model that is being downloaded, likewise. */
json_t *model_json_download(const struct downloads_item *item);
/* {"host":bytes,"gpu0":bytes}: of each device that is looked at. */
json_t *model_json_bytes(const struct host *host, const uint64_t *bytes);
/* {"source","memory","mapped","undecided"?}; null when it is not known, or `f` is NULL. */
json_t *model_json_footprint(const struct host *host, const struct footprint *f);
/* `memory` by device and `memory_source`: what its engine has now, without an engine what one would
 * take; without what it maps of a file, which goes on being free memory. Nothing while unknown. */
void model_json_add_memory(struct model *m, json_t *o);
/* The same of a running engine. */
void model_json_add_instance_memory(const struct instance *i, json_t *o);
/* `card` {"pci","uuid","product"}, if the device is the memory of one. */
void model_json_add_card(json_t *o, const struct memory_figures *figures, size_t device);
/* What was wanted of its load alone: {"args":{OPTION:VALUE},"ttl_ms"?}; null: nothing. */
json_t *model_json_load(const struct model *m);
/* {"at","model","event","why"} */
json_t *model_json_change(const struct history_entry *e);
/* {"model","until","reason","by"}; `until` in Unix seconds, null: until released. */
json_t *model_json_hold(const struct model *m);

#endif
