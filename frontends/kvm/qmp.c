// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
#include "qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Messages other than the answer taken while waiting for one. */
#define EVENTS_MAX 1000

struct xk_qmp {
    int fd;
    int timeout_ms;
    json_int_t id; /* of the last command */
    bool saw_reset;
    bool broken; /* a command was sent in part: nothing that follows would be understood */
    xk_qmp_event_fn *take;
    void *take_ctx;
    char *buf; /* bytes received; those of the last message are dropped on the next */
    size_t len, cap;
    struct xk_qmp_scan scan;
};

static int64_t now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Wait until fd is ready for `events` or the deadline has passed. */
static enum xvmi_status wait_for(int fd, short events, int64_t deadline, const char *what,
                                 struct xvmi_error *err)
{
    for (;;) {
        int64_t left = deadline - now_ms();
        struct pollfd p = {.fd = fd, .events = events};
        int n = poll(&p, 1, left > 0 ? (int)left : 0);
        if (n > 0)
            return XVMI_OK;
        if (n == 0)
            return xvmi_error_set(err, XVMI_ERR_TIMEOUT, "%s: QEMU did not answer in time", what);
        if (errno != EINTR)
            return xvmi_error_set(err, XVMI_ERR_IO, "%s: poll: %s", what, strerror(errno));
    }
}

/* Receive more bytes into the buffer; with deadline 0, those that are there. */
static enum xvmi_status receive(struct xk_qmp *qmp, int64_t deadline, const char *what,
                                struct xvmi_error *err)
{
    if (qmp->len >= XK_QMP_MESSAGE_MAX)
        return xvmi_error_set(err, XVMI_ERR_LIMIT, "%s: QMP message of more than %u bytes", what,
                              XK_QMP_MESSAGE_MAX);
    if (qmp->len == qmp->cap) {
        size_t cap = qmp->cap ? qmp->cap * 2 : 4096;
        char *buf = realloc(qmp->buf, cap);
        if (!buf)
            return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "%s: out of memory", what);
        qmp->buf = buf;
        qmp->cap = cap;
    }
    for (;;) {
        ssize_t n = recv(qmp->fd, qmp->buf + qmp->len, qmp->cap - qmp->len, MSG_DONTWAIT);
        if (n > 0) {
            qmp->len += (size_t)n;
            return XVMI_OK;
        }
        if (n == 0 || errno == ECONNRESET)
            return xvmi_error_set(err, XVMI_ERR_GONE, "%s: QEMU closed the QMP connection", what);
        if (errno == EAGAIN) {
            enum xvmi_status s = deadline ? wait_for(qmp->fd, POLLIN, deadline, what, err)
                                          : XVMI_ERR_TIMEOUT; /* does not wait */
            if (s)
                return s;
        } else if (errno != EINTR) {
            return xvmi_error_set(err, XVMI_ERR_IO, "%s: recv: %s", what, strerror(errno));
        }
    }
}

/* Messages are told apart by their braces, not by lines: `-qmp-pretty` breaks lines within. */
size_t xk_qmp_object_end(struct xk_qmp_scan *scan, const char *text, size_t len)
{
    for (; scan->pos < len; scan->pos++) {
        char c = text[scan->pos];
        if (scan->string) {
            if (scan->escape)
                scan->escape = false;
            else if (c == '\\')
                scan->escape = true;
            else if (c == '"')
                scan->string = false;
        } else if (c == '"') {
            scan->string = true;
        } else if (c == '{' || c == '[') {
            scan->depth++;
        } else if ((c == '}' || c == ']') && scan->depth && --scan->depth == 0) {
            return ++scan->pos;
        }
    }
    return 0;
}

static void drop(struct xk_qmp *qmp, size_t n)
{
    memmove(qmp->buf, qmp->buf + n, qmp->len - n);
    qmp->len -= n;
    qmp->scan = (struct xk_qmp_scan){0};
}

static void drop_space(struct xk_qmp *qmp)
{
    size_t n = 0;
    while (n < qmp->len && strchr(" \t\r\n", qmp->buf[n]) && qmp->buf[n])
        n++;
    if (n)
        drop(qmp, n);
}

