// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "kvm/qmp.h"
#include "support/fake-qmp.h"

/* For peers that answer: how long it may take on a busy machine. */
enum { LONG_MS = 60000, SHORT_MS = 50 };

struct talk {
    pid_t child;
    struct xk_qmp *qmp;
    enum xvmi_status status;
    struct xvmi_error err;
};

static void begin(struct talk *t, const char *greeting, const struct fake_answer *answers,
                  int timeout_ms)
{
    memset(t, 0, sizeof(*t));
    int fd = fake_qmp_start(greeting, answers, &t->child);
    cr_assert(fd >= 0);
    t->status = xk_qmp_start(fd, timeout_ms, &t->qmp, &t->err);
}

static void end(struct talk *t)
{
    if (!t->status)
        xk_qmp_close(t->qmp);
    fake_qmp_stop(t->child);
}

/* What query-status says to `reply`. */
static enum xvmi_status ask(const char *reply, int timeout_ms, struct xvmi_error *err)
{
    const struct fake_answer answers[] = {{"query-status", reply}, {NULL, NULL}};
    struct talk t;
    json_t *ret = NULL;
    begin(&t, FAKE_GREETING, answers, LONG_MS);
    cr_assert_eq(t.status, XVMI_OK, "%s", t.err.text);
    end(&t);
    begin(&t, FAKE_GREETING, answers, timeout_ms);
    if (t.status) { /* the short time was too short even for the greeting */
        *err = t.err;
        end(&t);
        return t.status;
    }
    enum xvmi_status s = xk_qmp_command(t.qmp, "query-status", NULL, &ret, err);
    json_decref(ret);
    end(&t);
    return s;
}

Test(kvm_qmp, command_and_answer)
{
    static const struct fake_answer answers[] = {
        {"\"execute\":\"query-status\"", "{\"return\": {\"status\": \"running\"}, \"id\": $ID}"},
        {"{\"command-line\":\"info x\",\"cpu-index\":3}",
         "{\"return\": \"text\\r\\n\", \"id\": $ID}"},
        {"{\"command-line\":\"info y\"}", "{\"return\": {}, \"id\": $ID}"},
        {NULL, NULL}};
    struct talk t;
    json_t *ret;
    char *text;
    begin(&t, FAKE_GREETING, answers, LONG_MS);
    cr_assert_eq(t.status, XVMI_OK, "%s", t.err.text);
    cr_assert_eq(xk_qmp_command(t.qmp, "query-status", NULL, &ret, NULL), XVMI_OK);
    cr_assert_str_eq(json_string_value(json_object_get(ret, "status")), "running");
    json_decref(ret);
    cr_assert_eq(xk_qmp_human(t.qmp, "info x", 3, &text, NULL), XVMI_OK);
    cr_assert_str_eq(text, "text\r\n");
    free(text);
    cr_assert_eq(xk_qmp_human(t.qmp, "info y", -1, &text, &t.err), XVMI_ERR_FORMAT);
    cr_assert_str_eq(t.err.text, "info y: QEMU's answer is not text");
    cr_assert_eq(xk_qmp_command(t.qmp, "query-none", NULL, NULL, &t.err), XVMI_ERR_UNSUPPORTED);
    cr_assert_str_eq(t.err.text, "query-none: QEMU says: The command has not been found");
    end(&t);
}

Test(kvm_qmp, events_come_between)
{
    static const struct fake_answer answers[] = {
        {"query-a", "{\"event\": \"STOP\"}\r\n{\"event\": \"RESUME\"}{\"return\": 1, \"id\": $ID}"},
        {"query-b",
         "{\"event\": \"RESET\", \"data\": {\"guest\": true}}{\"return\": 2, \"id\": $ID}"},
        {NULL, NULL}};
    struct talk t;
    json_t *ret;
    begin(&t, FAKE_GREETING, answers, LONG_MS);
    cr_assert_eq(xk_qmp_command(t.qmp, "query-a", NULL, &ret, NULL), XVMI_OK);
    cr_assert_eq(json_integer_value(ret), 1);
    json_decref(ret);
    cr_assert(!xk_qmp_take_reset(t.qmp));
    cr_assert_eq(xk_qmp_command(t.qmp, "query-b", NULL, NULL, NULL), XVMI_OK);
    cr_assert(xk_qmp_take_reset(t.qmp));
    cr_assert(!xk_qmp_take_reset(t.qmp));
    end(&t);
}

static void note(void *ctx, const char *name, const json_t *msg)
{
    char *seen = ctx;
    cr_assert_str_eq(json_string_value(json_object_get(msg, "event")), name);
    strcat(strcat(seen, name), " ");
}

