"""Policies of other people: found by their path or by an entry point, checked as ours are."""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from setuptools import find_packages

from core import params
from core.errors import DataError, ParamsError, PolicyError, TrustError
from core.imported import importable, of_policy
from everloop.init import TEMPLATES, init
from everloop.laws.traffic import LABELS, before, today
from everloop.laws.windows import START, window
from flows.session import open_session
from flows.strategy import Strategy, clashes, load
from monitoring.monitor import observe
from monitoring.view import ServedModel, View
from pipelines.curation import CurationPolicy
from pipelines.curation.picking import Curation
from pipelines.curation.pool import Pool
from pipelines.datasets.exporters.exporter import exporter
from tests import ROOT
from tests.command_line import everloop

NEAR = """\
import numpy as np
from pydantic import Field, field_validator
from pipelines.curation.picking import Curation
from pipelines.triggers.trigger import Trigger


class Near(Curation):
    reach: float = Field(0.5, gt=0, description="how far")

    def worth(self, pool):
        return np.full(len(pool), self.reach)


class Idle(Curation):
    pass


class Odd(Curation):
    def worth(self):
        return 1


class When(Trigger):
    def decide(self, situation):
        return self.answer(situation, False, "never, whatever happens")


class Raises(Near):
    @field_validator("reach")
    @classmethod
    def _look(cls, reach):
        return {}[reach]


class Later(Near):
    part: "Nowhere" = None


def function():
    pass
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The folder of a workspace, whose modules can be imported, and only its params.yaml."""
    (tmp_path / "near.py").write_text(NEAR)
    shutil.copy(TEMPLATES / "params.yaml", tmp_path)
    importable(tmp_path)
    return tmp_path


def write(root: Path, **sections: dict[str, Any]) -> Path:
    path = root / "params.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | sections, sort_keys=False))
    return path


def fault(root: Path, **sections: dict[str, Any]) -> str:
    """The only fault of a file with these sections, without its line."""
    with pytest.raises(ParamsError) as caught:
        params.load(write(root, **sections), Strategy)
    [found] = [x for x in str(caught.value).splitlines() if x.startswith("  - line")]
    return found.partition(", ")[2]


def test_a_class_is_taken_by_its_path_and_keeps_its_settings(shop: Path) -> None:
    path = write(shop, curation={"policy": "near:Near", "reach": 0.7, "labels_per_day": 5})
    strategy = params.load(path, Strategy)
    found = strategy.curation
    assert (type(found).__name__, found.policy, found.labels_per_day) == ("Near", "near:Near", 5)
    assert strategy.code == {"curation.policy": "near:Near"}
    assert strategy.model_dump()["curation"]["reach"] == 0.7
    assert Strategy.model_validate(strategy.model_dump()) == strategy
    assert Strategy.model_validate_json(strategy.model_dump_json()) == strategy


def test_it_may_stand_where_ours_do_inside_others(shop: Path) -> None:
    parts = [{"share": 1, "part": {"policy": "near:Near"}}, {"share": 1, "part": {"policy": "margin"}}]
    triggers = {"policy": "any", "of": [{"policy": "near:When", "mode": "suggest"}]}
    file = write(shop, curation={"policy": "mix", "of": parts}, triggers=triggers)
    assert params.load(file, Strategy).code == {
        "curation.of.0.part.policy": "near:Near",
        "triggers.of.0.policy": "near:When",
    }


def test_faults_of_its_settings_are_those_of_ours(shop: Path) -> None:
    path = write(shop, curation={"policy": "near:Near", "reech": 1, "reach": "far", "floor": 2})
    with pytest.raises(ParamsError) as caught:
        params.load(path, Strategy)
    at = {x.split(":")[0].strip(): i for i, x in enumerate(path.read_text().splitlines(), 1)}
    for line in (
        f"line {at['reech']}, curation.reech: unknown key; did you mean 'reach'?",
        f"line {at['reach']}, curation.reach: got 'far', expected a valid number",
        f"line {at['floor']}, curation.floor: got 2, expected less than or equal to 1",
    ):
        assert f"  - {line}\n" in str(caught.value)