/* The next message, whatever it is. */
static enum xvmi_status next_message(struct xk_qmp *qmp, int64_t deadline, const char *what,
                                     json_t **msg, struct xvmi_error *err)
{
    size_t end = 0;
    for (;;) {
        if (qmp->scan.pos == 0)
            drop_space(qmp);
        if (qmp->len && qmp->buf[0] != '{')
            return xvmi_error_set(err, XVMI_ERR_FORMAT,
                                  "%s: the peer does not speak QMP (is it a human monitor?)", what);
        end = xk_qmp_object_end(&qmp->scan, qmp->buf, qmp->len);
        if (end)
            break;
        enum xvmi_status s = receive(qmp, deadline, what, err);
        if (s)
            return s;
    }
    json_error_t jerr;
    *msg = json_loadb(qmp->buf, end, JSON_REJECT_DUPLICATES, &jerr);
    drop(qmp, end);
    if (!*msg)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "%s: bad JSON from QEMU: %s", what, jerr.text);
    return XVMI_OK;
}

static enum xvmi_status send_all(struct xk_qmp *qmp, const char *text, size_t len, int64_t deadline,
                                 const char *what, struct xvmi_error *err)
{
    while (len) {
        ssize_t n = send(qmp->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0) {
            text += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) {
            enum xvmi_status s = wait_for(qmp->fd, POLLOUT, deadline, what, err);
            if (s)
                return s;
        } else if (errno == EPIPE || errno == ECONNRESET) {
            return xvmi_error_set(err, XVMI_ERR_GONE, "%s: QEMU closed the QMP connection", what);
        } else if (errno != EINTR) {
            return xvmi_error_set(err, XVMI_ERR_IO, "%s: send: %s", what, strerror(errno));
        }
    }
    return XVMI_OK;
}

/* Whether `msg` is an event, which nobody asked for. */
static bool take_event(struct xk_qmp *qmp, const json_t *msg)
{
    const char *name = json_string_value(json_object_get(msg, "event"));
    if (!name)
        return false;
    if (!strcmp(name, "RESET"))
        qmp->saw_reset = true;
    if (qmp->take)
        qmp->take(qmp->take_ctx, name, msg);
    return true;
}

/* The answer to a command before number `id`, which was given up: it comes late. */
static bool is_late(const json_t *msg, json_int_t id)
{
    const json_t *its = json_object_get(msg, "id");
    return json_is_integer(its) && json_integer_value(its) > 0 && json_integer_value(its) < id;
}

static enum xvmi_status take_answer(struct xk_qmp *qmp, const char *name, json_t *msg, json_t **ret,
                                    struct xvmi_error *err)
{
    const json_t *id = json_object_get(msg, "id");
    json_t *value = json_object_get(msg, "return");
    const json_t *error = json_object_get(msg, "error");
    if (error) {
        const char *class = json_string_value(json_object_get(error, "class"));
        const char *desc = json_string_value(json_object_get(error, "desc"));
        bool unknown = class && !strcmp(class, "CommandNotFound");
        return xvmi_error_set(err, unknown ? XVMI_ERR_UNSUPPORTED : XVMI_ERR_IO,
                              "%s: QEMU says: %s", name, desc ? desc : "(nothing)");
    }
    if (!value || !json_is_integer(id) || json_integer_value(id) != qmp->id)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "%s: QEMU's answer is not one to our question",
                              name);
    if (ret)
        *ret = json_incref(value);
    return XVMI_OK;
}

