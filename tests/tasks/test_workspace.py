"""The workspace: made on demand, never inside somebody else's folder, never one of a newer version."""

import json
import os

import pytest

from tasks.shared.errors import StillhouseError
from tasks.shared.workspace import FORMAT, find_workspace, open_workspace

MARKER = "stillhouse.json"


def complaint():
    with pytest.raises(StillhouseError) as caught:
        open_workspace()
    assert str(caught.value).isprintable()
    return str(caught.value)


def test_asking_for_places_makes_nothing(home):
    workspace = find_workspace()
    assert workspace.root == home
    assert workspace.outputs.parent == workspace.labels.parent == workspace.runs.parent == home
    assert not home.exists()


def test_it_is_made_on_demand_with_its_parents(home, monkeypatch):
    monkeypatch.setenv("STILLHOUSE_HOME", str(home / "deeper" / "还有"))
    workspace = open_workspace()
    assert json.loads((workspace.root / MARKER).read_text()) == {"format": FORMAT}
    assert [path.name for path in workspace.root.iterdir()] == [MARKER]
    assert open_workspace() == workspace


def test_without_a_setting_it_is_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for setting in (None, ""):
        if setting is None:
            monkeypatch.delenv("STILLHOUSE_HOME")
        else:
            monkeypatch.setenv("STILLHOUSE_HOME", setting)
        assert find_workspace().root == tmp_path / "workspace"
    monkeypatch.setenv("STILLHOUSE_HOME", "~/still")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_workspace().root == tmp_path / "still"


def test_an_empty_folder_will_do(home):
    home.mkdir()
    assert open_workspace().root == home


def test_somebody_elses_folder_is_refused_and_left_alone(home):
    home.mkdir()
    (home / "thesis.tex").write_text("mine")
    assert complaint() == f"{home} holds other files; set STILLHOUSE_HOME to a new or empty folder"
    assert [path.name for path in home.iterdir()] == ["thesis.tex"]


def test_another_process_may_be_making_it_at_the_same_time(home):
    home.mkdir()
    (home / f".{MARKER}.12345").write_text('{"form')
    assert open_workspace().root == home
    assert json.loads((home / MARKER).read_text()) == {"format": FORMAT}


def test_a_newer_one_is_refused(home):
    open_workspace()
    (home / MARKER).write_text(json.dumps({"format": FORMAT + 1}))
    assert f"has format {FORMAT + 1}, this Stillhouse knows {FORMAT}: update it" in complaint()


@pytest.mark.parametrize("content", ["", "{", "[]", "null", "{}", "\xff"])
def test_a_damaged_marker_is_refused(home, content):
    open_workspace()
    (home / MARKER).write_bytes(content.encode("latin-1"))
    assert f"{home / MARKER} is damaged" in complaint()


def test_where_nothing_can_be_written(home, monkeypatch):
    home.write_text("a file")
    assert "File exists; set STILLHOUSE_HOME to another folder" in complaint()
    monkeypatch.setenv("STILLHOUSE_HOME", str(home / "below"))
    assert f"cannot write the workspace {home / 'below'}: Not a directory" in complaint()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_where_nothing_may_be_written(home):
    home.mkdir(mode=0o500)
    assert f"cannot write the workspace {home}: Permission denied" in complaint()


@pytest.mark.parametrize("name", ["what?", "a?b=c", "my%20files", "%41", "caf\udce9"])
def test_a_path_that_addresses_cannot_hold_is_refused_when_it_is_opened(home, monkeypatch, name):
    monkeypatch.setenv("STILLHOUSE_HOME", str(home / name))
    assert "cannot hold; name another folder" in complaint()
    assert not home.exists()


def test_a_workspace_is_the_same_by_whatever_name(home, monkeypatch):
    open_workspace()
    (home.parent / "link").symlink_to(home)
    for spelling in (home / ".." / home.name, home.parent / "link", f"{home}/"):
        monkeypatch.setenv("STILLHOUSE_HOME", str(spelling))
        assert open_workspace().root == home