BASE = "pipelines.curation.picking:Curation"
FAULTS = {
    "nea:Near": "no module 'nea' in ",
    "near.far:Near": "no module 'near.far': near is the file SHOP/near.py, expected a folder",
    "near:Nea": "no class 'Nea' in near (SHOP/near.py); did you mean 'Near'?",
    "near:Xyz": "no class 'Xyz' in near (SHOP/near.py); it has Near, Idle, Odd, Raises, Later",
    "near:function": f"near:function is a function, expected a class that extends {BASE}",
    "near:When": f"near:When extends pipelines.triggers.trigger:Trigger, expected {BASE}",
    "near:Idle": f"near:Idle has no `worth(self, pool)`, which {BASE} asks for",
    "near:Odd": "near:Odd: `worth(self)` cannot be called as `worth(self, pool)`",
    "near:Raises": "its class raised KeyError: 0.5 (SHOP/near.py, line 32)",
    "near:Later": "near:Later is not complete: ",
    "./near.py:Near": "got './near.py:Near', expected MODULE:CLASS, the module as `import` names it",
    "near:": "got 'near:', expected MODULE:CLASS",
    "typo:X": "importing typo raised SyntaxError: expected ':' (SHOP/typo.py, line 2)",
    "breaks:X": "importing breaks raised ZeroDivisionError: division by zero (SHOP/breaks.py, line 2)",
    "leaves:X": "importing leaves raised SystemExit: 3 (SHOP/leaves.py, line 1)",
    "lacks:X": "importing lacks raised ModuleNotFoundError: No module named 'nowhere' (SHOP/lacks.py, ",
    "mistaken:X": "importing mistaken raised PydanticUserError: A non-annotated attribute was detected",
    "core:X": "no class 'X' in core (",
}


@pytest.mark.parametrize("named", FAULTS)
def test_an_error_says_what_is_missing(named: str, shop: Path) -> None:
    (shop / "typo.py").write_text("class X:\n    def worth(self)\n")
    (shop / "breaks.py").write_text("one = 1\nnone = one / 0\n")
    (shop / "leaves.py").write_text("raise SystemExit(3)\n")
    (shop / "lacks.py").write_text("import nowhere\n")
    (shop / "mistaken.py").write_text(
        "from pipelines.curation.picking import Curation\nclass X(Curation):\n    reach = 0.5\n"
    )
    found = fault(shop, curation={"policy": named, "reach": 0.5})
    said = FAULTS[named].replace("SHOP", str(shop))
    assert found.startswith(f"curation.policy: {said}"), found


def test_where_a_module_was_looked_for(shop: Path) -> None:
    found = fault(shop, curation={"policy": "nea:Near"})
    assert str(shop) in found
    assert found.endswith("; did you mean 'near'?")


def test_a_file_that_a_module_of_ours_hides_is_named(shop: Path) -> None:
    (shop / "flows.py").write_text("class X: pass\n")
    found = fault(shop, curation={"policy": "flows:X"})
    assert found.endswith(f"; {shop}/flows.py comes after it on the path: rename it")


