/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attention.h"
#include "boot-guard.h"
#include "calls.h"
#include "confirm.h"
#include "diagnosis-calls.h"
#include "edits.h"
#include "grants.h"
#include "hotplug.h"
#include "inventory.h"
#include "log.h"
#include "manager.h"
#include "operation.h"
#include "order-book.h"
#include "quarantine.h"
#include "runs.h"
#include "steward.h"
#include "transaction.h"

#define PCI_BASE_CLASS_DISPLAY 0x03

/* How long the start waits for the first verdicts. Without them nothing is eligible, but all is listed. */
#define PATIENCE_USEC (2ULL * 1000 * 1000)

uint64_t manager_now(const Manager *m) {
        uint64_t now = 0;

        (void)sd_event_now(m->event, CLOCK_MONOTONIC, &now);
        return now;
}

static uint32_t differ(bool different, ManagerProperty property) {
        return different ? 1U << property : 0;
}

static void refresh_platform(Manager *m) {
        Platform old = m->platform, *new = &m->platform;

        m->platform_stale = false;
        platform_reread(m->root, new);
        changes_mark_manager(
                        &m->changes,
                        differ(old.iommu_enabled != new->iommu_enabled, MANAGER_PROPERTY_IOMMU_ENABLED) |
                                        differ(old.iommu_kind != new->iommu_kind,
                                               MANAGER_PROPERTY_IOMMU_KIND) |
                                        differ(old.vfio != new->vfio, MANAGER_PROPERTY_VFIO_AVAILABLE) |
                                        differ(old.vfio_cdev != new->vfio_cdev,
                                               MANAGER_PROPERTY_VFIO_CDEV_AVAILABLE));
}

/* A start that waits looks at these. */
#define FOR_VMS                                                                                             \
        (1U << DEVICE_PROPERTY_STATE | 1U << DEVICE_PROPERTY_GRANTED | 1U << DEVICE_PROPERTY_ELIGIBLE |     \
         1U << DEVICE_PROPERTY_GROUPS | 1U << DEVICE_PROPERTY_QUARANTINE)

/* What keeps a physical function from another number of virtual ones. */
#define FOR_PF (1U << DEVICE_PROPERTY_STATE | 1U << DEVICE_PROPERTY_DRIVER | 1U << DEVICE_PROPERTY_CLAIM)

static void tell_pf(Manager *m, const Device *vf) {
        Device *pf = device_table_find(&m->devices, &vf->facts.physical_function);

        if (pf)
                changes_touch_device(&m->changes, pf);
}

static void on_device_changed(Device *d, uint32_t mask, void *userdata) {
        Manager *m = userdata;

        if (mask &
            (1U << DEVICE_PROPERTY_STATE | 1U << DEVICE_PROPERTY_GRANTED | 1U << DEVICE_PROPERTY_ELIGIBLE))
                registry_device_changed(m->registry, d);
        if (m->ready && mask & 1U << DEVICE_PROPERTY_STATE)
                steward_watch(m, d);
        if (mask & FOR_VMS)
                run_queue_nudge(m);
        if (mask & FOR_PF && d->facts.is_virtual)
                tell_pf(m, d);
        if (mask & 1U << DEVICE_PROPERTY_SERIAL)
                order_book_match(m, d);
        if (m->ready)
                m->wire->device_changed(m, d, mask);
}

static void on_device_stuck(Device *d, void *userdata) {
        Manager *m = userdata;

        log_warning("Device %s is stuck: %s", d->address, strempty(d->stuck));
        if (m->ready)
                m->wire->device_stuck(m, d);
}

static void on_manager_changed(uint32_t mask, void *userdata) {
        Manager *m = userdata;

        if (m->ready)
                m->wire->manager_changed(m, mask);
}

static uint32_t attend(Device *d, void *userdata) {
        return attention_to_device(userdata, d);
}

static void on_settled(void *userdata) {
        attention_to_host(userdata);
}

static void on_group_changed(Group *g, uint32_t mask, void *userdata) {
        Manager *m = userdata;

        if (m->ready)
                m->wire->group_changed(m, g, mask);
}

static void on_rule_changed(Rule *rule, uint32_t mask, void *userdata) {
        Manager *m = userdata;

        if (m->ready)
                m->wire->rule_changed(m, rule, mask);
}

static void on_claim_changed(Claim *c, uint32_t mask, void *userdata) {
        Manager *m = userdata;

        if (m->ready)
                m->wire->claim_changed(m, c, mask);
}

