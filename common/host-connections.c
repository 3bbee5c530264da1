/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include "host-connections.h"

int connection_read(unsigned type, Bytes body, void *userdata) {
        const ConnectionReader *reader = userdata;
        struct inet_diag_msg m;
        InternetAddress local = {0};
        struct in6_addr a6;

        if (type != SOCK_DIAG_BY_FAMILY)
                return 0;
        if (body.size < sizeof m)
                return -EBADMSG;
        memcpy(&m, body.data, sizeof m);
        if (m.idiag_family != AF_INET && m.idiag_family != AF_INET6)
                return 0;

        /* A server that listens on IPv6 for both has IPv4 peers as ::ffff:192.0.2.9. */
        memcpy(&a6, m.id.idiag_src, sizeof a6);
        if (m.idiag_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a6)) {
                local.family = AF_INET;
                memcpy(local.bytes, (const uint8_t *)&a6 + 12, 4);
        } else {
                local.family = m.idiag_family;
                memcpy(local.bytes, &a6, internet_address_size(&local));
        }
        return reader->f(&local, m.id.idiag_if, reader->userdata);
}

/* The kernel looks through all its connections and answers with these. */
static int ask(uint8_t family, const InternetAddress *peer, ConnectionReader *reader) {
        const struct inet_diag_req_v2 body = {.sdiag_family = family,
                                              .sdiag_protocol = IPPROTO_TCP,
                                              .idiag_states = 1U << TCP_ESTABLISHED};
        struct {
                struct inet_diag_bc_op op;
                struct {
                        uint8_t family, prefix_len;
                        int32_t port;
                } condition; /* inet_diag_hostcond, whose end has no size */
                uint8_t address[16];
        } code = {.condition = {.family = peer->family, .port = -1}};
        const size_t size = offsetof(__typeof__(code), address) + internet_address_size(peer);
        NetlinkRequest q;

        code.op = (struct inet_diag_bc_op){
                        .code = INET_DIAG_BC_D_COND, .yes = (uint8_t)size, .no = (uint16_t)(size + 4)};
        code.condition.prefix_len = (uint8_t)(8 * internet_address_size(peer));
        memcpy(code.address, peer->bytes, internet_address_size(peer));

        netlink_request_init(&q, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, &body, sizeof body);
        netlink_request_add(&q, INET_DIAG_REQ_BYTECODE, &code, size);
        return netlink_ask(NETLINK_SOCK_DIAG, &q, connection_read, reader);
}

typedef struct Caller {
        connection_t f;
        void *userdata;
        int answer;
} Caller;

static int call(const InternetAddress *local, unsigned interface, void *userdata) {
        Caller *c = userdata;

        c->answer = c->f(local, interface, c->userdata);
        return c->answer;
}

int host_connections_each(const InternetAddress *peer, connection_t f, void *userdata) {
        Caller c = {f, userdata, 0};
        ConnectionReader reader = {call, &c};

        assert(peer);
        assert(f);

        if (peer->family == AF_INET)
                (void)ask(AF_INET, peer, &reader);
        if (c.answer == 0)
                (void)ask(AF_INET6, peer, &reader);
        return c.answer;
}
