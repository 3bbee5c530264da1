# SPDX-License-Identifier: LGPL-2.1-or-later
"""The packages: every file that meson installs is in exactly one of Debian's and in exactly one of the RPM spec's, each
pattern stands for something, and all have one version. Arguments: source root, build root."""

import json
import re
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import lint

SPEC = "rpm/verge-passthrough.spec"
# The path of an installed file is told as if the prefix were /usr; what depends on the suite is below /usr, too.
MACROS = {"%{name}": "verge-passthrough", "%{_bindir}": "usr/bin", "%{_libexecdir}": "usr/libexec",
          "%{_datadir}": "usr/share", "%{_docdir}": "usr/share/doc", "%{_mandir}": "usr/share/man",
          "%{_unitdir}": "usr/lib/systemd/system", "%{_udevrulesdir}": "usr/lib/udev/rules.d",
          "%{_sysusersdir}": "usr/lib/sysusers.d", "%{_tmpfilesdir}": "usr/lib/tmpfiles.d",
          "%{_journalcatalogdir}": "usr/lib/systemd/catalog",
          "${env:UNITS}": "usr/lib/systemd/system", "${env:UDEV}": "usr/lib/udev"}


def expand(pattern):
    for macro, path in MACROS.items():
        pattern = pattern.replace(macro, path)
    return pattern.strip("/")


def debian(tree):
    """Package -> patterns."""
    files = {path: text for path, text in tree.items() if re.fullmatch(r"debian/[^/]+\.install", path)}
    return {path: [expand(line.split()[0]) for line in text.splitlines() if line.strip()]
            for path, text in files.items()}


def spec(tree):
    sections = {}
    for name, body in re.findall(r"^%files(.*)\n((?:[%/].*\n)*)", tree[SPEC], re.M):
        sections[f"{SPEC}: %files{name}"] = [expand(line) for line in body.splitlines()
                                             if not line.startswith(("%license", "%doc"))]
    return sections


def is_below(pattern, path):
    """A pattern stands for files, and for directories with all in them."""
    wanted, parts = pattern.split("/"), path.split("/")
    return len(wanted) <= len(parts) and all(map(fnmatchcase, parts, wanted))


def compare(installed, packages, problems):
    for path in installed:
        found = [name for name, patterns in packages.items() if any(is_below(p, path) for p in patterns)]
        if len(found) != 1:
            problems.append(f"/{path}: " + (f"in {' and in '.join(found)}" if found else
                                            f"in none of {', '.join(packages) or 'no package'}"))
    for name, patterns in packages.items():
        idle = [p for p in patterns if not any(is_below(p, path) for path in installed)]
        problems += [f"{name}: {p} stands for nothing that is installed" for p in idle]


def versions(tree, problems):
    found = {path: re.search(pattern, tree.get(path, ""), re.M) for path, pattern in {
        "meson.build": r"^  version: '(.*)'", "debian/changelog": r"\A\S+ \((.*)\)", SPEC: r"^Version:\s+(.*)"}.items()}
    said = {path: match and match.group(1) for path, match in found.items()}
    if len(set(said.values())) != 1:
        problems.append(f"the versions differ: {said}")


def check(tree):
    """The installed files are one of the tree's."""
    problems = []
    installed = tree["installed"].split()
    compare(installed, debian(tree), problems)
    compare(installed, spec(tree), problems)
    versions(tree, problems)
    return problems


def installed_by(build):
    """What this build would install, by the names that it has with the prefix /usr."""
    info = build / "meson-info"
    options = json.loads((info / "intro-buildoptions.json").read_text(encoding="utf-8"))
    options = {option["name"]: option["value"] for option in options}
    if options["units"] == "disabled":
        lint.skip("the units are not installed (-Dunits=disabled)")
    paths = json.loads((info / "intro-installed.json").read_text(encoding="utf-8")).values()
    paths = [path for path in paths if "/libexec/verge-passthrough/" not in path]  # of -Dbench=enabled, for the VM lab
    paths = [re.sub(rf"^{re.escape(options['prefix'])}/", "/usr/", path) for path in paths]
    return sorted(re.sub(r"^/(usr/)?", "usr/", path) for path in paths)


def sample(**changes):
    parts = {"installed": "usr/bin/x usr/lib/udev/rules.d/60-x.rules", "version": "1", "spec": "%{_bindir}/x\n",
             "install": "usr/bin/x\n${env:UDEV}/rules.d/*\n", "more": ""} | changes
    return {"installed": parts["installed"], "meson.build": "  version: '1',\n",
            "debian/changelog": f"x ({parts['version']}) suite\n", "debian/x.install": parts["install"],
            "debian/y.install": parts["more"],
            SPEC: f"Version:  1\n%files\n%license L\n{parts['spec']}\n%files -n y\n%{{_udevrulesdir}}/60-*\n"}


if __name__ == "__main__":
    assert not check(sample()), check(sample())
    tree = lint.load()
    tree["installed"] = " ".join(installed_by(Path(sys.argv[2])))
    lint.run(check, {
        "a file that no package has": sample(installed="usr/bin/x usr/bin/z usr/lib/udev/rules.d/60-x.rules"),
        "a file in two packages": sample(more="usr/bin/*\n"),
        "a file in two sections": sample(spec="%{_bindir}/x\n%{_udevrulesdir}\n"),
        "a file that the spec lacks": sample(spec="%{_bindir}/z*\n"),
        "a pattern for nothing": sample(install="usr/bin/x\n${env:UDEV}/rules.d/*\nusr/share/x\n"),
        "another version": sample(version="2"),
        "no sections": sample() | {SPEC: "Version: 1\n"},
    }, "put the file into the .install file of one package in debian/ and into one %files section of the spec", tree)
