/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "boot-guard.h"
#include "log.h"
#include "operation.h"
#include "text.h"

#define DOUBLINGS_MAX 5U /* from 30 s to 16 minutes */

bool boot_guard_rests(const Manager *m) {
        return m->platform.disabled || m->boot_guard.on;
}

static void take_reason(Manager *m, const char *reason) {
        BootGuard *g = &m->boot_guard;

        if (!device_set_text(&g->reason, reason))
                return;

        g->on = reason[0] != '\0';
        if (g->on)
                log_warning("%s", reason);
        changes_mark_manager(&m->changes,
                             1U << MANAGER_PROPERTY_BOOT_GUARD | 1U << MANAGER_PROPERTY_BOOT_GUARD_REASON);
        for (size_t i = 0; i < m->devices.n; i++)
                changes_touch_device(&m->changes, m->devices.devices[i]);
}

/* Two boots, a line each; anything else tells of a list that was damaged. */
static void compose(const char *facts, char *ret, size_t size) {
        char first[GRANT_BOOT_SIZE], second[GRANT_BOOT_SIZE];

        if (!facts[0])
                ret[0] = '\0';
        else if (text_next_line(&facts, first, sizeof first) > 0 &&
                 text_next_line(&facts, second, sizeof second) > 0 && grant_boot_is_valid(first) &&
                 grant_boot_is_valid(second))
                (void)snprintf(ret, size,
                               "The last two boots that bound devices, %s and %s, did not get as far as a "
                               "passthrough service that is idle for a while: this one leaves all devices "
                               "to the host. See 'journalctl -b %s' for what went wrong; then call "
                               "ReturnToHost for what is to blame, Bind what you need now, or reboot to "
                               "try again.",
                               first, second, second);
        else
                (void)snprintf(ret, size,
                               "The list of boots /" BOOTS_FILE " is damaged or not root's alone, so nobody "
                               "knows how the last boots went: this one leaves all devices to the host. The "
                               "service removes the list when it has been idle for a while; Bind what you "
                               "need now, or reboot then.");
}

void boot_guard_read(Manager *m) {
        char facts[256], reason[768];

        assert(m);

        root_files_read_guard(m->root, m->root_uid, facts, sizeof facts);
        compose(facts, reason, sizeof reason);
        take_reason(m, reason);
        m->boot_guard.listed = root_files_has_boots(m->root);
        (void)sd_event_source_set_enabled(m->boot_guard.timer, SD_EVENT_OFF);
}

static bool is_idle(const Manager *m) {
        return m->ready && !m->errands && !operation_binds_to_stay(m);
}

static void on_healthy(const Failure *failure, sd_bus_message *reply _unused_, void *userdata) {
        Manager *m = userdata;
        BootGuard *g = &m->boot_guard;

        g->call = NULL;
        g->listed = root_files_has_boots(m->root);
        if (!failure)
                log_info("This boot went well: the boot guard forgets it, and those before.");
        else if (g->failures == 0) /* it is tried again and again, and told once */
                log_warning("The boot guard does not hear that this boot went well yet: %s",
                            failure->sentence);
        g->failures = failure ? g->failures + 1 : 0;
        boot_guard_run(m);
}

static int on_timer(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        HelperRequest q = {.verb = HELPER_HEALTHY};
        Manager *m = userdata;
        Failure f = {0};
        int r;

        if (!m->boot_guard.listed || !is_idle(m)) /* the end of what is under way comes back to us */
                return 0;

        r = helper_client_call(m->helper, &q, on_healthy, m, &m->boot_guard.call);
        if (r < 0) {
                (void)failure_set(&f, FAILURE_HELPER, "The helper cannot be called (%s).", strerror(-r));
                on_healthy(&f, NULL, m);
        }
        return 0;
}

void boot_guard_run(Manager *m) {
        BootGuard *g = &m->boot_guard;
        uint64_t wait;

        assert(m);

        if (!g->listed || !is_idle(m))
                (void)sd_event_source_set_enabled(g->timer, SD_EVENT_OFF);
        else if (!g->call && g->idle_usec != UINT64_MAX &&
                 sd_event_source_get_enabled(g->timer, NULL) == 0) {
                wait = g->idle_usec << (g->failures < DOUBLINGS_MAX ? g->failures : DOUBLINGS_MAX);
                (void)sd_event_source_set_time(g->timer, manager_now(m) + wait);
                (void)sd_event_source_set_enabled(g->timer, SD_EVENT_ONESHOT);
        }
}

int boot_guard_init(Manager *m, uint64_t idle_usec) {
        BootGuard *g = &m->boot_guard;
        int r;

        g->idle_usec = idle_usec;
        r = sd_event_add_time(m->event, &g->timer, CLOCK_MONOTONIC, UINT64_MAX, 0, on_timer, m);
        return r < 0 ? r : sd_event_source_set_enabled(g->timer, SD_EVENT_OFF);
}

void boot_guard_clear(Manager *m) {
        BootGuard *g = &m->boot_guard;

        helper_call_free(g->call);
        sd_event_source_disable_unref(g->timer);
        free(g->reason);
}
