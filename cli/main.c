/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* passthroughctl(1): the command line of the service, over its D-Bus API alone. */
#include "command.h"

int main(int argc, char **argv) {
        return (int)command_run(argc, argv);
}
