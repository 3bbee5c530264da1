/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The messages about virtual functions: as the kernel sends them, damaged, and as we send them. */

#include <endian.h>
#include <linux/if.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "fake-host.h"
#include "vf-link-read.h"
#include "vf-message.h"

#define ANSWER_MAX 4096

int __real_netlink_listen(int protocol, int group);
int __real_netlink_wait(int fd, unsigned ms);

/* An answer of the kernel, put together by hand. */
typedef struct Answer {
        uint8_t data[ANSWER_MAX];
        size_t size;
} Answer;

static size_t put(Answer *a, uint16_t type, const void *data, size_t size) {
        const struct nlattr head = {.nla_len = (uint16_t)(sizeof head + size), .nla_type = type};
        size_t at = a->size;

        assert_true(a->size + sizeof head + size + 4 <= sizeof a->data);
        memcpy(a->data + a->size, &head, sizeof head);
        memcpy(a->data + a->size + sizeof head, data, size);
        a->size = NLA_ALIGN(a->size + sizeof head + size);
        return at;
}

static void end(Answer *a, size_t at) {
        const uint16_t length = (uint16_t)(a->size - at);

        memcpy(a->data + at, &length, sizeof length);
}

static void put_words(Answer *a, uint16_t type, uint32_t vf, uint32_t value) {
        (void)put(a, type, (const uint32_t[]){vf, value}, 2 * sizeof vf);
}

static void put_vlan(Answer *a, uint32_t vf, uint32_t vlan, uint32_t qos, uint16_t protocol) {
        const struct ifla_vf_vlan_info v = {vf, vlan, qos, htobe16(protocol)};
        size_t list = put(a, IFLA_VF_VLAN_LIST, "", 0);

        (void)put(a, IFLA_VF_VLAN_INFO, &v, sizeof v);
        end(a, list);
}

static void begin(Answer *a, uint16_t hardware, unsigned flags) {
        const struct ifinfomsg link = {.ifi_type = hardware, .ifi_index = 5, .ifi_flags = flags};

        *a = (Answer){.size = sizeof link};
        memcpy(a->data, &link, sizeof link);
        (void)put(a, IFLA_IFNAME, "enp3s0", 7);
}

/* Two functions, as Linux 6.1 tells of igb's; the second is set in all ways. */
static void make_answer(Answer *a) {
        const struct ifla_vf_mac none = {.vf = 0}, mac = {1, {2, 0, 0, 0, 0, 9}};
        const struct ifla_vf_rate rate[] = {{0, 0, 0}, {1, 50, 200}};
        size_t list, function;

        begin(a, ARPHRD_ETHER, IFF_UP | IFF_LOWER_UP);
        list = put(a, IFLA_VFINFO_LIST | NLA_F_NESTED, "", 0);
        function = put(a, IFLA_VF_INFO, "", 0);
        (void)put(a, IFLA_VF_MAC, &none, sizeof none);
        (void)put(a, IFLA_VF_BROADCAST, "\xff\xff\xff\xff\xff\xff", 6);
        (void)put(a, IFLA_VF_VLAN, (const uint32_t[]){0, 0, 0}, 12);
        put_vlan(a, 0, 0, 3, 0);
        (void)put(a, IFLA_VF_RATE, &rate[0], sizeof rate[0]);
        put_words(a, IFLA_VF_SPOOFCHK, 0, 1);
        put_words(a, IFLA_VF_LINK_STATE, 0, 0);
        put_words(a, IFLA_VF_RSS_QUERY_EN, 0, UINT32_MAX);
        put_words(a, IFLA_VF_TRUST, 0, UINT32_MAX);
        end(a, function);
        function = put(a, IFLA_VF_INFO, "", 0);
        (void)put(a, IFLA_VF_MAC, &mac, sizeof mac);
        put_vlan(a, 1, 100, 5, VF_PROTOCOL_8021AD);
        (void)put(a, IFLA_VF_RATE, &rate[1], sizeof rate[1]);
        put_words(a, IFLA_VF_SPOOFCHK, 1, 0);
        put_words(a, IFLA_VF_LINK_STATE, 1, 2);
        put_words(a, IFLA_VF_RSS_QUERY_EN, 1, 0);
        put_words(a, IFLA_VF_TRUST, 1, 1);
        end(a, function);
        end(a, list);
}