def package(folder: Path, name: str, points: str) -> None:
    """An installed package, as far as its metadata say."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[everloop.curation]\n{points}\n")


@pytest.fixture
def installed(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(shop / "site"))
    package(shop / "site", "nearness", "near = near:Near\nmargin = near:Near")
    return shop


def test_a_policy_of_an_installed_package_has_a_name(installed: Path) -> None:
    strategy = load(write(installed, curation={"policy": "near"}), installed)
    assert (type(strategy.curation).__name__, strategy.curation.policy) == ("Near", "near")
    assert strategy.code == {}, "who installs a package trusts it"
    said = fault(installed, curation={"policy": "nearr"})
    assert said.endswith("representative, stratified, near; did you mean 'near'?")
    said = fault(installed, curation={"policy": "near", "reech": 1})
    assert said == "curation.reech: unknown key; did you mean 'reach'?"


def test_a_name_of_ours_stays_ours_and_check_says_so(installed: Path) -> None:
    strategy = load(write(installed, curation={"policy": "margin"}), installed)
    assert type(strategy.curation).__module__ == "pipelines.curation.margin"
    assert clashes() == [
        "nearness 1.0 offers 'margin' for curation, too: ours is taken, and theirs is "
        "`policy: near:Near`"
    ]


def test_a_name_that_two_packages_claim_is_nobodys(installed: Path) -> None:
    package(installed / "site", "nearby", "near = near:Near")
    said = fault(installed, curation={"policy": "near"})
    for one in ("nearness 1.0 (near:Near)", "nearby 1.0 (near:Near)", "two packages offer 'near'"):
        assert one in said


def test_every_policy_of_ours_is_found_by_its_file() -> None:
    for field in Strategy.model_fields.values():
        for stage in field.metadata:
            if hasattr(stage, "ours"):
                for name, shape in zip(stage.ours(), stage.shapes(), strict=True):
                    assert shape.model_fields["policy"].annotation.__args__ == (name,)
    stage = CurationPolicy.__metadata__[0]
    assert {s.__name__ for s in stage.shapes()} == {
        s.__name__ for s in Curation.__subclasses__() if s.__module__.startswith("pipelines.")
    }


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace from elsewhere, whose class writes down that it was imported."""
    root = init(tmp_path / "shop").root
    (root / "theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n{NEAR}")
    parts = [{"share": 1, "part": {"policy": "theirs:Near", "reach": 0.7}}]
    write(root, curation={"policy": "mix", "of": parts})
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    return root


def test_nothing_of_a_workspace_from_elsewhere_is_imported_before_it_is_trusted(
    foreign: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrustError, match=r"curation\.of\.0\.part\.policy: theirs:Near \(theirs\.py\)"):
        open_session(foreign)
    said = everloop("check", "-w", foreign)
    assert (said.code, said.out.splitlines()[-1]) == (
        0,
        f"# not trusted yet: read it, then: everloop check --trust -w {foreign}",
    )
    assert "policy: theirs:Near\n" in said.out
    assert not (tmp_path / "ran").exists()
    said = everloop("check", "--trust", "-w", foreign)
    assert (said.code, said.err) == (0, "")
    assert "reach: 0.7  # how far" in said.out
    assert (tmp_path / "ran").exists()
    assert open_session(foreign).strategy.curation.policy == "mix"
    (foreign / "theirs.py").write_text(NEAR)
    with pytest.raises(TrustError, match="nobody has trusted it yet"):
        open_session(foreign)


def test_what_its_settings_hide_is_not_imported_either(foreign: Path, tmp_path: Path) -> None:
    hidden = {"policy": "json:JSONEncoder", "of": [{"policy": "theirs:Near"}]}
    write(foreign, curation=hidden)
    with pytest.raises(TrustError, match=r"curation\.of\.0\.policy: theirs:Near"):
        open_session(foreign)
    assert not (tmp_path / "ran").exists()


def test_two_workspaces_may_have_modules_of_one_name(tmp_path: Path) -> None:
    for i, name in enumerate(("one", "two")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "mine.py").write_text(NEAR.replace("(0.5", f"({i + 1}.0"))
        shutil.copy(TEMPLATES / "params.yaml", folder)
        importable(folder)
        found: Any = params.load(write(folder, curation={"policy": "mine:Near"}), Strategy).curation
        assert found.reach == i + 1


DOORS = """\
from pydantic import Field
from monitoring.hooks import Measurement
from pipelines.datasets.exporters.exporter import Exporter
from pipelines.testing.expectations import Family
from pipelines.testing.own import Suite
from pipelines.testing.probes import Probe


class Shouts(Measurement):
    least: int = Field(1, ge=1, description="letters of a text that shouts")

    def measure(self, view):
        texts = view.window.rows["text"]
        return {"shouts": sum(t.isupper() and len(t) >= self.least for t in texts) / max(len(texts), 1)}


class Fails(Measurement):
    def measure(self, view):
        raise KeyError("plan")


class Thanks(Suite):
    def families(self, fixed, probes):
        pairs = list(zip(fixed["input"], fixed["target"]))[:probes]
        made = [Probe((text,), (label,), f"{text}, thanks") for text, label in pairs]
        turned = lambda probe, answers: answers.label(probe.text) != answers.label(probe.sources[0])
        return [Family("INV-thanks", "INV", "thanks do not change the label", made, turned)]


class Chat(Exporter):
    def write(self, rows, file):
        file.write_text("".join(f"{t} -> {l}\\n" for t, l in zip(rows["input"], rows["target"])))
"""


