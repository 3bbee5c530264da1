/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <endian.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "fake-kernel.h"
#include "fake-links.h"
#include "host-netlink.h"
#include "sysfs.h"
#include "names.h"
#include "vf-settings.h"

#define STATE "run/fake-vf-link"
#define WAITS 3U /* until a slow link is there */

int __wrap_netlink_ask(int protocol, const NetlinkRequest *q, netlink_message_t f, void *userdata);
int __wrap_netlink_change(int protocol, const NetlinkRequest *q, char *ret_why, size_t why_size);
int __wrap_netlink_listen(int protocol, int group);
int __wrap_netlink_wait(int fd, unsigned ms);

typedef struct Port {
        char physical[PCI_ADDRESS_SIZE], interface[IFNAMSIZ], driver[128];
        unsigned number, n_functions;
        VfSettings functions[VFS_MAX];
} Port;

static const char *at_root(char buf[static PATH_MAX], const char *format, ...) _printf_(2, 3);
static const char *at_root(char buf[static PATH_MAX], const char *format, ...) {
        int n = snprintf(buf, PATH_MAX, "%s/", fake_kernel_root());
        va_list ap;

        va_start(ap, format);
        n += vsnprintf(buf + n, (size_t)(PATH_MAX - n), format, ap);
        va_end(ap);
        assert(n < PATH_MAX);
        return buf;
}

void fake_links_add(FakeHost *h, const char *physical, const char *interface, unsigned number,
                    const char *driver) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof path, "%s/net/%s", fake_host_device_path(h, physical), interface);
        fake_host_add_net(h, path);
        (void)snprintf(path, sizeof path, "sys/class/net/%s/ifindex", interface);
        fake_host_write(h, path, "%u\n", number);
        fake_host_mkdir(h, STATE);
        (void)snprintf(path, sizeof path, "fake/links/%u", number);
        fake_host_write(h, path, "%s %s %s\n", physical, interface, driver);
}

void fake_links_forget(const char *root, const char *physical) {
        char path[PATH_MAX];

        (void)snprintf(path, sizeof path, "%.4000s/" STATE "/%.16s", root, physical);
        (void)unlink(path);
}

static bool driver_is(const Port *p, const char *word) {
        return strstr(p->driver, word) != NULL;
}

/* A function that nobody has set anything of: igb checks for spoofing then, and does not tell of query-rss. */
static VfSettings fresh(const Port *p) {
        VfSettings v = {0};

        vf_settings_complete(&v, UINT32_MAX);
        if (!driver_is(p, "all"))
                v.given &= ~(1U << VF_QUERY_RSS);
        return v;
}

static int count_function(const char *name, void *userdata) {
        Port *p = userdata;

        p->n_functions += startswith(name, "virtfn");
        return 0;
}

static void read_functions(Port *p) {
        char path[PATH_MAX], line[VF_LINE_SIZE + 8];
        FILE *f;

        (void)sysfs_each(AT_FDCWD, at_root(path, "sys/bus/pci/devices/%s", p->physical), count_function, p);
        for (unsigned i = 0; i < p->n_functions; i++)
                p->functions[i] = fresh(p);

        f = fopen(at_root(path, STATE "/%s", p->physical), "re");
        while (f && fgets(line, sizeof line, f)) {
                unsigned i = (unsigned)strtoul(line, NULL, 10);
                const char *at = strstr(line, ": ");

                line[strcspn(line, "\n")] = '\0';
                if (i >= p->n_functions) /* they are being removed, one by one */
                        continue;
                if (!at || vf_settings_parse(at + 2, &p->functions[i]) < 0)
                        fail_msg("%s has a line that is none: %s", path, line);
        }
        if (f)
                (void)fclose(f);
}

/* -ENODEV: there is no such interface. */
static int read_port(unsigned number, Port *ret) {
        char path[PATH_MAX], text[256];
        int r;

        *ret = (Port){.number = number};
        r = sysfs_read(AT_FDCWD, at_root(path, "fake/links/%u", number), text, sizeof text);
        if (r < 0 || sscanf(text, "%15s %15s %127[^\n]", ret->physical, ret->interface, ret->driver) < 2)
                return -ENODEV;
        if (faccessat(AT_FDCWD, at_root(path, "sys/class/net/%s", ret->interface), F_OK, 0) < 0)
                return -ENODEV;
        read_functions(ret);
        return 0;
}