typedef struct Seen {
        size_t n;
        char text[4][VF_LINE_SIZE + 8];
} Seen;

static int note(unsigned vf, const VfSettings *now, void *userdata) {
        char line[VF_LINE_SIZE];
        Seen *s = userdata;

        assert_true(s->n < ELEMENTSOF(s->text));
        (void)snprintf(s->text[s->n++], sizeof s->text[0], "%u: %s", vf, vf_settings_format(now, line));
        return 0;
}

static int read_answer(const Answer *a, VfLinkReader *reader, Seen *s) {
        uint8_t *copy = malloc(a->size); /* a sanitizer sees who reads on */
        int r;

        assert_non_null(copy);
        memcpy(copy, a->data, a->size);
        *s = (Seen){0};
        *reader = (VfLinkReader){.f = note, .userdata = s};
        r = vf_link_read(RTM_NEWLINK, (Bytes){copy, a->size}, reader);
        free(copy);
        return r;
}

static void test_reading(void **state _unused_) {
        VfLinkReader reader;
        Answer a;
        Seen s;

        make_answer(&a);
        assert_int_equal(read_answer(&a, &reader, &s), 0);
        assert_int_equal(s.n, 2);
        assert_string_equal(s.text[0], "0: vlan=0 vlan-protocol=802.1Q vlan-qos=0 min-rate=0 max-rate=0 "
                                       "link-state=auto spoof-checking=on mac=00:00:00:00:00:00");
        assert_string_equal(s.text[1], "1: vlan=100 vlan-protocol=802.1ad vlan-qos=5 min-rate=50 "
                                       "max-rate=200 link-state=disable spoof-checking=off trust=on "
                                       "query-rss=off mac=02:00:00:00:00:09");
        assert_true(reader.up && reader.carrier);
}

static void test_other_links(void **state _unused_) {
        VfLinkReader reader;
        Answer a;
        Seen s;

        begin(&a, ARPHRD_ETHER, IFF_UP);
        assert_int_equal(read_answer(&a, &reader, &s), 0);
        assert_int_equal(s.n, 0);
        assert_true(reader.up && !reader.carrier);

        make_answer(&a);
        ((struct ifinfomsg *)(void *)a.data)->ifi_type = ARPHRD_INFINIBAND;
        assert_int_equal(read_answer(&a, &reader, &s), 0);
        assert_int_equal(s.n, 0);

        make_answer(&a);
        assert_int_equal(vf_link_read(RTM_DELLINK, (Bytes){a.data, a.size}, &reader), 0);
        assert_int_equal(s.n, 0);
}

/* What we could never have set is not known, and so never the same as what is asked for. */
static void test_values_out_of_range(void **state _unused_) {
        const struct ifla_vf_rate rate = {3, 0, UINT32_MAX};
        const struct ifla_vf_mac group = {3, {1, 0, 0, 0, 0, 9}};
        VfLinkReader reader;
        size_t list, function;
        Answer a;
        Seen s;

        begin(&a, ARPHRD_ETHER, 0);
        list = put(&a, IFLA_VFINFO_LIST, "", 0);
        function = put(&a, IFLA_VF_INFO, "", 0);
        put_vlan(&a, 3, 4095, 8, 0x9100);
        (void)put(&a, IFLA_VF_MAC, &group, sizeof group);
        (void)put(&a, IFLA_VF_RATE, &rate, sizeof rate);
        put_words(&a, IFLA_VF_LINK_STATE, 3, 3);
        put_words(&a, IFLA_VF_TRUST, 3, 7);
        end(&a, function);
        end(&a, list);
        assert_int_equal(read_answer(&a, &reader, &s), 0);
        assert_int_equal(s.n, 1);
        assert_string_equal(s.text[0], "3: min-rate=0 trust=on");
}

