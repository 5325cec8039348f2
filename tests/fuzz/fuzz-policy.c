// SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
/* Any bytes as a policy; one that loads survives the way through both its forms. */
#include <stdlib.h>
#include <string.h>

#include <xvmi/policy.h>

static void hear(void *context, const struct xvmi_policy_message *message)
{
    char buf[512];
    (void)context;
    xvmi_policy_message_format(message, buf, sizeof(buf));
}

static struct xvmi_policy *parse(const char *text, size_t len)
{
    const struct xvmi_policy_options options = {
        .size = sizeof(options), .message = hear, .no_files = true};
    struct xvmi_error err;
    struct xvmi_policy *policy;
    return xvmi_policy_parse(text, len, "fuzz", &options, &policy, &err) ? NULL : policy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct xvmi_policy *policy = parse((const char *)data, size);
    for (int json = 0; policy && json < 2; json++) {
        char *text;
        if (json ? xvmi_policy_json(policy, &text) : xvmi_policy_text(policy, &text))
            abort();
        struct xvmi_policy *again = parse(text, strlen(text));
        if (!again || xvmi_policy_digest(again) != xvmi_policy_digest(policy))
            abort();
        xvmi_policy_unref(again);
        free(text);
    }
    xvmi_policy_unref(policy);
    return 0;
}
