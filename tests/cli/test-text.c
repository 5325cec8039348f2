// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* What the command prints of names that guests chose. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "frontends/cli/sockname.h"
#include "frontends/cli/text.h"

static void safe(const char *in, size_t len, const char *expected)
{
    char *out = text_safe(in, len);
    cr_assert_str_eq(out, expected);
    free(out);
}

static void json(const char *in, size_t len, const char *expected)
{
    json_t *string = text_json(in, len);
    cr_assert(string);
    char *out = json_dumps(string, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
    cr_assert_str_eq(out, expected);
    free(out);
    json_decref(string);
}

#define SAFE(in, expected) safe(in, sizeof(in) - 1, expected)
#define JSON(in, expected) json(in, sizeof(in) - 1, expected)

Test(cli_text, nothing_steers_a_terminal)
{
    cr_assert(setlocale(LC_CTYPE, "C.UTF-8"));
    SAFE("nginx: worker", "nginx: worker");
    SAFE("", "");
    SAFE("a\033[31m\n\tb\177", "a\\x1b[31m\\x0a\\x09b\\x7f");
    SAFE("n\0l", "n\\x00l");
    SAFE("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa7", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\xa7");
    SAFE("\xc2\x9b"
         "31m",
         "\\xc2\\x9b"
         "31m"); /* CSI of the C1 set */
    SAFE("\xe2\x80\xae"
         "exe",
         "\\xe2\\x80\\xae"
         "exe");                                      /* right-to-left override */
    SAFE("\xc3", "\\xc3");                            /* cut */
    SAFE("\xc0\xaf", "\\xc0\\xaf");                   /* too long a form of '/' */
    SAFE("\xed\xa0\x80", "\\xed\\xa0\\x80");          /* a surrogate */
    SAFE("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* beyond U+10FFFF */
    SAFE("\xff\xfe", "\\xff\\xfe");
}

Test(cli_text, ascii_where_the_locale_has_no_more)
{
    cr_assert(setlocale(LC_CTYPE, "C"));
    SAFE("caf\xc3\xa9", "caf\\xc3\\xa9");
}

Test(cli_text, json_is_valid_whatever_the_guest_says)
{
    JSON("nginx", "\"nginx\"");
    JSON("a\033b\n\"\\", "\"a\\u001Bb\\n\\\"\\\\\"");
    JSON("n\0l", "\"n\\u0000l\"");
    JSON("\xc3\xa9", "\"\\u00E9\"");
    JSON("\xff\xc3(", "\"\\uFFFD\\uFFFD(\"");
    JSON("\xe2\x82", "\"\\uFFFD\\uFFFD\"");
    JSON("\xed\xa0\x80", "\"\\uFFFD\\uFFFD\\uFFFD\"");
}

Test(cli_text, columns)
{
    cr_assert(setlocale(LC_CTYPE, "C.UTF-8"));
    cr_assert_eq(text_width(""), 0);
    cr_assert_eq(text_width("caf\xc3\xa9"), 4);
    cr_assert_eq(text_width("\xe6\xbc\xa2"), 2);
}

static void host(const struct xvmi_socket *socket, bool remote, const char *expected)
{
    char buf[SOCK_HOST_MAX];
    sock_host(socket, remote, buf);
    cr_assert_str_eq(buf, expected);
}

Test(cli_text, addresses_as_ss_writes_them)
{
    struct xvmi_socket v4 = {.family = 2, .local = {10, 0, 0, 2}, .ifindex = 3, .lport = 80};
    host(&v4, false, "10.0.0.2%if3");
    host(&v4, true, "0.0.0.0");
    struct xvmi_socket v6 = {.family = 10};
    host(&v6, false, "*");
    v6.v6only = 1;
    host(&v6, false, "::");
    struct xvmi_socket mapped = {.family = 10, .local = {[10] = 255, 255, 10, 0, 0, 1}};
    host(&mapped, false, "::ffff:10.0.0.1");
    struct xvmi_socket longest = {.family = 10, .ifindex = UINT32_MAX};
    memset(longest.local, 0xff, sizeof(longest.local));
    host(&longest, false, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%if4294967295");
}

Test(cli_text, ports_and_names)
{
    struct xvmi_socket raw = {.kind = XVMI_SOCKET_RAW, .family = 2, .protocol = 47, .lport = 1};
    cr_assert_eq(sock_port(&raw, false), 47);
    cr_assert_eq(sock_port(&raw, true), 0);
    cr_assert_str_eq(sock_proto(&raw), "raw");
    struct xvmi_socket packet = {.kind = XVMI_SOCKET_PACKET, .family = 17, .type = 3};
    cr_assert_str_eq(sock_proto(&packet), "p_raw");
    cr_assert_not(sock_is_inet(&packet));
    raw.state = 200;
    cr_assert_str_eq(sock_state(&raw), "UNKNOWN");
}

Test(cli_text, unix_names)
{
    char buf[XVMI_UNIX_PATH_MAX + 1];
    struct xvmi_socket abstract = {.path = "\0a\0b", .path_len = 4};
    sock_path(&abstract, buf);
    cr_assert_str_eq(buf, "@a@b");
    struct xvmi_socket full = {.path_len = 255}; /* more than there is */
    memset(full.path, 'x', sizeof(full.path));
    sock_path(&full, buf);
    cr_assert_eq(strlen(buf), XVMI_UNIX_PATH_MAX);
}
