/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "diagnosis-report.h"

#define MIB (1024ULL * 1024)
#define MEMLOCK_WANTED                                                                                      \
        (UINT64_C(1) << 30) /* of the smallest VM worth the name; libvirt adds as much to each */

static void advise_memlock(DiagnosisReport *r, DiagnosisFinding *f, const char *user) {
        diagnosis_advise(f, "A VM needs its memory and 1 GiB. Put the first line in /etc/security/limits.d/"
                            "90-verge-passthrough.conf and log in again; for services of a user manager the "
                            "second in "
                            "'systemctl edit user@.service' and for a system service in 'systemctl edit "
                            "SERVICE', "
                            "under [Service]; for all of them the third in /etc/systemd/system.conf, under "
                            "[Manager], "
                            "and reboot. libvirt's system connection raises the limit by itself.");
        /* limits.conf(5): a number stands behind a colon. */
        if (startswith(user, "uid "))
                diagnosis_command(r, f, ":%s - memlock unlimited", user + strlen("uid "));
        else
                diagnosis_command(r, f, "%s - memlock unlimited", user);
        diagnosis_command(r, f, "LimitMEMLOCK=infinity");
        diagnosis_command(r, f, "DefaultLimitMEMLOCK=infinity");
}

void diagnosis_find_memlock(DiagnosisReport *r, const DiagnosisState *s) {
        DiagnosisFinding *f = diagnosis_find(r, "memlock");

        if (s->is_root)
                diagnosis_say(f, DIAGNOSIS_OK, "root, who asks, may lock all memory.");
        else if (s->memlock_error < 0)
                diagnosis_say(f, DIAGNOSIS_INFO,
                              "How much memory the processes of %s may lock is not known (%s); 'ulimit -l' "
                              "says it.",
                              s->user, strerror(-s->memlock_error));
        else if (s->memlock >= MEMLOCK_WANTED)
                diagnosis_say(f, DIAGNOSIS_OK,
                              "The process of %s that asks may lock enough memory for a VM.", s->user);
        else {
                diagnosis_say(f, DIAGNOSIS_WARNING,
                              "The process of %s that asks may lock %llu %s of memory: a VM that it starts "
                              "could not map its own for a device.",
                              s->user, (unsigned long long)(s->memlock >> (s->memlock < MIB ? 10 : 20)),
                              s->memlock < MIB ? "KiB" : "MiB");
                advise_memlock(r, f, s->user);
        }
}

void diagnosis_find_boot_guard(DiagnosisReport *r, const DiagnosisState *s) {
        DiagnosisFinding *f = diagnosis_find(r, "boot-guard");

        if (!s->boot_guard[0]) {
                diagnosis_say(f, DIAGNOSIS_OK,
                              "The boot guard has nothing against binding devices in this boot.");
                return;
        }
        diagnosis_say(f, DIAGNOSIS_WARNING, "%s", s->boot_guard);
        diagnosis_advise(f, "Find out from the journals of the boots before why they ended early, and take "
                            "the device "
                            "that was to blame out of its group. To have the next boot try again at once, "
                            "forget the "
                            "boots and reboot.");
        diagnosis_command(r, f, "journalctl -b -1 -e");
        diagnosis_command(r, f, "rm /etc/verge-passthrough/grants.d/boots");
        diagnosis_command(r, f, "systemctl reboot");
}

void diagnosis_find_database(DiagnosisReport *r, const DiagnosisState *s) {
        DiagnosisFinding *f = diagnosis_find(r, "database");

        if (!s->read_only[0]) {
                diagnosis_say(f, DIAGNOSIS_OK,
                              "The database of groups, rules and claims can be read and written.");
                return;
        }
        diagnosis_say(f, DIAGNOSIS_ERROR, "%s", s->read_only);
        diagnosis_advise(f, "Until then groups, rules and claims cannot be changed, and nothing is bound "
                            "for them; "
                            "what is bound stays.");
        diagnosis_command(r, f, "journalctl -b -u verge-passthroughd");
}