static void write_functions(const Port *p) {
        char path[PATH_MAX], other[PATH_MAX], line[VF_LINE_SIZE];
        VfSettings none = fresh(p);
        FILE *f;

        at_root(path, STATE "/%s", p->physical);
        f = fopen(at_root(other, STATE "/.%s", p->physical), "we");
        assert(f);
        for (unsigned i = 0; i < p->n_functions; i++)
                if (!vf_settings_same(&p->functions[i], &none))
                        (void)fprintf(f, "%u: %s\n", i, vf_settings_format(&p->functions[i], line));
        (void)fclose(f);
        (void)rename(other, path);
}

static uint64_t read_waits(char path[static PATH_MAX]) {
        uint64_t n = 0;

        (void)sysfs_read_u64(AT_FDCWD, at_root(path, "fake/links/waits"), 10, &n);
        return n;
}

static bool has_link(const Port *p) {
        char path[PATH_MAX];

        if (driver_is(p, "down") || driver_is(p, "no-link"))
                return false;
        return !driver_is(p, "slow-link") || read_waits(path) >= WAITS;
}

int __wrap_netlink_listen(int protocol, int group) {
        int fd;

        assert(protocol == NETLINK_ROUTE && group == RTNLGRP_LINK);
        fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* Each wait brings a slow one nearer, and brings news; of the others there are none, however long one waits. */
int __wrap_netlink_wait(int fd, unsigned ms) {
        char path[PATH_MAX];
        uint64_t n = read_waits(path);
        FILE *f;

        assert(fd >= 0 && ms > 0);
        f = fopen(path, "we");
        assert(f);
        (void)fprintf(f, "%u\n", (unsigned)++n);
        (void)fclose(f);
        return n <= WAITS;
}

/* An answer is bigger than a request. */
typedef struct Answer {
        _Alignas(4) uint8_t data[65536];
        size_t size;
} Answer;

static size_t put(Answer *a, uint16_t type, const void *data, size_t size) {
        const struct nlattr head = {.nla_len = (uint16_t)(sizeof head + size), .nla_type = type};
        size_t at = a->size;

        assert(a->size + sizeof head + size + 4 <= sizeof a->data);
        memcpy(a->data + a->size, &head, sizeof head);
        if (size > 0)
                memcpy(a->data + a->size + sizeof head, data, size);
        a->size = NLA_ALIGN(a->size + sizeof head + size);
        return at;
}

static void close_nest(Answer *a, size_t at) {
        const uint16_t length = (uint16_t)(a->size - at);

        memcpy(a->data + at, &length, sizeof length);
}

static uint32_t told(const VfSettings *v, VfSetting s) {
        if (!vf_settings_has(v, s))
                return UINT32_MAX;
        return vf_setting_is_switch(s) ? v->values[s] == VF_SWITCH_ON : v->values[s];
}

static void put_function(Answer *a, unsigned vf, const VfSettings *v) {
        const struct ifla_vf_vlan_info vlan = {.vf = vf,
                                               .vlan = v->values[VF_VLAN],
                                               .qos = v->values[VF_VLAN_QOS],
                                               .vlan_proto = htobe16((uint16_t)v->values[VF_VLAN_PROTOCOL])};
        const struct ifla_vf_rate rate = {vf, v->values[VF_MIN_RATE], v->values[VF_MAX_RATE]};
        struct ifla_vf_mac mac = {.vf = vf};
        size_t function, list;

        memcpy(mac.mac, v->mac, VF_MAC_LENGTH);
        function = put(a, IFLA_VF_INFO, NULL, 0);
        (void)put(a, IFLA_VF_MAC, &mac, sizeof mac);
        list = put(a, IFLA_VF_VLAN_LIST, NULL, 0);
        (void)put(a, IFLA_VF_VLAN_INFO, &vlan, sizeof vlan);
        close_nest(a, list);
        (void)put(a, IFLA_VF_RATE, &rate, sizeof rate);
        (void)put(a, IFLA_VF_SPOOFCHK, (uint32_t[]){vf, told(v, VF_SPOOF_CHECKING)}, 8);
        (void)put(a, IFLA_VF_LINK_STATE, (uint32_t[]){vf, told(v, VF_LINK_STATE)}, 8);
        (void)put(a, IFLA_VF_RSS_QUERY_EN, (uint32_t[]){vf, told(v, VF_QUERY_RSS)}, 8);
        (void)put(a, IFLA_VF_TRUST, (uint32_t[]){vf, told(v, VF_TRUST)}, 8);
        close_nest(a, function);
}

static void answer_link(const Port *p, Answer *a) {
        struct nlmsghdr header = {.nlmsg_type = RTM_NEWLINK};
        struct ifinfomsg link = {.ifi_type = ARPHRD_ETHER, .ifi_index = (int)p->number};
        size_t list;

        link.ifi_flags = (driver_is(p, "down") ? 0 : IFF_UP) | (has_link(p) ? IFF_LOWER_UP : 0);
        a->size = sizeof header + sizeof link;
        memcpy(a->data + sizeof header, &link, sizeof link);
        (void)put(a, IFLA_IFNAME, p->interface, strlen(p->interface) + 1);
        if (!driver_is(p, "silent")) {
                list = put(a, IFLA_VFINFO_LIST, NULL, 0);
                for (unsigned i = 0; i < p->n_functions; i++)
                        if (i != 1 || !driver_is(p, "resets-1"))
                                put_function(a, i, &p->functions[i]);
                close_nest(a, list);
        }
        header.nlmsg_len = (uint32_t)a->size;
        memcpy(a->data, &header, sizeof header);
}

/* The request, with its type; -1: it is not about links. */
static int link_of(const NetlinkRequest *q, unsigned *ret_type) {
        struct nlmsghdr header;
        struct ifinfomsg link;

        memcpy(&header, q->data, sizeof header);
        assert(header.nlmsg_len == q->size);
        *ret_type = header.nlmsg_type;
        if (header.nlmsg_type != RTM_GETLINK && header.nlmsg_type != RTM_SETLINK)
                return -1;
        memcpy(&link, q->data + sizeof header, sizeof link);
        return link.ifi_index;
}

int __wrap_netlink_ask(int protocol, const NetlinkRequest *q, netlink_message_t f, void *userdata) {
        _cleanup_free_ Answer *a = calloc(1, sizeof *a);
        _cleanup_free_ Port *p = calloc(1, sizeof *p);
        unsigned type;
        int number = link_of(q, &type);

        assert(a && p);
        if (protocol != NETLINK_ROUTE || type != RTM_GETLINK)
                return -EPROTONOSUPPORT; /* all else is wrapped further up */
        if (read_port((unsigned)number, p) < 0)
                return -ENODEV;
        answer_link(p, a);
        return netlink_read(a->data, a->size, f, userdata);
}

/* What a message asks for. */
typedef struct Change {
        const char *word;
        uint32_t vf;
        VfSettings set;
} Change;

static void take(Change *c, const char *word, VfSetting s, uint32_t value) {
        c->word = word;
        c->set.values[s] = value;
        c->set.given |= 1U << s;
}

static int take_setting(unsigned type, Bytes value, void *userdata) {
        Change *c = userdata;
        uint32_t v[3] = {0};
        uint16_t protocol;

        memcpy(v, value.data, value.size < sizeof v ? value.size : sizeof v);
        c->vf = v[0];
        if (type == IFLA_VF_MAC) {
                memcpy(c->set.mac, value.data + 4, VF_MAC_LENGTH);
                take(c, "vf-mac", VF_MAC, 0);
        } else if (type == IFLA_VF_RATE) {
                take(c, "vf-rate", VF_MIN_RATE, v[1]);
                take(c, "vf-rate", VF_MAX_RATE, v[2]);
        } else if (type == IFLA_VF_VLAN_LIST) {
                memcpy(v, value.data + 4, sizeof v);
                memcpy(&protocol, value.data + 4 + sizeof v, sizeof protocol);
                c->vf = v[0];
                take(c, "vf-vlan", VF_VLAN, v[1]);
                take(c, "vf-vlan", VF_VLAN_QOS, v[2]);
                take(c, "vf-vlan", VF_VLAN_PROTOCOL, be16toh(protocol));
        } else if (type == IFLA_VF_LINK_STATE)
                take(c, "vf-link-state", VF_LINK_STATE, v[1]);
        else if (type == IFLA_VF_SPOOFCHK)
                take(c, "vf-spoof-checking", VF_SPOOF_CHECKING, v[1] ? VF_SWITCH_ON : VF_SWITCH_OFF);
        else if (type == IFLA_VF_TRUST)
                take(c, "vf-trust", VF_TRUST, v[1] ? VF_SWITCH_ON : VF_SWITCH_OFF);
        else if (type == IFLA_VF_RSS_QUERY_EN)
                take(c, "vf-query-rss", VF_QUERY_RSS, v[1] ? VF_SWITCH_ON : VF_SWITCH_OFF);
        return 0;
}

static int take_function(unsigned type, Bytes value, void *userdata) {
        return type == IFLA_VF_INFO ? netlink_each_attribute(value, take_setting, userdata) : -EINVAL;
}

static int take_list(unsigned type, Bytes value, void *userdata) {
        return type == IFLA_VFINFO_LIST ? netlink_each_attribute(value, take_function, userdata) : -EINVAL;
}

/* What igb_ndo_set_vf_*() say, and rtnetlink where igb has none. */
static int judge(const Port *p, const Change *c) {
        static const uint8_t none[VF_MAC_LENGTH];
        const VfSettings *v = &c->set;
        bool all = driver_is(p, "all");

        if (c->vf >= p->n_functions || v->values[VF_VLAN] > 4095 || v->values[VF_VLAN_QOS] > 7)
                return -EINVAL;
        if (vf_settings_has(v, VF_VLAN) && v->values[VF_VLAN_PROTOCOL] != VF_PROTOCOL_8021Q && !all)
                return -EPROTONOSUPPORT;
        if (vf_settings_has(v, VF_MAX_RATE) && v->values[VF_MAX_RATE] + v->values[VF_MIN_RATE] > 0 &&
            (!has_link(p) || v->values[VF_MAX_RATE] > (all ? VF_RATE_MAX : 1000) ||
             (v->values[VF_MIN_RATE] > 0 && !all)))
                return -EINVAL;
        if (vf_settings_has(v, VF_MAC) && !vf_mac_is_unicast(v->mac) &&
            (memcmp(v->mac, none, sizeof none) != 0 || driver_is(p, "keeps-mac")))
                return -EINVAL;
        return (v->given & (1U << VF_LINK_STATE | 1U << VF_QUERY_RSS)) && !all ? -EOPNOTSUPP : 0;
}

/* How many writes such a rule would have matched before, those to sysfs among them. */
static unsigned count_in_log(const char *word, const char *physical) {
        char path[PATH_MAX], line[512], w[32], a[32];
        unsigned n = 0;
        FILE *f;

        f = fopen(at_root(path, "fake/log"), "re");
        while (f && fgets(line, sizeof line, f))
                n += sscanf(line, "%31s %31s", w, a) == 2 && (streq(word, "*") || streq(w, word)) &&
                     (streq(physical, "*") || streq(a, physical)) && !strstr(line, "= HANG");
        if (f)
                (void)fclose(f);
        return n;
}

/* The action of the first rule in <root>/fake/fail that is about this. */
static void find_rule(const Change *c, const Port *p, char action[static 64]) {
        char path[PATH_MAX], line[512], what[32], address[32], name[64];
        unsigned nth;
        FILE *f;

        action[0] = '\0';
        f = fopen(at_root(path, "fake/fail"), "re");
        while (f && !action[0] && fgets(line, sizeof line, f)) {
                nth = 0;
                if (sscanf(line, "%31s %31s %63s %u", what, address, name, &nth) >= 3 &&
                    (streq(what, "*") || streq(what, c->word)) &&
                    (streq(address, "*") || streq(address, p->physical)) &&
                    (nth == 0 || count_in_log(what, address) + 1 == nth))
                        strcpy(action, name);
        }
        if (f)
                (void)fclose(f);
}

static void log_change(const Change *c, const Port *p, const char *end) {
        char path[PATH_MAX], text[VF_LINE_SIZE];
        FILE *f;

        f = fopen(at_root(path, "fake/log"), "ae");
        if (!f)
                return;
        (void)fprintf(f, "%s %s %u %s%s\n", c->word, p->physical, c->vf, vf_settings_format(&c->set, text),
                      end);
        (void)fclose(f);
}

static void die_if(const char *action, const char *kill_word, const char *crash_word, const Change *c,
                   const Port *p) {
        char path[PATH_MAX];
        uint64_t pid;

        if (!streq(action, kill_word) && !streq(action, crash_word))
                return;
        log_change(c, p, " = KILL");
        if (streq(action, crash_word) &&
            sysfs_read_u64(AT_FDCWD, at_root(path, "fake/helper.pid"), 10, &pid) >= 0)
                (void)kill((pid_t)pid, SIGKILL);
        (void)kill(getpid(), SIGKILL);
}

static int error_of(const char *name) {
        for (int e = 1; e < 134; e++)
                if (strerrorname_np(e) && streq(strerrorname_np(e), name))
                        return -e;
        return 0;
}

static int act(Port *p, const Change *c) {
        char action[64], end[32] = "";
        int r;

        find_rule(c, p, action);
        die_if(action, "kill", "crash", c, p);
        r = error_of(action);
        if (r == 0 && !streq(action, "nothing") && (r = judge(p, c)) >= 0) {
                vf_settings_merge(&p->functions[c->vf], &c->set);
                if (vf_settings_has(&c->set, VF_VLAN) && c->set.values[VF_VLAN] == 0)
                        p->functions[c->vf].values[VF_VLAN_QOS] = 0;
                write_functions(p);
        }
        die_if(action, "kill-after", "crash-after", c, p);
        if (r < 0)
                (void)snprintf(end, sizeof end, " = %s", strempty(strerrorname_np(-r)));
        log_change(c, p, end);
        return r;
}

/* As rtnetlink does, with a sentence for one of them: drivers have begun to give some. */
static int answer_change(int error, char *ret_why, size_t why_size) {
        static const char text[] = "It is in reset";
        struct nlmsghdr header = {.nlmsg_type = NLMSG_ERROR, .nlmsg_flags = NLM_F_CAPPED};
        const struct nlmsgerr body = {.error = error};
        _cleanup_free_ Answer *a = calloc(1, sizeof *a);

        assert(a);
        a->size = sizeof header + sizeof body;
        memcpy(a->data + sizeof header, &body, sizeof body);
        if (error == -EBUSY) {
                header.nlmsg_flags |= NLM_F_ACK_TLVS;
                (void)put(a, NLMSGERR_ATTR_MSG, text, sizeof text);
        }
        header.nlmsg_len = (uint32_t)a->size;
        memcpy(a->data, &header, sizeof header);
        return netlink_read_ack(a->data, a->size, ret_why, why_size);
}

int __wrap_netlink_change(int protocol, const NetlinkRequest *q, char *ret_why, size_t why_size) {
        _cleanup_free_ Port *p = calloc(1, sizeof *p);
        _cleanup_close_ int lock = -1;
        const size_t head = sizeof(struct nlmsghdr) + sizeof(struct ifinfomsg);
        Change c = {.word = "vf-none"};
        char path[PATH_MAX];
        unsigned type;
        int number = link_of(q, &type);

        assert(p);
        assert(protocol == NETLINK_ROUTE && type == RTM_SETLINK);

        /* The lock of rtnetlink. */
        lock = open(at_root(path, "fake/lock/rtnl"), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        while (lock >= 0 && flock(lock, LOCK_EX) < 0 && errno == EINTR)
                ;
        if (read_port((unsigned)number, p) < 0)
                return answer_change(-ENODEV, ret_why, why_size);
        if (netlink_each_attribute((Bytes){q->data + head, q->size - head}, take_list, &c) < 0)
                return answer_change(-EINVAL, ret_why, why_size);
        return answer_change(act(p, &c), ret_why, why_size);
}