void manager_flush(Manager *m) {
        static const ChangesSink sink = {.device = on_device_changed,
                                         .stuck = on_device_stuck,
                                         .attend = attend,
                                         .settled = on_settled,
                                         .manager = on_manager_changed};
        static const RegistrySink registry_sink = {on_group_changed, on_rule_changed};

        assert(m);

        if (m->platform_stale)
                refresh_platform(m);
        (void)sd_event_source_set_enabled(m->flush, SD_EVENT_OFF);
        changes_flush(&m->changes, &m->devices, m->platform.disabled, &sink, m);
        claim_table_flush(m->claims, on_claim_changed, m);
        registry_flush(m->registry, &registry_sink, m);
}

static int on_flush(sd_event_source *s _unused_, void *userdata) {
        manager_flush(userdata);
        return 0;
}

static void arm_flush(void *userdata) {
        Manager *m = userdata;

        (void)sd_event_source_set_enabled(m->flush, SD_EVENT_ONESHOT);
}

void manager_reread_set(Manager *m, const IommuSet *set) {
        Device *d;

        assert(m);
        assert(set);

        for (size_t i = 0; i < set->n_members; i++) {
                d = device_table_find(&m->devices, &set->members[i]);
                if (d)
                        hotplug_reread(m, d);
        }
        m->platform_stale = true;
}

void manager_apply_move(Manager *m, Device *d) {
        bool was = d->journalled;
        const MoveEntry *e;

        e = device_is_bridge(d) ? NULL : move_table_find(&m->moves, device_address(d));
        d->journalled = !!e;
        if (device_set_text(&d->stuck, strempty(e ? move_entry_stuck(e) : NULL)) || was != d->journalled)
                changes_touch_device(&m->changes, d);
}

void manager_apply_moves(Manager *m) {
        for (size_t i = 0; i < m->devices.n; i++)
                manager_apply_move(m, m->devices.devices[i]);
}

static bool has_entry(const Move *moves, size_t n, unsigned set) {
        for (size_t i = 0; i < n; i++)
                if (moves[i].set.number == set)
                        return true;
        return false;
}

/* A move that has ended tells so before udev does: from then on nobody waits for it, so nobody may go by what was seen
 * in the middle of it. */
static void reread_ended(Manager *m, const Move *moves, size_t n) {
        for (size_t i = 0; i < m->moves.n; i++)
                if (!has_entry(moves, n, m->moves.entries[i].move.set.number))
                        manager_reread_set(m, &m->moves.entries[i].move.set);
}

void manager_read_moves(Manager *m) {
        _cleanup_free_ Move *moves = NULL;
        size_t n;
        int r;

        r = root_files_read_moves(m->root, &moves, &n);
        if (r >= 0)
                reread_ended(m, moves, n);
        if (r < 0 || (r = move_table_replace(&m->moves, moves, n)) < 0) {
                log_error("Cannot read the journal of moves in /" MOVES_DIR ": %s.", strerror(-r));
                return;
        }
        manager_apply_moves(m);
}

static int on_again(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        steward_run(userdata);
        return 0;
}

/* What a driver makes of a device is seen when it is mounted or gets an address; only a screen is in use from the
 * first moment. So a move does not cost a look at the whole host. */
static bool changes_use(const Manager *m, UeventAction action, const PciAddress *a) {
        const Device *d;

        if (action != UEVENT_BIND && action != UEVENT_UNBIND)
                return true;
        d = device_table_find(&m->devices, a);
        return !d || d->facts.identity.class_code >> 16 == PCI_BASE_CLASS_DISPLAY;
}

/* What the helper has made was taken in when it said so; that its predecessor left is no news then. */
static bool is_renewed(const Manager *m, const PciAddress *a) {
        const Device *d = device_table_find(&m->devices, a);

        return d && d->facts.is_virtual && inventory_has(m->root, a);
}

static void on_uevent(UeventAction action, const PciAddress *a, void *userdata) {
        Manager *m = userdata;

        if (action == UEVENT_USE) {
                host_watch_trigger_twice(m->host_watch);
                return;
        }
        m->look_due = m->look_due || changes_use(m, action, a);
        if (action == UEVENT_DRIVERS) { /* vfio-pci was loaded, perhaps */
                m->platform_stale = true;
                changes_touch(&m->changes);
                return;
        }
        if (action == UEVENT_LOST) {
                log_warning("Device events were lost; reading all devices again.");
                (void)hotplug_scan(m);
                for (size_t i = 0; i < m->devices.n; i++)
                        move_table_nudge(&m->moves, device_address(m->devices.devices[i]));
        } else {
                if (action == UEVENT_REMOVE && !is_renewed(m, a))
                        hotplug_remove(m, a);
                else
                        hotplug_update(m, a);
                move_table_nudge(&m->moves, a);
        }
}

