// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What was decided, as a line of JSON. */
#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filter/engine.h"

/* Ancestors that are told. */
#define ANCESTRY_MAX 16u

static const char *const reasons[XVMI_REASONS] = {
    "rule", "default", "cached",    "fragment",   "arp",
    "nd",   "other",   "malformed", "unfiltered", "spoofed",
};

const char *xvmi_filter_reason_text(enum xvmi_filter_reason reason)
{
    return reason < XVMI_REASONS ? reasons[reason] : "unknown";
}

const char *xvmi_verdict_text(enum xvmi_verdict verdict)
{
    switch (verdict) {
    case XVMI_VERDICT_PASS:
        return "pass";
    case XVMI_VERDICT_DROP:
        return "drop";
    case XVMI_VERDICT_REJECT:
        return "reject";
    default:
        return "none";
    }
}

struct out {
    bool failed;
};

static void put(struct out *out, json_t *object, const char *key, json_t *value)
{
    out->failed |= json_object_set_new(object, key, value) != 0;
}

/* Guests may put any byte into names; what is not UTF-8 becomes U+FFFD byte by byte. */
static json_t *guest_text(const char *text, size_t len)
{
    json_t *json = json_stringn(text, len);
    if (json)
        return json;
    char *safe = malloc(3 * len + 1);
    size_t n = 0;
    if (!safe)
        return NULL;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x80) {
            safe[n++] = text[i];
        } else {
            memcpy(safe + n, "\xef\xbf\xbd", 3);
            n += 3;
        }
    json = json_stringn(safe, n);
    free(safe);
    return json;
}

static json_t *text_json(struct xf_facts *facts, uint32_t holder, uint32_t depth,
                         enum xf_about about)
{
    const char *text;
    size_t len;
    if (facts->text(facts, holder, depth, about, &text, &len) != XF_KNOWN)
        return json_null();
    return guest_text(text, len);
}

static void put_process(struct out *out, json_t *o, struct xf_facts *facts, uint32_t holder,
                        uint32_t depth, const struct xvmi_task *task)
{
    put(out, o, "pid", json_integer(task->pid));
    put(out, o, "uid", json_integer(task->uid));
    put(out, o, "comm", guest_text(task->comm, strnlen(task->comm, sizeof(task->comm))));
    put(out, o, "exe", text_json(facts, holder, depth, XF_ABOUT_EXE));
}

static json_t *ancestry_json(struct out *out, struct xf_facts *facts, uint32_t holder)
{
    json_t *array = json_array();
    const struct xvmi_task *task;
    for (uint32_t depth = 1; depth <= ANCESTRY_MAX; depth++) {
        if (facts->task(facts, holder, depth, &task) != XF_KNOWN)
            break;
        json_t *o = json_object();
        put_process(out, o, facts, holder, depth, task);
        out->failed |= json_array_append_new(array, o) != 0;
    }
    return array;
}

/* The first holder in full; how many there are besides. */
static json_t *owner_json(struct out *out, struct xf_facts *facts)
{
    const struct xvmi_owner *owner;
    const struct xvmi_task *task;
    enum xf_known known = facts->owner(facts, true, &owner);
    if (known != XF_KNOWN)
        return json_null();
    json_t *o = json_object(), *cgroup;
    put(out, o, "kind", json_string(xvmi_owner_kind_text(owner->kind)));
    put(out, o, "via",
        json_sprintf("%s,%s", xvmi_via_socket_text(owner->via_socket),
                     xvmi_via_process_text(owner->via_process)));
    if (owner->kind == XVMI_OWNER_NONE || xf_is_answer(owner))
        return o;
    put(out, o, "socket_uid", json_integer(owner->socket.uid));
    put(out, o, "netns", json_integer(owner->socket.netns));
    bool held = facts->task(facts, 0, 0, &task) == XF_KNOWN;
    if (held)
        put_process(out, o, facts, 0, 0, task);
    cgroup = text_json(facts, XF_OF_SOCKET, 0, XF_ABOUT_CGROUP);
    if (json_is_null(cgroup) && held)
        cgroup = text_json(facts, 0, 0, XF_ABOUT_CGROUP);
    put(out, o, "cgroup", cgroup);
    if (held)
        put(out, o, "ancestry", ancestry_json(out, facts, 0));
    put(out, o, "holders", json_integer(owner->n_owners));
    put(out, o, "more", json_boolean(owner->more));
    return o;
}