enum xvmi_status xk_qmp_command(struct xk_qmp *qmp, const char *name, json_t *args, json_t **ret,
                                struct xvmi_error *err)
{
    if (qmp->broken) {
        json_decref(args);
        return xvmi_error_set(err, XVMI_ERR_GONE, "%s: the QMP connection broke", name);
    }
    int64_t deadline = now_ms() + qmp->timeout_ms;
    json_t *cmd =
        json_pack("{s:s, s:I, s:o*}", "execute", name, "id", ++qmp->id, "arguments", args);
    char *json = cmd ? json_dumps(cmd, JSON_COMPACT) : NULL, *text = NULL;
    json_decref(cmd);
    if (!json || asprintf(&text, "%s\n", json) < 0)
        text = NULL;
    free(json);
    if (!text)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "%s: out of memory", name);
    enum xvmi_status s = send_all(qmp, text, strlen(text), deadline, name, err);
    qmp->broken = s != XVMI_OK;
    free(text);
    for (int i = 0; !s && i < EVENTS_MAX; i++) {
        json_t *msg = NULL;
        s = next_message(qmp, deadline, name, &msg, err);
        if (!s && !take_event(qmp, msg) && !is_late(msg, qmp->id)) {
            s = take_answer(qmp, name, msg, ret, err);
            json_decref(msg);
            return s;
        }
        json_decref(msg);
    }
    return s ? s
             : xvmi_error_set(err, XVMI_ERR_LIMIT, "%s: only events instead of an answer", name);
}

enum xvmi_status xk_qmp_human(struct xk_qmp *qmp, const char *line, int cpu, char **text,
                              struct xvmi_error *err)
{
    json_t *ret = NULL;
    json_t *args = json_pack("{s:s}", "command-line", line);
    if (args && cpu >= 0)
        json_object_set_new(args, "cpu-index", json_integer(cpu));
    enum xvmi_status s = xk_qmp_command(qmp, "human-monitor-command", args, &ret, err);
    if (s)
        return xvmi_error_frame(err, s, "%s", line);
    /* A string with NUL inside is cut there: the monitor writes none. */
    const char *value = json_string_value(ret);
    *text = value ? strdup(value) : NULL;
    if (!value)
        s = xvmi_error_set(err, XVMI_ERR_FORMAT, "%s: QEMU's answer is not text", line);
    else if (!*text)
        s = xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "%s: out of memory", line);
    json_decref(ret);
    return s;
}

static enum xvmi_status greet(struct xk_qmp *qmp, struct xvmi_error *err)
{
    json_t *msg = NULL;
    enum xvmi_status s = next_message(qmp, now_ms() + qmp->timeout_ms, "greeting", &msg, err);
    if (s == XVMI_ERR_TIMEOUT) {
        char who[96];
        xk_qmp_holder(qmp->fd, who, sizeof(who));
        return xvmi_error_set(err, s,
                              "QEMU did not greet within %d ms: %s this socket (QMP serves one at "
                              "a time: give QEMU a second one), or QEMU hangs",
                              qmp->timeout_ms, who);
    }
    if (s)
        return s;
    bool is_qmp = json_is_object(json_object_get(msg, "QMP"));
    json_decref(msg);
    if (!is_qmp)
        return xvmi_error_set(err, XVMI_ERR_FORMAT, "the peer does not greet like QMP");
    return xk_qmp_command(qmp, "qmp_capabilities", NULL, NULL, err);
}

enum xvmi_status xk_qmp_start(int fd, int timeout_ms, struct xk_qmp **out, struct xvmi_error *err)
{
    struct xk_qmp *qmp = calloc(1, sizeof(*qmp));
    if (!qmp) {
        close(fd);
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    }
    qmp->fd = fd;
    qmp->timeout_ms = timeout_ms;
    enum xvmi_status s = greet(qmp, err);
    if (s)
        xk_qmp_close(qmp);
    else
        *out = qmp;
    return s;
}

static enum xvmi_status connect_error(int e, struct xvmi_error *err)
{
    switch (e) {
    case ENOENT:
        return xvmi_error_set(err, XVMI_ERR_NOT_FOUND, "no such socket");
    case EACCES:
    case EPERM:
        return xvmi_error_set(err, XVMI_ERR_PERMISSION,
                              "not permitted to connect: run as root or as QEMU's user");
    case ECONNREFUSED:
        return xvmi_error_set(err, XVMI_ERR_GONE,
                              "nobody listens: not a listening socket, or its QEMU has ended");
    case EPROTOTYPE:
    case ENOTSOCK:
        return xvmi_error_set(err, XVMI_ERR_INVALID, "not a stream socket");
    default:
        return xvmi_error_set(err, XVMI_ERR_IO, "connect: %s", strerror(e));
    }
}

