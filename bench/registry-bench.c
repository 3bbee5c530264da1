/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What groups and rules cost on a very large host: simulated devices, no kernel, no bus. Prints one line for each
 * figure: name, value, goal ("-" for none).
 *
 *   registry-bench [DEVICES [RULES]]
 */

#include <malloc.h>
#include <time.h>

#include "changes.h"
#include "device-fields.h"
#include "registry.h"

#define ROUNDS 7
#define GROUPS 20
#define SUBSYSTEMS 8
#define COLD_GOAL "< 250 ms"
#define CHANGE_GOAL "< 5 ms"

/* What the rules are like. */
typedef enum Mix {
        MIX_AUTO,    /* one device each, as MakePassthrough writes them */
        MIX_HALF,    /* one in two is general */
        MIX_GENERAL, /* all ask for words, classes, drivers, NUMA nodes; some by regular expression */
        MIX_BROAD,   /* general, and so wide that each device is matched by tens of them */
        MIX_SLOTS,   /* general, and each leaves out one slot, so that no two devices are alike */
        MIX_MAX,
} Mix;

static const char *const mix_names[MIX_MAX] = {"auto", "half", "general", "broad", "slots"};

static const struct {
        uint16_t vendor, device;
        uint32_t class_code;
        const char *words[3], *driver;
} models[] = {
                {0x8086,
                 0x10d3,
                 0x020000,
                 {"Intel Corporation", "82574L Gigabit Network Connection", "Ethernet controller"},
                 "e1000e"},
                {0x8086,
                 0x1572,
                 0x020000,
                 {"Intel Corporation", "Ethernet Controller X710 for 10GbE SFP+", "Ethernet controller"},
                 "i40e"},
                {0x8086,
                 0x154c,
                 0x020000,
                 {"Intel Corporation", "Ethernet Virtual Function 700 Series", "Ethernet controller"},
                 "iavf"},
                {0x8086,
                 0x0a54,
                 0x010802,
                 {"Intel Corporation", "NVMe Datacenter SSD [3DNAND, Beta Rock Controller]",
                  "Non-Volatile memory controller"},
                 "nvme"},
                {0x15b3,
                 0x101e,
                 0x020000,
                 {"Mellanox Technologies", "ConnectX Family mlx5Gen Virtual Function",
                  "Ethernet controller"},
                 "mlx5_core"},
                {0x15b3,
                 0x1017,
                 0x020000,
                 {"Mellanox Technologies", "MT27800 Family [ConnectX-5]", "Ethernet controller"},
                 "mlx5_core"},
                {0x10de,
                 0x1eb8,
                 0x030200,
                 {"NVIDIA Corporation", "TU104GL [Tesla T4]", "3D controller"},
                 "nvidia"},
                {0x10de,
                 0x20b5,
                 0x030200,
                 {"NVIDIA Corporation", "GA100 [A100 PCIe 80GB]", "3D controller"},
                 "nvidia"},
                {0x144d,
                 0xa824,
                 0x010802,
                 {"Samsung Electronics Co Ltd", "NVMe SSD Controller PM173X",
                  "Non-Volatile memory controller"},
                 "nvme"},
                {0x1912,
                 0x0014,
                 0x0c0330,
                 {"Renesas Technology Corp.", "uPD720201 USB 3.0 Host Controller", "USB controller"},
                 "xhci_hcd"},
};

typedef struct Bench {
        size_t n_devices, n_rules;
        DeviceTable devices;
        Changes changes;
        Registry *registry;
        size_t n_told;
        bool list_overlaps; /* as if they went out with the signal */
} Bench;

