/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <systemd/sd-login.h>

#include "host-sessions.h"

#define SESSIONS_MAX 16384 /* twice what logind allows by default */

static char **strings_free(char **strings) {
        for (char **s = strings; s && *s; s++)
                free(*s);
        free(strings);
        return NULL;
}
DEFINE_CLEANUP(char **, strings_free);

/* A session ends while one looks at it, and its record with it. */
static int over(int r) {
        return r == -ENXIO || r == -ENOENT ? 0 : r;
}

static int take_session(const char *id, host_session_t f, void *userdata) {
        _cleanup_free_ char *state = NULL, *peer = NULL;
        uid_t uid;
        int r;

        r = sd_session_is_remote(id);
        if (r <= 0)
                return over(r);
        r = sd_session_get_state(id, &state);
        if (r < 0 || streq(state, "closing")) /* its user has left, only processes are left over */
                return over(r);
        r = sd_session_get_uid(id, &uid);
        if (r < 0)
                return over(r);

        r = sd_session_get_remote_host(id, &peer);
        if (r < 0 && r != -ENXIO && r != -ENODATA && r != -ENOENT)
                return r;
        return f(uid, strempty(peer), userdata);
}

int host_sessions_each(host_session_t f, void *userdata) {
        _cleanup_(strings_freep) char **ids = NULL;
        int r, n;

        assert(f);

        n = sd_get_sessions(&ids);
        if (n < 0)
                return n;
        if (n > SESSIONS_MAX)
                return -E2BIG;

        for (int i = 0; i < n; i++) {
                r = take_session(ids[i], f, userdata);
                if (r != 0)
                        return r;
        }
        return 0;
}