static void on_uevents_end(void *userdata) {
        Manager *m = userdata;

        pci_names_trim(m->names);
        if (m->look_due)
                host_watch_trigger(m->host_watch);
        m->look_due = false;
        steward_run(m);
}

static void on_files_changed(RootDirectory which, void *userdata) {
        Manager *m = userdata;

        if (which == ROOT_MOVES) {
                manager_read_moves(m);
                manager_flush(m); /* a state that was "moving" is none to decide by */
        } else {
                grants_read(m);
                boot_guard_read(m);
                if (m->ready)
                        transactions_drop_late(m);
        }
        steward_run(m);
}

static void on_helper_left(void *userdata) {
        Manager *m = userdata;

        move_table_unblock(&m->moves);
        steward_run(m);
}

static void become_ready(Manager *m) {
        if (m->ready)
                return;

        manager_flush(m);
        m->ready = true;
        (void)sd_event_source_set_enabled(m->patience, SD_EVENT_OFF);
        m->wire->ready(m);
        runs_recover(m);
        order_book_recover(m); /* behind the name: the helper serves only its owner */
        steward_look_back(m);
        steward_run(m);
}

static int on_patience_ends(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        log_warning("What the host uses could not be read in time: until it can, no device is eligible.");
        become_ready(userdata);
        return 0;
}

static int list_subjects(HostVerdict **ret, size_t *ret_n, void *userdata) {
        const Manager *m = userdata;
        HostVerdict *v;

        v = calloc(m->devices.n > 0 ? m->devices.n : 1, sizeof *v);
        if (!v)
                return -ENOMEM;
        for (size_t i = 0; i < m->devices.n; i++) {
                const Device *d = m->devices.devices[i];

                v[i].identity = d->facts.identity;
                v[i].physical_function = d->facts.physical_function;
                v[i].vf_index = device_is_network(d) && d->facts.is_virtual ? d->facts.vf_index : -1;
        }

        *ret = v;
        *ret_n = m->devices.n;
        return 0;
}

static void on_judged(int error, const HostVerdict *verdicts, size_t n, void *userdata) {
        Manager *m = userdata;

        if (error == -ETIMEDOUT && error != m->error)
                log_warning("The kernel does not answer what the host uses (mounts, swap, addresses, "
                            "routes): "
                            "no device may leave it until it does. See 'journalctl -k' for a driver that "
                            "hangs.");
        else if (error < 0 && error != m->error)
                log_warning("What the host uses could not be read (%s): no device may leave it until it "
                            "can.",
                            strerror(-error));
        else if (error >= 0 && m->error < 0)
                log_info("What the host uses can be read again.");
        m->error = error;

        if (error < 0)
                for (size_t i = 0; i < m->devices.n; i++)
                        hotplug_take_verdict(m, m->devices.devices[i], &(HostVerdict){.error = error});
        for (size_t i = 0; i < n && error >= 0; i++) {
                Device *d = device_table_find(&m->devices, &verdicts[i].identity.address);

                if (d && pci_identity_same(&d->facts.identity, &verdicts[i].identity))
                        hotplug_take_verdict(m, d, &verdicts[i]);
        }
        hotplug_read_interfaces(m);
        operation_take_verdicts(m);
        become_ready(m);
        manager_flush(m);
        steward_run(m); /* what the host can spare now may be wanted */
}

static int add_sources(Manager *m) {
        int r;

        r = sd_event_add_defer(m->event, &m->flush, on_flush, m);
        if (r < 0 || (r = sd_event_source_set_enabled(m->flush, SD_EVENT_OFF)) < 0 ||
            (r = sd_event_source_set_priority(m->flush, SD_EVENT_PRIORITY_IMPORTANT)) < 0)
                return r;

        r = sd_event_add_time(m->event, &m->again, CLOCK_MONOTONIC, UINT64_MAX, 0, on_again, m);
        if (r < 0 || (r = sd_event_source_set_enabled(m->again, SD_EVENT_OFF)) < 0)
                return r;

        return sd_event_add_time_relative(m->event, &m->patience, CLOCK_MONOTONIC, PATIENCE_USEC, 0,
                                          on_patience_ends, m);
}

static void on_lifeline_cut(const char *run, void *userdata) {
        run_ended(userdata, run, "its lifeline was cut");
}