static double now_ms(void) {
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static size_t memory_used(void) {
        struct mallinfo2 m = mallinfo2();

        return m.uordblks + m.hblkhd;
}

static void must(int r, const char *what) {
        if (r >= 0)
                return;
        fprintf(stderr, "%s: %s\n", what, strerror(-r));
        exit(EXIT_FAILURE);
}

static void add_device(Bench *b, size_t i) {
        const size_t m = i * 7 % ELEMENTSOF(models);
        DeviceFacts facts = {.identity = {.address = {.bus = (uint8_t)(i / 256),
                                                      .domain = (uint32_t)(i / 65536),
                                                      .device = (uint8_t)(i / 8 % 32),
                                                      .function = (uint8_t)(i % 8)},
                                          .vendor = models[m].vendor,
                                          .device = models[m].device,
                                          .subsystem_vendor = models[m].vendor,
                                          .subsystem_device = (uint16_t)(i / 10 % SUBSYSTEMS),
                                          .class_code = models[m].class_code,
                                          .revision = 1},
                             .numa_node = (int32_t)(i / 64 % 4),
                             .set.number = (unsigned)i};
        char path[64];
        Device *d;

        must(iommu_set_add(&facts.set, &facts.identity.address), "iommu_set_add");
        (void)snprintf(facts.driver, sizeof facts.driver, "%s", models[m].driver);
        (void)snprintf(facts.module, sizeof facts.module, "%s", models[m].driver);
        (void)snprintf(facts.reset_methods, sizeof facts.reset_methods, "flr bus");
        if (models[m].class_code >> 16 == 0x01)
                (void)snprintf(facts.identity.serial, sizeof facts.identity.serial, "S64GNE0R%06zu", i);
        (void)snprintf(path, sizeof path, BUS_PATH_DEVICES "/_30000_3a%02zx_3a%02zx_2e%zu", i / 256,
                       i / 8 % 32, i % 8);

        must(device_new(&facts, path, &d), "device_new");
        must(device_set_words(d, models[m].words[0], models[m].words[1], models[m].words[2],
                              models[m].words[0], "0001"),
             "device_set_words");
        d->critical_known = true;
        d->granted = true;
        must(device_table_insert(&b->devices, d), "device_table_insert");
        (void)device_table_derive(&b->devices, d, false);
}

static void auto_filter(const Bench *b, size_t i, char *buf, size_t size) {
        const Device *d = b->devices.devices[i * 10 % b->devices.n];
        const PciIdentity *id = &d->facts.identity;
        int n;

        n = snprintf(buf, size,
                     "address eq '%s' and vendor_device_hex eq '%04x:%04x' and subsystem_hex eq '%04x:%04x'",
                     d->address, id->vendor, id->device, id->subsystem_vendor, id->subsystem_device);
        if (d->serial[0])
                (void)snprintf(buf + n, size - (size_t)n, " and serial eq '%s'", d->serial);
}

static void general_filter(size_t i, char *buf, size_t size) {
        static const char *const vendors[] = {"intel", "MELLANOX", "nvidia", "Samsung", "renesas"};
        const char *vendor = vendors[i % ELEMENTSOF(vendors)];
        unsigned n = (unsigned)(i / 6), numa = n % 4, subsystem = n / 4 % SUBSYSTEMS;

        switch (i % 6) {
        case 0:
                (void)snprintf(buf, size,
                               "vendor ct '%s' and class_hex bw '02' and subsystem_hex ew '%04x' and numa "
                               "eq %u",
                               vendor, subsystem, numa);
                break;
        case 1:
                (void)snprintf(buf, size,
                               "device_type eq 'gpu' and numa eq %u and subsystem_hex ew ':%04x' and "
                               "revision lt 9",
                               numa, subsystem);
                break;
        case 2:
                (void)snprintf(buf, size,
                               "vendor_device_hex eq '10de:%04x' or (vendor_device_hex eq '8086:1572' and "
                               "numa eq %u "
                               "and subsystem_hex eq '8086:%04x')",
                               n, numa, subsystem);
                break;
        case 3:
                (void)snprintf(buf, size,
                               "name ct '%s' and not (driver eq 'nvme' or driver eq 'vfio-pci') and numa eq "
                               "%u and "
                               "subsystem_hex ew '%x'",
                               vendor, numa, subsystem);
                break;
        case 4:
                (void)snprintf(buf, size,
                               "subsystem_hex eq '8086:%04x' and device cs 'X7%u' and class ct 'ethernet'",
                               subsystem, n % 20);
                break;
        default: /* one in sixty by regular expression */
                if (i % 60 == 5)
                        (void)snprintf(buf, size,
                                       "device rx '^(TU|GA)[0-9]{3}.*\\[[A-Z].*%u.*\\]$' and numa eq %u",
                                       n % 10, numa);
                else
                        (void)snprintf(buf, size, "svendor ct '%s' and class_hex eq '0c03' and numa eq %u",
                                       vendor, numa);
                break;
        }
}

static void broad_filter(size_t i, char *buf, size_t size) {
        static const char *const vendors[] = {"intel", "MELLANOX", "nvidia", "Samsung", "renesas"};
        const char *vendor = vendors[i / 3 % ELEMENTSOF(vendors)];
        unsigned n = (unsigned)(i / 3);

        if (i % 3 == 0)
                (void)snprintf(buf, size, "vendor ct '%s' and numa eq %u and not (driver eq 'vfio-pci')",
                               vendor, n % 4);
        else if (i % 3 == 1)
                (void)snprintf(buf, size, "device_type eq 'gpu' and numa eq %u and sriov_totalvfs le %u",
                               n % 4, n);
        else
                (void)snprintf(buf, size, "vendor_device_hex eq '10de:%04x' or subsystem_hex eq '8086:%04x'",
                               n, n % SUBSYSTEMS);
}

static void make_filter(const Bench *b, Mix mix, size_t i, char *buf, size_t size) {
        char general[512];

        if (mix == MIX_AUTO || (mix == MIX_HALF && i % 2 == 0)) {
                auto_filter(b, i, buf, size);
                return;
        }
        if (mix == MIX_BROAD)
                broad_filter(i, general, sizeof general);
        else
                general_filter(i, general, sizeof general);
        if (mix == MIX_SLOTS)
                (void)snprintf(buf, size, "(%s) and not (slot eq '%02zx:00.0')", general, i % 256);
        else
                (void)snprintf(buf, size, "%s", general);
}

static void make_id(char *buf, unsigned kind, size_t i) {
        (void)snprintf(buf, RECORD_ID_SIZE, "6ba7b810-9dad-11d1-%04x-%012zx", kind, i);
}

static char *text(const char *s) {
        char *copy = strdup(s);

        must(copy ? 0 : -ENOMEM, "strdup");
        return copy;
}

static void put_group(Bench *b, size_t i) {
        GroupRecord record = {.enabled = true, .class = GROUP_CLASS_PCI};
        char name[32];
        bool is_new;
        Group *g;

        make_id(record.id, 1, i);
        (void)snprintf(name, sizeof name, "Group %zu", i);
        record.name = text(name);
        record.description = text("");
        must(registry_put_group(b->registry, &record, &g, &is_new), "registry_put_group");
}

static Rule *put_rule(Bench *b, Mix mix, size_t i) {
        RuleRecord record = {.age = i + 1, .enabled = true};
        char name[32], filter[1024];
        bool is_new;
        Rule *rule;

        make_id(record.id, 2, i);
        make_id(record.group, 1, i % GROUPS);
        (void)snprintf(name, sizeof name, "Rule %zu", i);
        make_filter(b, mix, i, filter, sizeof filter);
        record.name = text(name);
        record.node = text(i % 2 ? "" : b->devices.node);
        record.filter = text(filter);
        must(registry_put_rule(b->registry, &record, &rule, &is_new), filter);
        return rule;
}

/* What a signal costs before it is on the bus: the texts of it are left to rank 4. */
static void on_group(Group *g, uint32_t mask, void *userdata) {
        Bench *b = userdata;

        b->n_told += mask & 1U << GROUP_PROPERTY_AVAILABLE ? registry_count_available(g) > 0 : 1;
}

static void on_rule(Rule *rule, uint32_t mask, void *userdata) {
        Bench *b = userdata;
        Device *d;
        Rule *other;

        b->n_told++;
        if (b->list_overlaps && mask & 1U << RULE_PROPERTY_OVERLAPS)
                for (size_t at = 0; registry_next_overlap(rule, &at, &d, &other);)
                        ;
}

static void on_device(Device *d, uint32_t mask, void *userdata) {
        Bench *b = userdata;

        b->n_told++;
        if (mask & DEVICE_FIELDS_PROPERTIES)
                must(registry_match_device(b->registry, d), "registry_match_device");
        registry_device_changed(b->registry, d);
}

static void on_stuck(Device *d, void *userdata) {
}

static void on_manager(uint32_t mask, void *userdata) {
}

static void on_regrouped(Device *d, void *userdata) {
        Bench *b = userdata;

        changes_mark(&b->changes, d, 1U << DEVICE_PROPERTY_GROUPS);
}

static void flush(Bench *b) {
        static const ChangesSink changes = {.device = on_device, .stuck = on_stuck, .manager = on_manager};
        static const RegistrySink registry = {on_group, on_rule};

        changes_flush(&b->changes, &b->devices, false, &changes, b);
        if (b->changes.armed) /* it is in another group now */
                changes_flush(&b->changes, &b->devices, false, &changes, b);
        registry_flush(b->registry, &registry, b);
}

static void open_registry(Bench *b) {
        const RegistryConfig config = {.devices = &b->devices, .regrouped = on_regrouped, .userdata = b};

        must(registry_new(&config, &b->registry), "registry_new");
        for (size_t i = 0; i < GROUPS; i++)
                put_group(b, i);
}

static void load(Bench *b, Mix mix) {
        registry_defer(b->registry);
        for (size_t i = 0; i < b->n_rules; i++)
                (void)put_rule(b, mix, i);
        must(registry_rebuild(b->registry), "registry_rebuild");
        flush(b);
}

static int compare_doubles(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static void report(Mix mix, const char *name, double *values, size_t n, const char *goal) {
        qsort(values, n, sizeof *values, compare_doubles);
        printf("%s-%s\t%.3f ms\t%s\n", mix_names[mix], name, values[n / 2], goal);
        if (n > ROUNDS)
                printf("%s-%s-max\t%.3f ms\t%s\n", mix_names[mix], name, values[n - 1], goal);
}

/* A driver leaves or takes a device, and the bus is told. */
static void measure_change(Bench *b, Mix mix, const char *name) {
        double values[200], begin;
        DeviceFacts facts;
        Device *d;

        for (size_t i = 0; i < ELEMENTSOF(values); i++) {
                d = b->devices.devices[i / 2 * 997 % b->devices.n];
                facts = d->facts;
                (void)snprintf(facts.driver, sizeof facts.driver, "%s",
                               i % 2 ? models[i % 10].driver : VFIO_DRIVER);
                begin = now_ms();
                changes_mark(&b->changes, d, device_set_facts(d, &facts));
                flush(b);
                values[i] = now_ms() - begin;
        }
        report(mix, name, values, ELEMENTSOF(values), CHANGE_GOAL);
}

static void measure_rule(Bench *b, Mix mix) {
        double values[ROUNDS], begin;
        Rule *rule;

        for (size_t i = 0; i < ROUNDS; i++) {
                begin = now_ms();
                rule = put_rule(b, mix, b->n_rules + i);
                flush(b);
                values[i] = now_ms() - begin;
                registry_remove_rule(b->registry, rule);
                flush(b);
        }
        report(mix, "put-rule", values, ROUNDS, "-");
}

static void count(const Bench *b, Mix mix) {
        size_t n = 0, members = 0, overlaps = 0, max = 0, k;
        double begin = now_ms();
        Rule *rule, *other;
        Device *d;

        for (size_t at = 0; (rule = registry_next_rule(b->registry, &at));) {
                for (size_t i = k = 0; registry_next_overlap(rule, &i, &d, &other); k++)
                        ;
                overlaps += k;
                max = k > max ? k : max;
        }
        printf("%s-all-overlaps\t%.3f ms\t-\n", mix_names[mix], now_ms() - begin);
        for (size_t i = 0; i < b->devices.n; i++) {
                n += b->devices.devices[i]->n_rules;
                members += b->devices.devices[i]->n_rules > 0;
        }
        printf("%s-matches\t%zu\t-\n%s-members\t%zu\t-\n", mix_names[mix], n, mix_names[mix], members);
        printf("%s-overlaps\t%zu, the most of one rule %zu\t-\n", mix_names[mix], overlaps, max);
}

static void measure(Bench *b, Mix mix, size_t before) {
        double values[ROUNDS], begin;

        for (size_t i = 0; i < ROUNDS; i++) {
                open_registry(b);
                begin = now_ms();
                load(b, mix);
                values[i] = now_ms() - begin;
                if (i + 1 < ROUNDS)
                        b->registry = registry_free(b->registry);
        }
        report(mix, "cold", values, ROUNDS, mix == MIX_SLOTS ? "-" : COLD_GOAL);
        printf("%s-memory\t%zu B a device\t< 2048 B\n", mix_names[mix],
               (memory_used() - before) / b->devices.n);
        count(b, mix);
        measure_change(b, mix, "change");
        b->list_overlaps = true;
        measure_change(b, mix, "change-with-overlaps");
        b->list_overlaps = false;
        measure_rule(b, mix);
        b->registry = registry_free(b->registry);
}

int main(int argc, char *argv[]) {
        Bench b = {.n_devices = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000,
                   .n_rules = argc > 2 ? strtoul(argv[2], NULL, 10) : 1000,
                   .devices.node = "node1"};
        size_t before = memory_used();

        if (b.n_devices < 1 || b.n_devices > 65536 || b.n_rules < 1 || b.n_rules + ROUNDS > RULES_MAX) {
                fprintf(stderr, "Usage: registry-bench [DEVICES [RULES]]\n");
                return EXIT_FAILURE;
        }
        for (size_t i = 0; i < b.n_devices; i++)
                add_device(&b, i);
        printf("devices\t%zu\t-\nrules\t%zu\t-\n", b.n_devices, b.n_rules);
        printf("memory-without-rules\t%zu B a device\t-\n", (memory_used() - before) / b.devices.n);
        for (Mix mix = 0; mix < MIX_MAX; mix++)
                measure(&b, mix, before);
        device_table_clear(&b.devices);
        return EXIT_SUCCESS;
}
