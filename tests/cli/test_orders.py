#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_orders.py STAGE TOOL: what transcripts cannot show of groups, rules, claims and documents: two people at once, files,
limits, and words that are not text. TAP."""

import os
import sys
import tempfile
from pathlib import Path

from stage import ADMIN, Stage

MIB = 1024 * 1024


def run(stage, *words, code=0, **options):
    done = stage.run("passthroughctl", *words, **options)
    assert done.returncode == code, f"{words} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.stdout if code == 0 else done.stderr


def edit_while_root_does(stage, noun, name, *options):
    """Somebody else is faster while polkit asks: the root, whom it does not ask."""
    asked = stage.order("polkit hang")[0]
    with stage.popen("passthroughctl", noun, "edit", name, *options, stdout=-1, stderr=-1) as child:
        stage.order(f"asked {asked + 1}")
        run(stage, noun, "edit", name, "--disable", uid=0)
        stage.order("settle yes")
        out, err = child.communicate(timeout=60)
    stage.order("polkit yes")
    run(stage, noun, "edit", name, "--enable")
    return child.returncode, out + err


def test_conflict(stage):
    run(stage, "group", "add", "NICs")
    run(stage, "rule", "add", "NICs", "all", "class_hex eq '0200'")
    run(stage, "claim", "add", "vm", "NICs")
    for noun, name, change in (("group", "NICs", "--quota=3"), ("rule", "all", "--filter=name eq 'x'"), ("claim", "vm", "--count=3")):
        code, text = edit_while_root_does(stage, noun, name, change)
        assert code == 5 and f"The {noun} " in text and "was changed by somebody else" in text, (code, text)
        code, text = edit_while_root_does(stage, noun, name, change, "--force")
        assert code == 0 and "was changed." in text, (code, text)


def test_gone_meanwhile(stage):
    run(stage, "group", "add", "Old")
    asked = stage.order("polkit hang")[0]
    with stage.popen("passthroughctl", "group", "delete", "Old", stdout=-1, stderr=-1) as child:
        stage.order(f"asked {asked + 1}")
        run(stage, "group", "delete", "Old", uid=0)
        stage.order("settle yes")
        _, err = child.communicate(timeout=60)
    stage.order("polkit yes")
    assert child.returncode == 3 and 'The group "Old" is not there any more' in err, err


def test_names(stage):
    run(stage, "group", "add", "Ids")
    path = run(stage, "group", "show", "Ids", "--json=short").split('"Path":"')[1].split('"')[0]
    id_ = path.rsplit("/", 1)[1].replace("_", "-")
    for word in (path, id_, id_.upper()):
        assert run(stage, "group", "show", word).startswith("Ids\n")
    run(stage, "rule", "add", id_, "by id", "name eq 'x'")
    assert run(stage, "rule", "show", "Ids/by id").startswith("Ids/by id\n")
    run(stage, "group", "edit", "Ids", "--description", "Two\nlines")
    assert "   Description: Two\n                lines\n" in run(stage, "group", "show", "Ids")
    assert "has a control character at byte 2" in run(stage, "group", "add", "a\nb", code=2)
    # What comes behind such a mark would be read from right to left.
    run(stage, "group", "add", "cards \u202egnp")
    assert "cards ?gnp " in run(stage, "group", "list")


def test_not_text(stage):
    bad = os.fsdecode(b"caf\xe9")
    for words in (("group", "add", bad), ("rule", "add", "Ids", bad, "name eq 'x'"), ("claim", "add", bad, "Ids"),
                  ("rule", "preview", bad), ("list", bad), ("show", bad), ("vm", "stop", bad), ("vm", "start", bad, "--", "true")):
        assert "is not UTF-8" in run(stage, *words, code=2), words
    for words in (("group", "edit", "Ids", "--name", bad), ("rule", "edit", "by id", "--filter", bad),
                  ("make", "01:00.0", "--group", bad), ("grant", "01:00.0", "--consent", bad, "--consent", "swap")):
        assert "is not UTF-8" in run(stage, *words, code=2), words


def test_export_file(stage):
    with tempfile.TemporaryDirectory(prefix="verge-document-") as name:
        directory, out = Path(name), Path(name) / "orders.json"
        os.chown(directory, ADMIN, ADMIN)
        assert f"are in '{out}'" in run(stage, "export", str(out))
        assert out.read_text() == run(stage, "export") and out.stat().st_mode & 0o777 == 0o666 & ~current_umask()
        # The same file by a link, which stays one, with the rights that it has; it is replaced as a whole.
        out.chmod(0o640)
        os.link(out, directory / "second name")
        (directory / "link").symlink_to("orders.json")
        run(stage, "group", "add", "More")
        run(stage, "export", str(directory / "link"))
        assert (directory / "link").is_symlink() and '"More"' in out.read_text() and out.stat().st_mode & 0o777 == 0o640
        assert '"More"' not in (directory / "second name").read_text()
        # What cannot be written leaves nothing behind and the old file as it was.
        directory.chmod(0o555)
        assert f"'{out}' cannot be written: Permission denied" in run(stage, "export", str(out), code=1)
        directory.chmod(0o755)
        assert sorted(p.name for p in directory.iterdir()) == ["link", "orders.json", "second name"]
        # What is no file stays what it is.
        run(stage, "export", "/dev/null")
        assert not Path("/dev/null").is_file()
        run(stage, "group", "delete", "More")
        assert run(stage, "import", str(out)).startswith("1 group or rule was made")
        assert run(stage, "import", str(directory / "link")).startswith("Nothing was changed")


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_import_file(stage):
    with tempfile.TemporaryDirectory(prefix="verge-document-") as name:
        path = Path(name) / "orders.json"
        os.chmod(name, 0o755)
        path.write_text('{"format": "org.verge.Passthrough",\n "version": 1,\n "groups": [}')
        text = run(stage, "import", str(path), code=2)
        assert f"{path}: The document is not valid: line 3, column 13: " in text, text
        path.write_bytes(b'{"format":\n "caf\xe9"}')
        assert f"'{path}' is no document: line 2 is not UTF-8" in run(stage, "import", str(path), code=2)
        path.write_bytes(b'{"format":\0}')
        assert f"'{path}' is no document: line 1 is not UTF-8" in run(stage, "import", str(path), code=2)
        path.write_bytes(b" " * (16 * MIB + 1))
        assert f"'{path}' has more than 16 MiB" in run(stage, "import", str(path), code=2)
        path.write_bytes(b" " * 16 * MIB)
        assert "The document is not valid" in run(stage, "import", str(path), code=2)
        path.chmod(0)
        assert f"'{path}' cannot be read: Permission denied" in run(stage, "import", str(path), code=1)


def test_limits(stage):
    groups = ", ".join(f'{{"name": "g{n}"}}' for n in range(1000))
    document = f'{{"format": "org.verge.Passthrough", "version": 1, "groups": [{groups}]}}'
    text = run(stage, "import", "-", input=document, code=6)
    assert "the limits are 1000 and 10000" in text, text
    assert "g999" not in run(stage, "group", "list")


def test_lost_service(stage):
    """It goes while polkit asks."""
    asked = stage.order("polkit hang")[0]
    with stage.popen("passthroughctl", "group", "edit", "NICs", "--quota=4", stdout=-1, stderr=-1) as child:
        stage.order(f"asked {asked + 1}")
        stage.order("kill")
        _, err = child.communicate(timeout=60)
    assert child.returncode == 7 and "The service does not answer" in err, err


TESTS = [test_conflict, test_gone_meanwhile, test_names, test_not_text, test_export_file, test_import_file, test_limits,
         test_lost_service]


def main():
    program, tool = sys.argv[1:3]
    failed = 0
    with Stage(program, tool) as stage:
        for n, test in enumerate(TESTS, 1):
            try:
                test(stage)
                print(f"ok {n} - {test.__name__}", flush=True)
            except AssertionError as error:
                failed += 1
                print(f"not ok {n} - {test.__name__}", flush=True)
                print("".join(f"#   {line}\n" for line in str(error).splitlines()), end="", flush=True)
    print(f"1..{len(TESTS)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
