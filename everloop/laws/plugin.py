"""pytest's option `--policy`: the laws test these policies instead of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

LAWS = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("everloop").addoption(
        "--policy",
        action="append",
        default=[],
        metavar="MODULE:CLASS",
        help="for --pyargs everloop.laws: test this policy, and none of ours; may be given again",
    )


def pytest_configure(config: pytest.Config) -> None:
    named = config.getoption("--policy")
    if not named:
        return
    from core.imported import BadCodeError, importable
    from everloop.laws.members import choose

    importable(Path.cwd())
    try:
        choose(named)
    except BadCodeError as fault:
        raise pytest.UsageError(f"--policy: {fault}") from None


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Laws of other stages than that of the policies are no part of the run."""
    if not config.getoption("--policy") or collection_path.parent != LAWS:
        return None
    stage = collection_path.stem.removeprefix("test_")
    from everloop.laws.members import has_members

    known = {p.stem.removeprefix("test_") for p in LAWS.glob("test_*.py")} - {"settings"}
    return True if stage in known and not has_members(stage) else None
