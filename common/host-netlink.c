/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include "host-netlink.h"

#define ANSWER_SIZE 32768 /* the kernel fills no more at once */

int netlink_cut(Bytes *from, size_t length, size_t header, Bytes *ret_payload) {
        size_t step = (length + 3) & ~(size_t)3;

        if (length < header || length > from->size)
                return -EBADMSG;

        *ret_payload = (Bytes){from->data + header, length - header};
        from->data += step < from->size ? step : from->size;
        from->size -= step < from->size ? step : from->size;
        return 0;
}

/* Both an error and the end of a dump carry a number: 0 for "all is well". */
static int read_result(Bytes body) {
        int32_t error;

        if (body.size < sizeof error)
                return -EBADMSG;
        memcpy(&error, body.data, sizeof error);
        return error < 0 && error > -4096 ? error : 1;
}

static int read_message(const struct nlmsghdr *m, Bytes body, netlink_message_t f, void *userdata) {
        int r;

        if (m->nlmsg_flags & NLM_F_DUMP_INTR)
                return -EAGAIN;
        if (m->nlmsg_type == NLMSG_ERROR || m->nlmsg_type == NLMSG_DONE)
                return read_result(body);

        r = f(m->nlmsg_type, body, userdata);
        return r != 0 ? r : !(m->nlmsg_flags & NLM_F_MULTI);
}

int netlink_read(const void *data, size_t size, netlink_message_t f, void *userdata) {
        Bytes left = {data, size}, body;
        struct nlmsghdr m;
        int r;

        assert(data);
        assert(f);

        while (left.size > 0) {
                if (left.size < sizeof m)
                        return -EBADMSG;
                memcpy(&m, left.data, sizeof m);
                r = netlink_cut(&left, m.nlmsg_len, sizeof m, &body);
                if (r < 0 || (r = read_message(&m, body, f, userdata)) != 0)
                        return r;
        }
        return 0;
}

static void append(NetlinkRequest *q, const void *data, size_t size) {
        assert(NLMSG_ALIGN(q->size) + size <= sizeof q->data);

        q->size = NLMSG_ALIGN(q->size);
        memcpy(q->data + q->size, data, size);
        q->size += size;
}

static void set_length(NetlinkRequest *q) {
        const uint32_t length = (uint32_t)q->size;

        memcpy(q->data + offsetof(struct nlmsghdr, nlmsg_len), &length, sizeof length);
}

void netlink_request_init(NetlinkRequest *q, uint16_t type, uint16_t flags, const void *body, size_t size) {
        const struct nlmsghdr header = {.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags};

        assert(q);
        assert(body);

        *q = (NetlinkRequest){.size = 0};
        append(q, &header, sizeof header);
        append(q, body, size);
        set_length(q);
}

void netlink_request_add(NetlinkRequest *q, uint16_t attribute, const void *data, size_t size) {
        const struct rtattr a = {.rta_len = (uint16_t)RTA_LENGTH(size), .rta_type = attribute};

        assert(q);
        assert(data);

        append(q, &a, sizeof a);
        append(q, data, size);
        set_length(q);
}

int netlink_ask(int protocol, const NetlinkRequest *q, netlink_message_t f, void *userdata) {
        const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
        uint8_t buf[ANSWER_SIZE];
        _cleanup_close_ int fd = -1;
        ssize_t n;
        int r;

        assert(q);

        /* Connected, so that nobody but the kernel can answer. */
        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
        if (fd < 0 || connect(fd, (const struct sockaddr *)(const void *)&kernel, sizeof kernel) < 0 ||
            send(fd, q->data, q->size, 0) < 0)
                return -errno;

        do {
                n = recv(fd, buf, sizeof buf, MSG_TRUNC);
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n > (ssize_t)sizeof buf)
                        return -EMSGSIZE;
                r = n <= 0 ? 0 : netlink_read(buf, (size_t)n, f, userdata);
        } while (r == 0);
        return r;
}
