"""Remotes on S3, against a server that speaks its protocol on loopback."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.errors import DatasetError
from core.workspace import Workspace
from pipelines.datasets.contents import rows_of
from pipelines.datasets.dvc_git import Repository
from pipelines.datasets.gc import collect, find_garbage
from pipelines.datasets.history import list_versions
from pipelines.datasets.remote import pull, push
from pipelines.datasets.verify import verify
from pipelines.datasets.versions import make_version
from tests.away import answering, black_hole
from tests.pipelines.datasets.small_versions import ALL, plan, rows, second_version

boto3 = pytest.importorskip("boto3")
pytest.importorskip("dvc_s3")
moto = pytest.importorskip("moto.server")

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:botocore", "ignore::DeprecationWarning:aiobotocore"
)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of an S3 server of our own."""
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of this test's own, and who may use it."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(name, value)
    name = f"versions-{tmp_path.name.replace('_', '-')[-40:].strip('-')}"
    boto3.client("s3", endpoint_url=server).create_bucket(Bucket=name)
    return name


def use(workspace: Workspace, url: str, server: str, default: bool = False) -> None:
    """Add the remote `cloud`."""
    path = workspace.root / ".dvc/config.local"
    core = "[core]\n    remote = cloud\n" if default else "[core]\n"
    text = (path.read_text() if path.exists() else "[core]\n").replace("[core]\n", core)
    path.write_text(f"{text}['remote \"cloud\"']\n    url = {url}\n    endpointurl = {server}\n")


def keys(server: str, bucket: str) -> set[str]:
    listed = boto3.client("s3", endpoint_url=server).list_objects_v2(Bucket=bucket)
    return {entry["Key"] for entry in listed.get("Contents", [])}


def test_versions_go_to_s3_and_come_back(two: Workspace, server: str, bucket: str) -> None:
    use(two, f"s3://{bucket}/everloop", server)
    sent = push(two.root, remote="cloud")
    assert (sent.objects, sent.url) == (11, f"s3://{bucket}/everloop/files/md5")
    assert len(keys(server, bucket)) == 11
    assert push(two.root, remote="cloud").objects == 0
    clone = Workspace(two.root.parent / "clone")
    Repository(two.root).git("clone", "--quiet", str(two.root), str(clone.root))
    use(clone, f"s3://{bucket}/everloop", server)
    assert pull(clone.root, remote="cloud").objects == 11
    assert len(rows_of(clone.root, "v0002")) == 6
    assert [c.faults for c in verify(clone.root, remote="cloud", deep=True)] == [[], []]


@pytest.mark.slow
def test_a_version_is_at_s3_before_its_tag(
    one: Workspace, server: str, bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    use(one, f"s3://{bucket}/everloop", server, default=True)
    made = second_version(one)
    assert [c.faults for c in verify(one.root, ["v0002"])] == [[]]
    # what only v0001 needs was at the old remote, and stays there until it is pushed
    assert [bool(c.faults) for c in verify(one.root, ["v0001"])] == [True]
    push(one.root)
    assert not any(c.faults for c in verify(one.root))
    before = keys(server, bucket)
    with caplog.at_level(logging.INFO, "werkzeug"):
        make_version(one, rows(["one more"], day=2), plan(3), ALL, one.champion)
    # a partition, its block's listing, the manifest and the listing of that
    assert len(keys(server, bucket) - before) == 4
    assert made.id == "v0002"


@pytest.mark.slow
def test_s3_that_refuses_leaves_no_version(one: Workspace, server: str, bucket: str) -> None:
    use(one, "s3://nobodys-bucket/everloop", server, default=True)
    with pytest.raises(DatasetError, match=r"(?s)the remote cloud refuses.*s3://nobodys-bucket.*again"):
        second_version(one)
    assert [v.id for v in list_versions(one.root)] == ["v0001"]
    boto3.client("s3", endpoint_url=server).create_bucket(Bucket="nobodys-bucket")
    assert second_version(one).id == "v0002"
    assert [c.faults for c in verify(one.root, ["v0002"])] == [[]]


@pytest.mark.slow
def test_s3_that_is_not_there_is_one_clear_error(two: Workspace, bucket: str) -> None:
    use(two, f"s3://{bucket}/everloop", "http://127.0.0.1:9")
    with pytest.raises(DatasetError, match=r"(?s)the remote cloud refuses.*127\.0\.0\.1:9"):
        push(two.root, remote="cloud")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("there", "said"),
    [
        (black_hole(), "no answer in time"),
        (answering(403, "<html>no</html>"), r"403.*dvc remote modify --local cloud access_key_id"),
        (answering(502, "<h1>Bad Gateway</h1>"), "502 Bad Gateway"),
        (answering(200, "<html>hello</html>"), "an object that nobody ever stored"),
    ],
    ids=["black hole", "403", "502", "a page for everything"],
)
def test_what_is_no_s3_is_one_clear_error(two: Workspace, bucket: str, there: Any, said: str) -> None:
    with there as at:
        use(two, f"s3://{bucket}/everloop", f"http://{at}")
        with pytest.raises(
            DatasetError, match=rf"(?s)the remote cloud refuses.*at http://{at}.*{said}"
        ):
            push(two.root, remote="cloud")


@pytest.mark.slow
def test_s3_is_cleared_of_what_nothing_needs(two: Workspace, server: str, bucket: str) -> None:
    use(two, f"s3://{bucket}/everloop", server)
    push(two.root, remote="cloud")
    stray = f"everloop/files/md5/ab/{'c' * 30}"
    boto3.client("s3", endpoint_url=server).put_object(Bucket=bucket, Key=stray, Body=b"x" * 7)
    found = find_garbage(two.root, remote="cloud")
    assert found.remote == {"ab" + "c" * 30: 7}
    collect(two.root, found)
    assert stray not in keys(server, bucket)
    assert not any(c.faults for c in verify(two.root, remote="cloud"))