int manager_new(sd_bus *bus, sd_event *event, const ManagerConfig *config, const ManagerWire *wire,
                Manager **ret) {
        _cleanup_(manager_freep) Manager *m = NULL;
        int r;

        assert(bus);
        assert(event);
        assert(config);
        assert(wire);
        assert(ret);

        m = calloc(1, sizeof *m);
        if (!m)
                return -ENOMEM;

        m->bus = sd_bus_ref(bus);
        m->event = sd_event_ref(event);
        m->wire = wire;
        m->root = config->root;
        m->root_uid = config->root_uid;
        m->confirm_min = config->confirm_min ?: CONFIRM_SECONDS_MIN;
        m->changes.arm = arm_flush;
        m->changes.userdata = m;
        m->node_name = strdup(config->node_name);
        if (!m->node_name)
                return -ENOMEM;
        m->devices.node = m->node_name;
        if ((r = grant_read_boot(m->root, m->boot_id)) < 0 || (r = add_sources(m)) < 0 ||
            (r = boot_guard_init(m, config->healthy_usec)) < 0 || (r = edits_init(m)) < 0 ||
            (r = run_queue_init(m)) < 0 ||
            (r = lifelines_new(event, on_lifeline_cut, m, &m->lifelines)) < 0 ||
            (r = machines_new(bus, &m->machines)) < 0 || (r = order_book_open(m)) < 0 ||
            (r = polkit_new(bus, &m->polkit)) < 0 ||
            (r = audit_new(&(AuditConfig){event, m->root, DAEMON_IDENTIFIER, AUDIT_WINDOW_USEC},
                           &m->audit)) < 0 ||
            (r = helper_client_new(bus, m->root, on_helper_left, m, &m->helper)) < 0 ||
            (r = pci_names_new(&m->names)) < 0)
                return r;

        *ret = STEAL(m);
        return 0;
}

Manager *manager_free(Manager *m) {
        if (!m)
                return NULL;

        m->polkit = polkit_free(m->polkit);
        m->store = store_free(m->store);
        edits_free_all(m);
        transactions_free_all(m);
        run_stops_free_all(m);
        calls_free_all(m);
        diagnoser_free(m);
        run_watches_free_all(m);
        machines_free(m->machines);
        lifelines_free(m->lifelines);
        operation_free_all(m);
        steward_free_all(m);
        audit_free(m->audit);
        boot_guard_clear(m);
        helper_client_free(m->helper);
        host_watch_free(m->host_watch);
        root_files_free(m->root_files);
        uevents_free(m->uevents);
        pci_names_free(m->names);
        order_book_close(m); /* it may still mark changes */
        sd_event_source_disable_unref(m->flush);
        sd_event_source_disable_unref(m->again);
        sd_event_source_disable_unref(m->patience);
        sd_event_source_disable_unref(m->edit_next);
        sd_event_source_disable_unref(m->queue_next);
        attention_clear(m);
        quarantine_clear(m);
        grant_files_clear(&m->grants);
        device_table_clear(&m->devices);
        move_table_clear(&m->moves);
        sd_bus_unref(m->bus);
        sd_event_unref(m->event);
        free(m->node_name);
        free(m);
        return NULL;
}

static int watch_host(Manager *m) {
        const HostWatchConfig config = {.root = m->root,
                                        .patience_usec = HOST_WATCH_PATIENCE_USEC,
                                        .retry_usec = HOST_WATCH_RETRY_USEC,
                                        .recheck_usec = HOST_WATCH_RECHECK_USEC,
                                        .subjects = list_subjects,
                                        .done = on_judged,
                                        .userdata = m};

        return host_watch_new(m->event, &config, &m->host_watch);
}

/* The monitor before the first look: what changes in between is seen twice rather than never. */
int manager_start(Manager *m, int uevent_fd) {
        int r;

        assert(m);

        r = uevents_new(m->event, uevent_fd, on_uevent, on_uevents_end, m, &m->uevents);
        if (r < 0) {
                log_error("Cannot watch for device events: %s.", strerror(-r));
                return r;
        }
        r = root_files_new(m->event, m->root, on_files_changed, m, &m->root_files);
        if (r < 0) {
                log_error("Cannot watch the helper's files: %s.", strerror(-r));
                return r;
        }

        platform_read(m->root, &m->platform);
        r = hotplug_scan(m);
        pci_names_trim(m->names);
        if (r < 0) {
                log_error("Cannot list the PCI devices: %s.", strerror(-r));
                return r;
        }
        grants_read(m);
        boot_guard_read(m);
        manager_read_moves(m);
        m->scanned = true;
        if ((r = registry_rebuild(m->registry)) < 0 || /* the rules were there first */
            (r = runs_load(m)) < 0)
                return r;
        quarantine_load(m);

        r = watch_host(m);
        if (r < 0) {
                log_error("Cannot watch what the host uses: %s.", strerror(-r));
                return r;
        }
        host_watch_trigger(m->host_watch);
        return 0;
}
