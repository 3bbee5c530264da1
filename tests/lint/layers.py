# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may include whom (docs/architecture.md): lower ranks never include higher ones, and each outside thing has
one edge that knows it. What cli/ may see tests/lint/tool.py says."""

import re

import lint

# Modules of daemon/ by rank; a module is a .c and its .h. In rank 1 the order counts: only leftwards.
DAEMON = {
    1: ["pointers", "device", "device-table", "grant-set", "move-table",
        "filter", "filter-regex", "filter-tree", "filter-print", "filter-match", "filter-lex", "filter-explain",
        "filter-parse", "sriov-settings", "record", "claim-record", "device-fields", "registry", "rule-index", "registry-state",
        "registry-match", "registry-table", "registry-view", "wanted", "order-plan", "drift", "changes",
        "authorisation", "claim-table", "claim-state", "claim-list", "claim-runs", "claim-view", "claim-settings", "claim-plan",
        "picker", "vm-arguments", "diagnosis-words", "diagnosis", "diagnosis-report", "diagnosis-boot",
        "diagnosis-iommu", "diagnosis-drivers", "diagnosis-initramfs", "diagnosis-devices", "diagnosis-service"],
    2: ["document", "document-internal", "document-sriov", "document-parse", "grant-files", "helper-client", "host-functions", "host-watch", "inventory", "pci-names", "platform",
        "root-files", "store", "store-change", "store-db", "store-devices", "store-file", "store-internal", "store-read", "store-schema",
        "store-write", "uevents", "lifelines", "machines", "memlock", "diagnosis-host"],
    3: ["reconcile", "attention", "boot-guard", "grants", "hotplug", "operation", "steward", "order-book", "edits", "transaction",
        "transaction-text", "transaction-undo", "confirm", "confirm-calls", "calls", "call-trail", "device-calls", "plan-calls", "plan-text", "diagnosis-calls", "consent-calls", "import", "settings-trial", "orders", "claim-orders", "preview", "make-plan", "make-vfs",
        "make-passthrough", "return-to-host", "manager", "runs", "run-settings", "run-start", "run-open", "run-answer", "run-pick", "run-queue", "run-stop", "run-rest", "run-watch", "run-recover", "run-calls",
        "quarantine"],
    4: ["vf-options", "options", "wire", "run-bus", "device-bus", "group-bus", "manager-bus", "rule-bus", "claim-bus"],
    5: ["daemon", "main"],
}

# Outside headers and the one module that may use each, with all its files: daemon/store is also daemon/store-read.
EDGES = {
    "jansson.h": "daemon/document",
    "libudev.h": "daemon/uevents",
    "pcre2.h": "daemon/filter-regex",
    "pci/pci.h": "daemon/pci-names",
    "sqlite3.h": "daemon/store",
    "linux/landlock.h": "helper/landlock",
    "linux/vfio.h": "helper/vfio",
}

# What the model of rank 1 must not see of rank 0 and of the system: no bus, no files.
NOT_IN_MODEL = re.compile(r"systemd/|sys/socket|fcntl\.h|dirent\.h|sysfs\.h|bus-util\.h|polkit\.h|host-network\.h")

RANKS = {f"daemon/{module}": rank for rank, modules in DAEMON.items() for module in modules}


def module_of(path):
    return path.rsplit(".", 1)[0]


def is_part_of(module, edge):
    return module == edge or module.startswith(edge + "-")


def edge_of(module):
    """In rank 2 the files that share the noun before the first "-" are one edge."""
    return module.split("-")[0]


def find(tree, path, name):
    """The file that #include "name" in path means, or None."""
    for directory in (path.split("/")[0], "include", "common", "daemon", "helper"):
        if f"{directory}/{name}" in tree:
            return f"{directory}/{name}"
    return None


