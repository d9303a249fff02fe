"""The examples of each protocol in docs/serving.md, run against a server."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from core.store import Store
from serving.service import Service
from tests import ROOT
from tests.serving.real_server import running

PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


def run(language: str, command: list[str], url: str) -> list[str]:
    """What the page's blocks in a language print."""
    protocols = PAGE.partition("## Time, and faults")[0]
    blocks = re.findall(rf"^```{language}\n(.*?)^```", protocols, flags=re.S | re.M)
    printed = []
    for block in blocks:
        block = block.replace("localhost:8000", url.removeprefix("http://"))
        done = subprocess.run([*command, block], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, block + done.stderr
        printed.append(done.stdout)
    return printed


@pytest.mark.slow
def test_the_examples_in_python(store: Store, service: Service) -> None:
    with running(service, store) as url:
        own, mlflow, triton = run("python", [sys.executable, "-c"], url)
    assert own == ""
    assert "model_version" in mlflow
    assert "b'1'" in triton


@pytest.mark.skipif(not shutil.which("curl"), reason="the examples call curl")
def test_the_examples_with_curl(store: Store, service: Service) -> None:
    with running(service, store) as url:
        printed = run("bash", ["bash", "-ec"], url)
    assert [p.count('"predictions"') for p in printed] == [2, 2, 0]
    assert '"outputs"' in printed[2]
    assert '"error"' not in "".join(printed)