/* What is complete is taken, what is not waits for its rest, and nothing waits for it. */
Test(kvm_qmp, pump)
{
    static const struct fake_answer answers[] = {
        {"query-a", "{\"return\": 1, \"id\": $ID}{\"event\": \"STOP\"}{\"event\": "},
        {"query-b", "\"RESUME\"}{\"return\": 2, \"id\": $ID}{\"event\": \"RESET\"}{\"return\": 0}"},
        {NULL, NULL}};
    struct talk t;
    char seen[64] = "";
    begin(&t, FAKE_GREETING, answers, LONG_MS);
    xk_qmp_on_event(t.qmp, note, seen);
    cr_assert_eq(xk_qmp_command(t.qmp, "query-a", NULL, NULL, NULL), XVMI_OK);
    cr_assert_eq(xk_qmp_pump(t.qmp, &t.err), XVMI_OK, "%s", t.err.text);
    cr_assert_eq(xk_qmp_command(t.qmp, "query-b", NULL, NULL, &t.err), XVMI_OK, "%s", t.err.text);
    cr_assert_str_eq(seen, "STOP RESUME ");
    cr_assert_eq(xk_qmp_pump(t.qmp, &t.err), XVMI_ERR_FORMAT); /* an answer to nothing */
    cr_assert_str_eq(seen, "STOP RESUME RESET ");
    end(&t);
}

/* The answer to a command that was given up is not taken for that to the next. */
Test(kvm_qmp, late_answer)
{
    static const struct fake_answer answers[] = {
        {"query-slow", ""},
        {"query-next", "{\"return\": \"late\", \"id\": 2}{\"return\": \"next\", \"id\": $ID}"},
        {NULL, NULL}};
    struct talk t;
    json_t *ret;
    begin(&t, FAKE_GREETING, answers, SHORT_MS);
    cr_assert_eq(xk_qmp_command(t.qmp, "query-slow", NULL, NULL, &t.err), XVMI_ERR_TIMEOUT);
    cr_assert_eq(xk_qmp_command(t.qmp, "query-next", NULL, &ret, &t.err), XVMI_OK, "%s",
                 t.err.text);
    cr_assert_str_eq(json_string_value(ret), "next");
    json_decref(ret);
    end(&t);
}

Test(kvm_qmp, pretty_and_braces_in_strings)
{
    static const struct fake_answer answers[] = {
        {"query-a", "{\r\n    \"return\": {\r\n        \"a\": \"}\\\"}]\\\\\"\r\n    },\r\n    "
                    "\"id\": $ID\r\n}"},
        {NULL, NULL}};
    struct talk t;
    json_t *ret;
    begin(&t, "{\r\n    \"QMP\": {\r\n    }\r\n}\r\n", answers, LONG_MS);
    cr_assert_eq(t.status, XVMI_OK, "%s", t.err.text);
    cr_assert_eq(xk_qmp_command(t.qmp, "query-a", NULL, &ret, NULL), XVMI_OK);
    cr_assert_str_eq(json_string_value(json_object_get(ret, "a")), "}\"}]\\");
    json_decref(ret);
    end(&t);
}

Test(kvm_qmp, not_qmp)
{
    static const struct fake_answer none[] = {{NULL, NULL}};
    struct talk t;
    begin(&t, "QEMU 7.2.22 monitor - type 'help' for more information\r\n(qemu) ", none, LONG_MS);
    cr_assert_eq(t.status, XVMI_ERR_FORMAT);
    cr_assert(strstr(t.err.text, "does not speak QMP"));
    end(&t);
    begin(&t, "{\"hello\": 1}\n", none, LONG_MS);
    cr_assert_eq(t.status, XVMI_ERR_FORMAT);
    cr_assert_str_eq(t.err.text, "the peer does not greet like QMP");
    end(&t);
    begin(&t, "", none, SHORT_MS);
    cr_assert_eq(t.status, XVMI_ERR_TIMEOUT);
    cr_assert(strstr(t.err.text, "another client may hold this socket"));
    end(&t);
}

