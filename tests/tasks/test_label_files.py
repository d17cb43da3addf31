"""Where labels are kept: a folder and an S3-speaking server behave alike, and trouble with either is one line."""

import socket
import subprocess
import sys
import time
import urllib.request
import uuid

import numpy as np
import pytest
from s3fs import S3FileSystem

from tasks.shared.errors import StillhouseError
from tasks.shared.label_files import open_files
from tasks.shared.label_plan import missing
from tasks.shared.label_store import LabelStore, all_stores
from tasks.shared.label_view import read_view, view_of
from tests.tasks.test_label_store import LABELLER, keys_of, logits_of, place_of


@pytest.fixture(scope="module")
def server():
    """A server on loopback that speaks S3, and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(address, timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "the S3 server does not start"
                time.sleep(0.1)
        yield address
        process.kill()


@pytest.fixture
def s3(server, monkeypatch):
    """A new bucket's address; the environment says where the server is and how to log in, as it does for others."""
    from botocore.session import get_session

    settings = {"AWS_ENDPOINT_URL": server, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    for name, value in (settings | {"AWS_DEFAULT_REGION": "us-east-1"}).items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    get_session().create_client("s3", endpoint_url=server).create_bucket(Bucket=bucket)
    return f"s3://{bucket}/some/labels"


@pytest.fixture(params=["folder", "file", "s3"])
def place(request, tmp_path):
    """Each kind of place."""
    if request.param == "s3":
        return request.getfixturevalue("s3")
    return str(tmp_path / "labels") if request.param == "folder" else (tmp_path / "labels").as_uri()


def test_files_are_written_whole_listed_and_read(place):
    files = open_files(place)
    assert files.names("a/parts") == files.folders() == []
    with pytest.raises(FileNotFoundError):
        files.read("a/parts/one")
    files.write("a/parts/two", b"2")
    files.write("a/parts/one", b"1")
    files.write("a/parts/one", b"one")
    files.write("b/name", b"")
    again = open_files(place)
    assert again.names("a/parts") == ["one", "two"]
    assert again.names("a") == []
    assert again.folders() == ["a", "b"]
    assert again.read("a/parts/one") == b"one"
    assert again.read_all(["a/parts/two", "b/name", "a/parts/one"]) == [b"2", b"", b"one"]
    assert again.read_all([]) == []


def test_a_store_is_the_same_wherever_it_is(place):
    files = open_files(place)
    store, keys = LabelStore(files, LABELLER), keys_of(range(20))
    assert missing(store, keys).tolist() == keys.tolist()
    for number in range(4):
        some = range(number * 5, number * 5 + 5)
        store.write(place_of(number), keys_of(some), logits_of(some))
    other = LabelStore(open_files(place), LABELLER)
    assert missing(other, keys_of(range(18, 22))).tolist() == keys_of([20, 21]).tolist()
    view = view_of(other, keys)
    np.testing.assert_array_equal(read_view(other, view, keys), logits_of(range(20)))
    assert [found.labeller for found in all_stores(open_files(place), pytest.fail)] == [LABELLER]
    assert len(other.parts()) == 4


def test_damage_is_told_wherever_it_is(s3):
    files = open_files(s3)
    store = LabelStore(files, LABELLER)
    part = store.write(place_of(0), keys_of([1]), logits_of([1]))
    name = f"{LABELLER.id}/parts/{part.name}.parquet"
    files.write(name, files.read(name)[:-1])
    with pytest.raises(StillhouseError, match=rf"soft labels {s3}/{name} are damaged; delete them with"):
        store.read(part)


def test_trouble_with_a_store_is_one_line(s3, monkeypatch):
    with pytest.raises(StillhouseError, match=r"the label store at s3://no-such-bucket/labels refuses: .*bucket"):
        open_files("s3://no-such-bucket/labels").write("a", b"")
    S3FileSystem.clear_instance_cache()  # one is kept for each bucket's settings, which here are in the environment
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StillhouseError, match=r"refuses: .*127\.0\.0\.1:9"):
        open_files(s3).names("a")


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("nowhere://bucket", "nowhere://bucket is no place for files: Protocol not known: nowhere"),
        ("gs://bucket/labels", "gs:// takes gcsfs; install it with pip"),
    ],
)
def test_a_place_that_nothing_here_reaches_is_told(place, said):
    with pytest.raises(StillhouseError, match=said):
        open_files(place)


def test_what_cannot_be_put_into_place_leaves_nothing_half_made(tmp_path):
    files = open_files(str(tmp_path))
    (tmp_path / "a" / "name").mkdir(parents=True)
    with pytest.raises(OSError, match="name"):
        files.write("a/name", b"1")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["name"]