def test_signals_of_a_class_are_stored_beside_ours(shop: Path) -> None:
    (shop / "doors.py").write_text(DOORS)
    listed = [{"policy": "doors:Shouts", "least": 3}, {"policy": "doors:Fails"}]
    settings = params.load(write(shop, monitoring={"signals": listed}), Strategy).monitoring
    model = ServedModel("1", LABELS, frozenset(LABELS))
    texts = {"text": np.where(np.arange(400) % 4 == 0, "HELLO", "hello")}
    seen = {
        (s.name, s.segment): s
        for s in observe(View(today(**texts), before(), model=model, settings=settings))
    }
    assert seen["custom.shouts", ""].value == 0.25
    assert seen["custom.shouts", "plan=free"].value is not None
    assert seen["custom", ""].note == "not comparable: doors:Fails raised KeyError: 'plan'"


def test_a_suite_of_another_package_is_asked_of_every_candidate(shop: Path) -> None:
    (shop / "doors.py").write_text(DOORS)
    listed = {"suites": [{"policy": "doors:Thanks"}]}
    settings = params.load(write(shop, testing=listed), Strategy).testing
    [family] = settings.suites[0].families(pd.DataFrame({"input": ["hi"], "target": ["a"]}), 10)
    assert (family.name, [p.text for p in family.probes]) == ("INV-thanks", ["hi, thanks"])
    assert fault(shop, testing={"suites": [{"policy": "doors:Thanks", "x": 1}]}).startswith(
        "testing.suites.0.x: unknown key"
    )


def test_an_exporter_is_named_on_the_command_line(shop: Path, tmp_path: Path) -> None:
    (shop / "doors.py").write_text(DOORS)
    exporter("doors:Chat").write(pd.DataFrame({"input": ["hi"], "target": ["a"]}), tmp_path / "out")
    assert (tmp_path / "out").read_text() == "hi -> a\n"
    with pytest.raises(
        DataError, match=r"no exporter of this name[\s\S]*got: +sheet[\s\S]*MODULE:CLASS"
    ):
        exporter("sheet")
    with pytest.raises(DataError, match=r"cannot be used[\s\S]*did you mean 'Chat'\?"):
        exporter("doors:Chatt")


BROKEN = """\
from pipelines.curation.picking import Curation


class Broken(Curation):
    def worth(self, pool):
        return {}["plan"]
"""


def test_what_a_policy_raises_is_one_error_with_its_line(shop: Path) -> None:
    (shop / "broken.py").write_text(BROKEN)
    policy = params.load(write(shop, curation={"policy": "broken:Broken"}), Strategy).curation
    with pytest.raises(KeyError) as caught:
        policy.pick(Pool(window(3)), 2, "r", START)
    assert str(of_policy(caught.value)) == (
        "a policy of another package failed\n"
        "  where:    broken:Broken\n"
        f"  got:      KeyError: 'plan' ({shop}/broken.py, line 6)\n"
        "  do:       mend it; pytest --pyargs everloop.laws --policy broken:Broken finds more"
    )
    assert of_policy(KeyError("plan")) is None


def test_a_policy_that_gives_too_few_numbers_is_told(shop: Path) -> None:
    (shop / "few.py").write_text(BROKEN.replace('{}["plan"]', "[1.0]"))
    policy = params.load(write(shop, curation={"policy": "few:Broken"}), Strategy).curation
    told = r"where:    few:Broken, worth\n  got:      an array of shape \(1,\)"
    with pytest.raises(PolicyError, match=told):
        policy.pick(Pool(window(3)), 2, "r", START)


def test_the_laws_are_in_the_wheel() -> None:
    """With the option that names a policy, which pytest finds by an entry point."""
    root = ROOT
    project = tomllib.loads((root / "pyproject.toml").read_text())
    packages = find_packages(
        str(root), include=project["tool"]["setuptools"]["packages"]["find"]["include"]
    )
    assert "everloop.laws" in packages
    assert project["project"]["entry-points"]["pytest11"]["everloop"] == "everloop.laws.plugin"