def judge(path, target):
    """Why path must not include target; None when it may."""
    area, target_area = path.split("/")[0], target.split("/")[0]
    if target_area in ("include", "common"):
        if RANKS.get(module_of(path)) == 1 and NOT_IN_MODEL.search(target):
            return "the model (rank 1) knows neither bus nor files"
        return None
    if area != target_area:
        return f"{area}/ sees only rank 0 (include/, common/) and itself"
    if area == "helper":
        return None

    module, other = module_of(path), module_of(target)
    rank, other_rank = RANKS.get(module), RANKS.get(other)
    if rank is None or other_rank is None or module == other:
        return None  # an unknown module is a problem of its own
    if other_rank > rank:
        return f"rank {rank} must not include rank {other_rank}"
    if rank == other_rank == 1 and DAEMON[1].index(other[7:]) > DAEMON[1].index(module[7:]):
        return "inside rank 1 only leftwards, in the order of the table"
    if rank == other_rank == 2 and edge_of(module) != edge_of(other):
        return "the edges (rank 2) do not know each other"
    return None


def check(tree):
    problems = []
    for path, text in lint.below(tree, lint.PRODUCT).items():
        if path.startswith("daemon/") and module_of(path) not in RANKS:
            problems.append(f"{path}: has no rank; give it one in the table of tests/lint/layers.py")
        for number, line in lint.numbered(text):
            match = re.match(r'\s*#\s*include\s+([<"])([^>"]+)[>"]', line)
            if not match:
                continue
            kind, name = match.groups()
            target = find(tree, path, name) if kind == '"' else None
            if kind == '"' and not target:
                problems.append(f"{path}:{number}: {name} is not in the tree")
                continue
            reason = judge(path, target) if target else None
            if kind == "<" and name in EDGES and not path.startswith("cli/") and not is_part_of(module_of(path), EDGES[name]):
                reason = f"only {EDGES[name]} talks to it"
            if kind == "<" and RANKS.get(module_of(path)) == 1 and NOT_IN_MODEL.search(name):
                reason = "the model (rank 1) knows neither bus nor files"
            if reason:
                problems.append(f"{path}:{number}: includes {name}: {reason}")
    return problems


def with_files(**files):
    """A tree of empty files and these."""
    tree = {f"daemon/{module}.h": "" for modules in DAEMON.values() for module in modules}
    tree |= {"include/names.h": "", "include/sysfs.h": "", "helper/worker.h": ""}
    return tree | {path.replace("__", "/").replace("_c", ".c").replace("_h", ".h"): text
                   for path, text in files.items()}


if __name__ == "__main__":
    lint.run(check, {
        "a rank that includes a higher one": with_files(daemon__device_c='#include "main.h"\n'),
        "rank 0 that includes the daemon": with_files(common__log_c='#include "device.h"\n'),
        "a helper that includes the daemon": with_files(helper__verb_c='#include "device.h"\n'),
        "a daemon that includes the helper": with_files(daemon__main_c='#include "worker.h"\n'),
        "a file without a rank": with_files(daemon__surprise_c=""),
        "a header that does not exist": with_files(helper__verb_c='#include "nowhere.h"\n'),
        "a model that opens files": with_files(daemon__device_c='#include "sysfs.h"\n'),
        "a model that sees the bus": with_files(daemon__device_c="#include <systemd/sd-bus.h>\n"),
        "libudev outside its edge": with_files(daemon__main_c="#include <libudev.h>\n"),
        "SQLite in another edge": with_files(daemon__document_c="#include <sqlite3.h>\n"),
        "a name that only begins like the edge": with_files(helper__landlocked_c="#include <linux/landlock.h>\n"),
        "jansson in the store": with_files(daemon__store_c="#include <jansson.h>\n"),
        "an edge that knows another": with_files(daemon__store_c='#include "document.h"\n'),
        "SQLite in the helper": with_files(helper__verb_c="#include <sqlite3.h>\n"),
    }, "move the code to the layer it belongs to, or hand a callback down (docs/hacking.md, Layers)")
