/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>

#include "host-netlink.h"
#include "text.h"

/* Of a dump the kernel fills no more than 32768 at once; a port with 256 virtual functions is one attribute of nearly
 * 65536, the most that one can be, and others with it. */
#define ANSWER_SIZE 98304

int netlink_cut(Bytes *from, size_t length, size_t header, Bytes *ret_payload) {
        size_t step = (length + 3) & ~(size_t)3;

        if (length < header || length > from->size)
                return -EBADMSG;

        *ret_payload = (Bytes){from->data + header, length - header};
        from->data += step < from->size ? step : from->size;
        from->size -= step < from->size ? step : from->size;
        return 0;
}

int netlink_each_attribute(Bytes left, netlink_attribute_t f, void *userdata) {
        struct nlattr a;
        Bytes value;
        int r;

        assert(f);

        while (left.size > 0) {
                if (left.size < sizeof a)
                        return -EBADMSG;
                memcpy(&a, left.data, sizeof a);
                if ((r = netlink_cut(&left, a.nla_len, sizeof a, &value)) < 0 ||
                    (r = f(a.nla_type & NLA_TYPE_MASK, value, userdata)) != 0)
                        return r;
        }
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

typedef struct Why {
        char *text;
        size_t size;
} Why;

static int take_why(unsigned type, Bytes value, void *userdata) {
        const Why *why = userdata;

        if (type == NLMSGERR_ATTR_MSG)
                text_sanitize(why->text, why->size, (const char *)value.data,
                              strnlen((const char *)value.data, value.size));
        return 0;
}

int netlink_read_ack(const void *data, size_t size, char *ret_why, size_t why_size) {
        Bytes left = {data, size}, body;
        struct nlmsghdr m;
        int r;

        assert(data);
        assert(ret_why && why_size > 0);

        ret_why[0] = '\0';
        if (size < sizeof m)
                return -EBADMSG;
        memcpy(&m, data, sizeof m);
        if (netlink_cut(&left, m.nlmsg_len, sizeof m, &body) < 0 || m.nlmsg_type != NLMSG_ERROR ||
            (r = read_result(body)) == -EBADMSG)
                return -EBADMSG;

        /* Its sentence stands behind the header of the request, if the request itself was left out as we want it. A
         * damaged one is none. */
        if (m.nlmsg_flags & NLM_F_CAPPED && m.nlmsg_flags & NLM_F_ACK_TLVS &&
            body.size >= sizeof(struct nlmsgerr))
                (void)netlink_each_attribute((Bytes){body.data + sizeof(struct nlmsgerr),
                                                     body.size - sizeof(struct nlmsgerr)},
                                             take_why, &(Why){ret_why, why_size});
        return r < 0 ? r : 0;
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

size_t netlink_request_open(NetlinkRequest *q, uint16_t attribute) {
        size_t at = NLMSG_ALIGN(q->size);

        netlink_request_add(q, attribute, "", 0);
        return at;
}

void netlink_request_close(NetlinkRequest *q, size_t opened) {
        const uint16_t length = (uint16_t)(q->size - opened);

        assert(opened < q->size);

        memcpy(q->data + opened + offsetof(struct rtattr, rta_len), &length, sizeof length);
}

/* Connected, so that nobody but the kernel can answer. */
static int open_socket(int protocol) {
        const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
        _cleanup_close_ int fd = -1;

        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
        if (fd < 0 || connect(fd, (const struct sockaddr *)(const void *)&kernel, sizeof kernel) < 0)
                return -errno;
        return STEAL_FD(fd);
}

/* One datagram; how many bytes. */
static ssize_t receive(int fd, uint8_t *buf, size_t size) {
        ssize_t n;

        do
                n = recv(fd, buf, size, MSG_TRUNC);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : n > (ssize_t)size ? -EMSGSIZE : n;
}

int netlink_ask(int protocol, const NetlinkRequest *q, netlink_message_t f, void *userdata) {
        uint8_t buf[ANSWER_SIZE];
        _cleanup_close_ int fd = -1;
        ssize_t n;
        int r;

        assert(q);

        fd = open_socket(protocol);
        if (fd < 0)
                return fd;
        if (send(fd, q->data, q->size, 0) < 0)
                return -errno;

        do {
                n = receive(fd, buf, sizeof buf);
                r = n < 0 ? (int)n : netlink_read(buf, (size_t)n, f, userdata);
        } while (r == 0);
        return r;
}

int netlink_change(int protocol, const NetlinkRequest *q, char *ret_why, size_t why_size) {
        static const int on = 1;
        uint8_t buf[4096];
        _cleanup_close_ int fd = -1;
        ssize_t n;

        assert(q);
        assert(ret_why && why_size > 0);

        ret_why[0] = '\0';
        fd = open_socket(protocol);
        if (fd < 0)
                return fd;
        if (setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on) < 0 ||
            setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on) < 0 ||
            send(fd, q->data, q->size, 0) < 0)
                return -errno;

        n = receive(fd, buf, sizeof buf);
        return n < 0 ? (int)n : netlink_read_ack(buf, (size_t)n, ret_why, why_size);
}

int netlink_listen(int protocol, int group) {
        const struct sockaddr_nl any = {.nl_family = AF_NETLINK};
        _cleanup_close_ int fd = -1;

        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
        if (fd < 0 || bind(fd, (const struct sockaddr *)(const void *)&any, sizeof any) < 0 ||
            setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
                return -errno;
        return STEAL_FD(fd);
}

int netlink_wait(int fd, unsigned ms) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char buf[64]; /* what it says does not matter, so it may be cut */
        int r;

        r = poll(&p, 1, (int)ms);
        if (r < 0 && errno == EINTR) /* as good as news */
                return 1;
        if (r <= 0)
                return r < 0 ? -errno : 0;
        /* ENOBUFS says that messages were lost: there was something all the same. */
        while (recv(fd, buf, sizeof buf, MSG_TRUNC) >= 0 || errno == ENOBUFS || errno == EINTR)
                ;
        return 1;
}