static void test_damaged_answers(void **state _unused_) {
        VfLinkReader reader;
        Answer whole, a;
        Seen s;

        make_answer(&whole);
        for (a = whole; a.size > 0; a.size--) {
                int r = read_answer(&a, &reader, &s);

                assert_true(r == 0 || r == -EBADMSG);
                assert_true(s.n == 2 ? a.size == whole.size : s.n < 2);
        }

        /* Each length, and each number of a function, one after the other. */
        for (size_t i = sizeof(struct ifinfomsg); i < whole.size; i++) {
                a = whole;
                a.data[i] ^= 0x15;
                (void)read_answer(&a, &reader, &s);
                assert_true(s.n <= 2);
        }
}

static void test_one_function_with_two_numbers(void **state _unused_) {
        VfLinkReader reader;
        size_t list, function;
        Answer a;
        Seen s;

        begin(&a, ARPHRD_ETHER, 0);
        list = put(&a, IFLA_VFINFO_LIST, "", 0);
        function = put(&a, IFLA_VF_INFO, "", 0);
        put_words(&a, IFLA_VF_TRUST, 0, 0);
        put_words(&a, IFLA_VF_SPOOFCHK, 1, 0);
        end(&a, function);
        end(&a, list);
        assert_int_equal(read_answer(&a, &reader, &s), -EBADMSG);
        assert_int_equal(s.n, 0);
}

static void test_acks(void **state _unused_) {
        static const char text[] = "VF is in\nreset";
        struct nlmsghdr head = {.nlmsg_type = NLMSG_ERROR, .nlmsg_flags = NLM_F_CAPPED | NLM_F_ACK_TLVS};
        const struct nlmsgerr error = {.error = -EBUSY};
        Answer a = {.size = sizeof head + sizeof error};
        char why[32];

        memcpy(a.data + sizeof head, &error, sizeof error);
        (void)put(&a, NLMSGERR_ATTR_OFFS, "\1\0\0\0", 4);
        (void)put(&a, NLMSGERR_ATTR_MSG, text, sizeof text);
        head.nlmsg_len = (uint32_t)a.size;
        memcpy(a.data, &head, sizeof head);
        assert_int_equal(netlink_read_ack(a.data, a.size, why, sizeof why), -EBUSY);
        assert_string_equal(why, "VF is in?reset");
        assert_int_equal(netlink_read_ack(a.data, a.size, why, 6), -EBUSY);
        assert_int_equal(strlen(why), 5);

        for (size_t size = 0; size < a.size; size++)
                assert_int_equal(netlink_read_ack(a.data, size, why, sizeof why), -EBADMSG);

        head.nlmsg_flags = 0; /* then what stands behind is the request */
        memcpy(a.data, &head, sizeof head);
        assert_int_equal(netlink_read_ack(a.data, a.size, why, sizeof why), -EBUSY);
        assert_string_equal(why, "");

        memset(a.data + sizeof head, 0, sizeof(int32_t));
        assert_int_equal(netlink_read_ack(a.data, a.size, why, sizeof why), 0);
        head.nlmsg_type = RTM_NEWLINK;
        memcpy(a.data, &head, sizeof head);
        assert_int_equal(netlink_read_ack(a.data, a.size, why, sizeof why), -EBADMSG);
}

/* What ip(8) sends for "ip link set dev X vf 6 ...", X being number 5: header, link, list, function. All numbers are of
 * a little-endian machine but the protocol. */
#define HEAD(total, list, function)                                                                         \
        total "000000"                                                                                      \
              "1300"                                                                                        \
              "0500"                                                                                        \
              "00000000"                                                                                    \
              "00000000"                                                                                    \
              "00000000"                                                                                    \
              "05000000"                                                                                    \
              "00000000"                                                                                    \
              "00000000" list "001600" function "000100"

