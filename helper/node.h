/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Is what was opened the character device whose number ("10:127") stands in this attribute? -ENXIO: no. In a file by
 * itself so that the fake kernel of the tests, which has plain files, can say yes. */
int node_check(int fd, int at, const char *number);