static json_t *flow_json(struct out *out, const struct xvmi_flow *flow)
{
    char text[INET6_ADDRSTRLEN];
    int family = flow->family == 2 ? AF_INET : AF_INET6;
    if (!flow->family)
        return json_null();
    json_t *o = json_object();
    const char *proto = xf_proto_word(flow->proto);
    put(out, o, "proto", proto ? json_string(proto) : json_sprintf("%u", flow->proto));
    put(out, o, "direction", json_string(flow->direction == XVMI_FLOW_IN ? "in" : "out"));
    inet_ntop(family, flow->local, text, sizeof(text));
    put(out, o, "local", json_string(text));
    put(out, o, "lport", json_integer(flow->lport));
    inet_ntop(family, flow->remote, text, sizeof(text));
    put(out, o, "remote", json_string(text));
    put(out, o, "rport", json_integer(flow->rport));
    return o;
}

static json_t *rule_json(struct out *out, const struct xvmi_filter_event *event)
{
    if (!event->file)
        return json_null();
    json_t *o = json_object();
    put(out, o, "number", json_integer(event->rule));
    put(out, o, "file", guest_text(event->file, strlen(event->file)));
    put(out, o, "line", json_integer(event->line));
    put(out, o, "column", json_integer(event->column));
    return o;
}

static void put_decision(struct out *out, json_t *o, const struct xvmi_filter_event *event)
{
    put(out, o, "verdict", json_string(xvmi_verdict_text(event->verdict)));
    put(out, o, "action", json_string(xvmi_verdict_text(event->action)));
    put(out, o, "reason", json_string(xvmi_filter_reason_text(event->reason)));
    put(out, o, "rule", rule_json(out, event));
    put(out, o, "audit", event->audit ? json_integer(event->audit) : json_null());
    put(out, o, "log", json_boolean(event->log));
    put(out, o, "uncertain", json_boolean(event->uncertain));
    put(out, o, "cached", json_boolean(event->reason == XVMI_REASON_CACHED));
    if (event->malformed)
        put(out, o, "malformed", json_string(event->malformed));
    if (event->lookup)
        put(out, o, "lookup", json_string(xvmi_status_text(event->lookup)));
}

enum xvmi_status xvmi_filter_event_json(struct xvmi_filter *f,
                                        const struct xvmi_filter_event *event, char **json)
{
    struct out out = {0};
    json_t *o = json_object();
    bool decided = event->reason == XVMI_REASON_RULE || event->reason == XVMI_REASON_DEFAULT;
    put(&out, o, "time", json_integer((json_int_t)event->time));
    put(&out, o, "vm", guest_text(f->name, strlen(f->name)));
    put(&out, o, "flow", flow_json(&out, &event->flow));
    put_decision(&out, o, event);
    put(&out, o, "owner", decided ? owner_json(&out, &f->subject.facts) : json_null());
    put(&out, o, "latency_ns", json_integer((json_int_t)event->latency_ns));
    *json = out.failed ? NULL : json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return *json ? XVMI_OK : XVMI_ERR_NO_MEMORY;
}

enum xvmi_status xvmi_filter_learned(const struct xvmi_filter *f, char **policy)
{
    *policy = NULL;
    if (!f->learn)
        return XVMI_ERR_INVALID;
    *policy = xf_learn_write(f->learn, &f->stats, f->name);
    return *policy ? XVMI_OK : XVMI_ERR_NO_MEMORY;
}