static const struct {
        VfMessage message;
        const char *settings, *bytes;
} golden[] = {
                {VF_MESSAGE_VLAN, "vlan=100 vlan-protocol=802.1ad vlan-qos=5",
                 HEAD("40", "20", "1c") "18000c00"
                                        "14000100"
                                        "06000000"
                                        "64000000"
                                        "05000000"
                                        "88a80000"},
                {VF_MESSAGE_VLAN, "vlan=0 vlan-protocol=802.1Q vlan-qos=0",
                 HEAD("40", "20", "1c") "18000c00"
                                        "14000100"
                                        "06000000"
                                        "00000000"
                                        "00000000"
                                        "81000000"},
                {VF_MESSAGE_RATE, "min-rate=1 max-rate=1000",
                 HEAD("38", "18", "14") "10000600"
                                        "06000000"
                                        "01000000"
                                        "e8030000"},
                {VF_MESSAGE_LINK_STATE, "link-state=disable",
                 HEAD("34", "14", "10") "0c000500"
                                        "06000000"
                                        "02000000"},
                {VF_MESSAGE_SPOOF_CHECKING, "spoof-checking=on",
                 HEAD("34", "14", "10") "0c000400"
                                        "06000000"
                                        "01000000"},
                {VF_MESSAGE_TRUST, "trust=off",
                 HEAD("34", "14", "10") "0c000900"
                                        "06000000"
                                        "00000000"},
                {VF_MESSAGE_QUERY_RSS, "query-rss=on",
                 HEAD("34", "14", "10") "0c000700"
                                        "06000000"
                                        "01000000"},
                {VF_MESSAGE_MAC, "mac=02:ab:cd:ef:00:01",
                 HEAD("50", "30", "2c") "28000100"
                                        "06000000"
                                        "02abcdef00010000"
                                        "0000000000000000"
                                        "0000000000000000"
                                        "0000000000000000"},
};

static void test_messages(void **state _unused_) {
        VfSettings v;
        NetlinkRequest q;
        char hex[2 * sizeof q.data + 1];

        if (htole32(1) != 1) {
                print_message("# the golden bytes are of a little-endian machine\n");
                return;
        }
        for (size_t i = 0; i < ELEMENTSOF(golden); i++) {
                assert_int_equal(vf_settings_parse(golden[i].settings, &v), 0);
                vf_message_build(&q, golden[i].message, 5, 6, &v);
                for (size_t n = 0; n < q.size; n++)
                        (void)snprintf(hex + 2 * n, 3, "%02x", q.data[n]);
                assert_string_equal(hex, golden[i].bytes);
        }
}

static void test_each_setting_has_one_message(void **state _unused_) {
        uint32_t all = 0;

        for (int m = 0; m < VF_MESSAGE_MAX; m++) {
                assert_int_equal(all & vf_message_settings((VfMessage)m), 0);
                all |= vf_message_settings((VfMessage)m);
        }
        assert_int_equal(all, (1U << VF_SETTING_MAX) - 1);
}

/* The real ones, in a network of their own: a link that comes up is news, and that nothing comes is none. */
static void test_news_of_links(void **state _unused_) {
        struct ifreq q = {.ifr_name = "lo", .ifr_flags = IFF_UP};
        _cleanup_close_ int fd = -1, some = -1;

        if (geteuid() != 0) {
                print_message("# needs root: brings a link up in a network of its own\n");
                return;
        }
        assert_int_equal(unshare(CLONE_NEWNET), 0);
        fd = __real_netlink_listen(NETLINK_ROUTE, RTNLGRP_LINK);
        some = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        assert_true(fd >= 0 && some >= 0);
        assert_int_equal(__real_netlink_wait(fd, 1), 0);
        for (int i = 0; i < 2; i++, q.ifr_flags = 0) {
                assert_int_equal(ioctl(some, SIOCSIFFLAGS, &q), 0);
                assert_int_equal(__real_netlink_wait(fd, 60000), 1);
        }
        assert_true(__real_netlink_wait(-1, 1) <= 0);
        assert_true(__real_netlink_listen(NETLINK_ROUTE, -1) < 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                        cmocka_unit_test(test_reading),
                        cmocka_unit_test(test_other_links),
                        cmocka_unit_test(test_values_out_of_range),
                        cmocka_unit_test(test_damaged_answers),
                        cmocka_unit_test(test_one_function_with_two_numbers),
                        cmocka_unit_test(test_acks),
                        cmocka_unit_test(test_messages),
                        cmocka_unit_test(test_each_setting_has_one_message),
                        cmocka_unit_test(test_news_of_links),
        };

        return cmocka_run_group_tests_name("vf-link", tests, NULL, NULL);
}
