"""What an installed Everloop has beside its code: templates, samples, the labelling page."""

from __future__ import annotations

from pathlib import Path

import pytest
from setuptools import Distribution
from setuptools.command.build_py import build_py
from setuptools.config.pyprojecttoml import apply_configuration

from tests import ROOT


def test_the_wheel_has_every_file_of_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    wheel = build_py(apply_configuration(Distribution(), "pyproject.toml"))
    wheel.ensure_finalized()
    packed = {
        Path(folder) / name
        for _, folder, _, names in wheel.get_data_files_without_manifest()
        for name in names
    }
    rooms = {Path(package) for package in wheel.packages if "." not in package}
    files = {p.relative_to(ROOT) for room in rooms for p in (ROOT / room).rglob("*.*") if p.is_file()}
    assert packed == {f for f in files if f.suffix not in (".py", ".pyc")}
