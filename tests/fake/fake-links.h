/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The fake kernel's rtnetlink, as far as the virtual functions of network cards go. It takes the place of netlink_ask()
 * and netlink_change(), reads the messages that they would have sent, acts as a driver does, and answers in messages;
 * and of netlink_listen() and netlink_wait(): who waits for news of links hears some while a slow link comes, and that
 * his time is over, at once, when there is none to come. <root>/fake/links/waits counts them.
 *
 * What is set lies in <root>/run/fake-vf-link/<address of the physical function>, a line for each function that is not
 * fresh: "0: vlan=100 vlan-protocol=802.1Q ...". How many functions there are the virtfnN links say.
 *
 * Each message is a line of <root>/fake/log: "vf-vlan 0000:03:00.0 0 vlan=100 vlan-protocol=802.1Q vlan-qos=0", with
 * vf-rate, vf-link-state, vf-spoof-checking, vf-trust, vf-query-rss and vf-mac; followed by " = EINVAL" when it failed.
 * <root>/fake/fail knows these words, with the actions EBUSY (and others), nothing, kill, kill-after, crash and
 * crash-after; fake-kernel.h has the rules.
 *
 * The driver is as igb: it takes a rate only with a link, and up to 1000 Mbit/s, has no lower one, no 802.1ad, no
 * link-state and no query-rss. Words after the name of the interface make it another:
 *   all          it can do all of that
 *   down         nobody has brought the port up
 *   no-link      there is nothing at the other end
 *   slow-link    the same, until somebody has waited for news of it three times
 *   keeps-mac    an address cannot be taken away again
 *   silent       its functions are not told of
 *   resets-1     the second of them is not
 */

#include "fake-host.h"

void fake_links_add(FakeHost *h, const char *physical, const char *interface, unsigned number,
                    const char *driver);

/* All settings of its functions are forgotten, as when they are made anew. */
void fake_links_forget(const char *root, const char *physical);