/* A path may be longer than an address holds: then it goes by its folder's descriptor. */
static enum xvmi_status address(const char *path, int *dir, struct sockaddr_un *addr,
                                struct xvmi_error *err)
{
    *addr = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) < sizeof(addr->sun_path)) {
        strcpy(addr->sun_path, path);
        return XVMI_OK;
    }
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    char *parent = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!parent)
        return xvmi_error_set(err, XVMI_ERR_NO_MEMORY, "out of memory");
    *dir = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    free(parent);
    if (*dir < 0)
        return connect_error(errno, err);
    int n = snprintf(addr->sun_path, sizeof(addr->sun_path), "/proc/self/fd/%d/%s", *dir, base);
    if (n < 0 || (size_t)n >= sizeof(addr->sun_path))
        return xvmi_error_set(err, XVMI_ERR_INVALID, "the socket's name is too long");
    return XVMI_OK;
}

/* A listener with a full queue says EAGAIN instead of letting us wait. */
static enum xvmi_status connect_by(int fd, const struct sockaddr_un *addr, int timeout_ms,
                                   struct xvmi_error *err)
{
    int64_t deadline = now_ms() + timeout_ms;
    while (connect(fd, (const struct sockaddr *)addr, sizeof(*addr))) {
        if (errno != EAGAIN && errno != EINTR)
            return connect_error(errno, err);
        if (now_ms() >= deadline)
            return xvmi_error_set(err, XVMI_ERR_TIMEOUT,
                                  "others are waiting for this socket: another client may hold "
                                  "it (QMP serves one at a time)");
        poll(NULL, 0, 20);
    }
    return XVMI_OK;
}

enum xvmi_status xk_qmp_open(const char *path, int timeout_ms, struct xk_qmp **qmp,
                             struct xvmi_error *err)
{
    struct sockaddr_un addr;
    int dir = -1;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return xvmi_error_set(err, XVMI_ERR_IO, "socket: %s", strerror(errno));
    enum xvmi_status s = address(path, &dir, &addr, err);
    if (!s)
        s = connect_by(fd, &addr, timeout_ms, err);
    if (dir >= 0)
        close(dir);
    if (s)
        close(fd);
    else
        s = xk_qmp_start(fd, timeout_ms, qmp, err);
    return s ? xvmi_error_frame(err, s, "QMP socket %s", path) : XVMI_OK;
}

void xk_qmp_close(struct xk_qmp *qmp)
{
    if (!qmp)
        return;
    close(qmp->fd);
    free(qmp->buf);
    free(qmp);
}

int xk_qmp_fd(const struct xk_qmp *qmp)
{
    return qmp->fd;
}

bool xk_qmp_take_reset(struct xk_qmp *qmp)
{
    bool saw = qmp->saw_reset;
    qmp->saw_reset = false;
    return saw;
}

void xk_qmp_on_event(struct xk_qmp *qmp, xk_qmp_event_fn *take, void *ctx)
{
    qmp->take = take;
    qmp->take_ctx = ctx;
}

enum xvmi_status xk_qmp_pump(struct xk_qmp *qmp, struct xvmi_error *err)
{
    for (int i = 0; i < EVENTS_MAX; i++) {
        json_t *msg = NULL;
        enum xvmi_status s = next_message(qmp, 0, "events", &msg, err);
        if (s == XVMI_ERR_TIMEOUT) /* nothing more has arrived */
            return XVMI_OK;
        if (s)
            return s;
        bool known = take_event(qmp, msg) || is_late(msg, qmp->id + 1);
        json_decref(msg);
        if (!known)
            return xvmi_error_set(err, XVMI_ERR_FORMAT, "events: QEMU answers what nobody asked");
    }
    return XVMI_OK;
}
