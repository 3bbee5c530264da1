/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* netlink(7): asking the kernel, and taking its answer apart. Each answer is read from a buffer, which need not be
 * aligned, and nothing in it is believed to be as long as it says. */

#include <stddef.h>

#include "macro.h"

typedef struct Bytes {
        const uint8_t *data;
        size_t size;
} Bytes;

/* Takes what says itself how long it is (with its header) off the front; what follows is aligned to 4 bytes.
 * -EBADMSG: it is not so long. */
int netlink_cut(Bytes *from, size_t length, size_t header, Bytes *ret_payload);

/* Calls f for each attribute; stops at, and returns, its first non-zero result. -EBADMSG: these are none. */
typedef int (*netlink_attribute_t)(unsigned type, Bytes value, void *userdata);
int netlink_each_attribute(Bytes attributes, netlink_attribute_t f, void *userdata);

/* A message that is neither an error nor the end. Non-zero stops. */
typedef int (*netlink_message_t)(unsigned type, Bytes body, void *userdata);

/* One datagram. 0: there is more to come; 1: the answer ends here. -EAGAIN: the kernel's tables changed while it told
 * of them; other negative errno: what the kernel answered, or f; -EBADMSG: these are no such messages. */
int netlink_read(const void *data, size_t size, netlink_message_t f, void *userdata);

/* The answer to a change: 0, or what the kernel answered; -EBADMSG: this is none. ret_why: its own sentence, made
 * printable; "" if it has none. */
int netlink_read_ack(const void *data, size_t size, char *ret_why, size_t why_size);

typedef struct NetlinkRequest {
        _Alignas(4) uint8_t data[128];
        size_t size;
} NetlinkRequest;

void netlink_request_init(NetlinkRequest *q, uint16_t type, uint16_t flags, const void *body, size_t size);
void netlink_request_add(NetlinkRequest *q, uint16_t attribute, const void *data, size_t size);

/* Attributes that are added in between are nested in this one. */
size_t netlink_request_open(NetlinkRequest *q, uint16_t attribute);
void netlink_request_close(NetlinkRequest *q, size_t opened);

/* Asks and reads to the end of the answer, as netlink_read() does; can wait for locks of the kernel. */
int netlink_ask(int protocol, const NetlinkRequest *q, netlink_message_t f, void *userdata);

/* Asks for a change and waits for the kernel's word; as netlink_read_ack(). */
int netlink_change(int protocol, const NetlinkRequest *q, char *ret_why, size_t why_size);

/* A socket that hears what the kernel tells a multicast group from now on. */
int netlink_listen(int protocol, int group);
/* Until something was told, and takes it all off the socket unread. 0: nothing was in so many milliseconds. */
int netlink_wait(int fd, unsigned ms);