Test(kvm_qmp, answers_that_are_wrong)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(ask("{\"return\": {}}", LONG_MS, &err), XVMI_ERR_FORMAT);
    cr_assert_eq(ask("{\"return\": {}, \"id\": 77}", LONG_MS, &err), XVMI_ERR_FORMAT);
    cr_assert_eq(ask("{\"id\": $ID}", LONG_MS, &err), XVMI_ERR_FORMAT);
    cr_assert_eq(ask("{\"return\": tru, \"id\": $ID}", LONG_MS, &err), XVMI_ERR_FORMAT);
    cr_assert(strstr(err.text, "query-status: bad JSON"));
    cr_assert_eq(ask("{\"return\": 1, \"return\": 2, \"id\": $ID}", LONG_MS, &err),
                 XVMI_ERR_FORMAT);
    cr_assert_eq(ask("[1]", LONG_MS, &err), XVMI_ERR_FORMAT);
    cr_assert_eq(ask("nonsense", LONG_MS, &err), XVMI_ERR_FORMAT);
    cr_assert_eq(ask("{\"error\": 5, \"id\": $ID}", LONG_MS, &err), XVMI_ERR_IO);
    cr_assert_eq(ask("{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\\u001b[31m\"}}",
                     LONG_MS, &err),
                 XVMI_ERR_IO);
    cr_assert_str_eq(err.text, "query-status: QEMU says: no?[31m");
}

Test(kvm_qmp, peers_that_do_not_answer)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    cr_assert_eq(ask(FAKE_CLOSE, LONG_MS, &err), XVMI_ERR_GONE);
    cr_assert_eq(ask(FAKE_EVENTS, LONG_MS, &err), XVMI_ERR_LIMIT);
    cr_assert_eq(ask(FAKE_ENDLESS, LONG_MS, &err), XVMI_ERR_LIMIT);
    cr_assert_eq(ask(FAKE_HANG, SHORT_MS, &err), XVMI_ERR_TIMEOUT);
}

static int listen_at(const char *path, int backlog)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
    cr_assert_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    cr_assert_eq(listen(fd, backlog), 0);
    return fd;
}

Test(kvm_qmp, sockets_that_cannot_be_reached)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xk_qmp *qmp;
    char dir[] = "/tmp/xvmi-test-XXXXXX";
    cr_assert(mkdtemp(dir));
    cr_assert_eq(chdir(dir), 0);
    cr_assert_eq(xk_qmp_open("none", SHORT_MS, &qmp, &err), XVMI_ERR_NOT_FOUND);
    cr_assert_str_eq(err.text, "QMP socket none: no such socket");
    cr_assert_eq(mkdir("folder", 0700), 0);
    cr_assert_eq(xk_qmp_open("folder", SHORT_MS, &qmp, &err), XVMI_ERR_GONE);
    /* Held by another client: QEMU never accepts a second, so its queue fills up:
     * the connection given up first stays in it. */
    int fd = listen_at("busy", 0);
    cr_assert_eq(xk_qmp_open("busy", SHORT_MS, &qmp, &err), XVMI_ERR_TIMEOUT);
    cr_assert_eq(xk_qmp_open("busy", SHORT_MS, &qmp, &err), XVMI_ERR_TIMEOUT);
    cr_assert(strstr(err.text, "another client may hold"), "%s", err.text);
    close(fd);
    cr_assert_eq(xk_qmp_open("busy", SHORT_MS, &qmp, &err), XVMI_ERR_GONE);
    unlink("busy");
    rmdir("folder");
    cr_assert_eq(rmdir(dir), 0);
}

/* A path longer than struct sockaddr_un holds. */
Test(kvm_qmp, long_path)
{
    struct xvmi_error err = XVMI_ERROR_INIT;
    struct xk_qmp *qmp;
    char dir[] = "/tmp/xvmi-test-XXXXXX", sub[121], path[256], long_name[130];
    cr_assert(mkdtemp(dir));
    memset(sub, 'd', sizeof(sub) - 1);
    sub[sizeof(sub) - 1] = 0;
    cr_assert_eq(chdir(dir), 0);
    cr_assert_eq(mkdir(sub, 0700), 0);
    cr_assert_eq(chdir(sub), 0);
    int fd = listen_at("s", 1);
    snprintf(path, sizeof(path), "%s/%s/s", dir, sub);
    cr_assert_eq(xk_qmp_open(path, SHORT_MS, &qmp, &err), XVMI_ERR_TIMEOUT, "%s", err.text);
    close(fd);
    memset(long_name, 'x', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = 0;
    cr_assert_eq(xk_qmp_open(long_name, SHORT_MS, &qmp, &err), XVMI_ERR_INVALID);
    unlink("s");
    cr_assert_eq(chdir(".."), 0);
    rmdir(sub);
    cr_assert_eq(rmdir(dir), 0);
}

Test(kvm_qmp, object_end_goes_on)
{
    static const char text[] = "{\"a\": [\"}\\\"\", {}]} rest";
    for (size_t cut = 0; cut < 18; cut++) {
        struct xk_qmp_scan scan = {0};
        cr_assert_eq(xk_qmp_object_end(&scan, text, cut), 0, "%zu", cut);
        cr_assert_eq(xk_qmp_object_end(&scan, text, sizeof(text) - 1), 18, "%zu", cut);
    }
}
