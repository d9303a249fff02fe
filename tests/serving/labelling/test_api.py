"""The calls behind the labelling page: what they give, what they refuse, and whom."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from core.label_set import LabelSet
from core.records.answers import Prediction
from core.records.labels import Annotation
from core.store import Store
from everloop.commands import serve
from flows.session import Session
from pipelines.labeling import Labeling
from serving.app import create_app
from serving.engine import Engine
from serving.labelling import similar
from serving.labelling.annotation_queue import Labelling
from serving.labelling.page import files
from serving.metrics import Metrics
from serving.service import Service
from serving.settings import Serving
from tests.fake_models import NOW
from tests.serving.labelling.label_queue import ASKED, MANY, ask, drawn, pick, shelf, texts_of

JSON = {"content-type": "application/json"}


def client_of(store: Store, settings: Labelling | None = None, version: str = "1") -> TestClient:
    """A server whose champion is loaded; `version` "" is one that has none yet."""
    service = Service(store, shelf().load, max_text=10_000)
    if version:
        service.switch.turn(NOW)
    engine = Engine(service, lambda: NOW, Metrics())
    app = create_app(engine, store, lambda: NOW, Serving(), settings or Labelling())
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


@pytest.fixture
def rows(store: Store) -> list[Prediction]:
    return ask(store, texts_of(8))


@pytest.fixture
def client(store: Store, rows: list[Prediction]) -> TestClient:
    pick(store, rows[:4])
    return client_of(store)


def tasks(client: TestClient, who: str = "ann", n: int = 2) -> list[dict[str, Any]]:
    answer = client.get("/v1/label/next", params={"annotator": who, "n": n})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["tasks"]
    return found


def vote(client: TestClient, task: str, label: str | None, who: str = "ann", **more: Any) -> Any:
    body = {"prediction_id": task, "annotator": who, "label": label, **more}
    return client.post("/v1/label/votes", json=body)


def ids(found: list[dict[str, Any]]) -> list[str]:
    return [task["prediction_id"] for task in found]


def test_a_task_has_what_a_person_needs(client: TestClient, rows: list[Prediction]) -> None:
    [task] = tasks(client, n=1)
    p = next(row for row in rows if row.prediction_id == task["prediction_id"])
    assert (task["text"], task["segments"], task["timestamp"]) == (
        p.text,
        {"channel": "chat"},
        "2026-01-05T09:00:00Z",
    )
    assert task["why"] == "the model was unsure"
    assert task["guess"]["label"] == p.output
    assert task["guess"]["score"] == pytest.approx(p.confidence, abs=1e-3)
    labels, scores = ([c[k] for c in task["choices"]] for k in ("label", "score"))
    best = [MANY[i] for i in np.argsort(-p.detail.probabilities.astype(float), kind="stable")]
    assert labels == best[: len(labels)]
    assert scores == sorted(scores, reverse=True)
    assert 5 <= len(labels) <= 9


def test_the_same_tasks_again_and_never_those_of_another(client: TestClient) -> None:
    mine, theirs = ids(tasks(client, "ann")), ids(tasks(client, "bob"))
    assert mine == ids(tasks(client, "ann"))
    assert len(set(mine) | set(theirs)) == 4


def test_a_label_a_skip_and_undo(client: TestClient, store: Store) -> None:
    one, two = ids(tasks(client))
    assert vote(client, one, "pay_card").json() == {"prediction_id": one, "state": "done"}
    assert vote(client, one, "pay_card").json()["state"] == "done"  # sent again
    assert vote(client, two, None, note=" not a sentence ").json()["state"] == "skipped"
    assert store.labels.of([one, two]) == {one: "pay_card"}
    assert [v.note for v in store.queue.votes([two])] == ["not a sentence"]
    progress = client.get("/v1/label/progress", params={"annotator": "ann"}).json()
    assert progress == {"today": 2, "labelled": 1, "skipped": 1, "left": 2}
    for _ in range(2):
        answer = client.delete(f"/v1/label/votes/{one}", params={"annotator": "ann"})
        assert (answer.status_code, answer.json()) == (200, {"prediction_id": one})
    assert store.labels.of([one]) == {}
    assert one in ids(tasks(client, n=4))


def test_today_begins_when_the_page_says(client: TestClient) -> None:
    [one] = ids(tasks(client, n=1))
    vote(client, one, "pay_card")
    later = (NOW + timedelta(hours=1)).isoformat()
    asked = {"annotator": "ann", "since": later}
    assert client.get("/v1/label/progress", params=asked).json()["today"] == 0
    refused = client.get("/v1/label/progress", params={"annotator": "ann", "since": "noon"})
    assert (refused.status_code, refused.json()["error"]) == (422, "this is no time")


def test_a_slip_is_no_new_class(client: TestClient, store: Store) -> None:
    [one] = ids(tasks(client, n=1))
    refused = vote(client, one, "pay_crad")
    assert refused.status_code == 422
    assert refused.json() == {
        "error": "a label that nobody has used yet",
        "where": "label",
        "got": "'pay_crad'",
        "expected": "a known label; did you mean 'pay_card'?",
        "do": 'send "new": true if it is meant',
    }
    assert store.queue.votes([one]) == []
    assert vote(client, one, "  lost   luggage ", new=True).status_code == 200
    assert store.labels.of([one]) == {one: "lost luggage"}
    two = ids(tasks(client, n=1))[0]
    assert vote(client, two, "lost luggage").status_code == 200  # it is known now
    assert "lost luggage" in client.get("/v1/label/setup").json()["labels"]


def test_a_closed_set_stays_closed(store: Store, rows: list[Prediction]) -> None:
    pick(store, rows[:2])
    client = client_of(store, Labelling(labels=("pay_card", "pay_bill")))
    setup = client.get("/v1/label/setup").json()
    assert (setup["labels"], setup["open"]) == (["pay_bill", "pay_card"], False)
    [task] = tasks(client, n=1)
    assert {c["label"] for c in task["choices"]} == {"pay_card", "pay_bill"}
    refused = vote(client, task["prediction_id"], "ask_card", new=True)
    assert (refused.status_code, refused.json()["error"]) == (422, "a label that was never declared")


def test_two_have_to_agree(store: Store, rows: list[Prediction]) -> None:
    [key] = pick(store, rows[:1])
    client = client_of(store, Labelling(annotators=2))
    assert ids(tasks(client, "ann")) == ids(tasks(client, "bob")) == [key]
    assert vote(client, key, "pay_card", "ann").json()["state"] == "waiting"
    assert vote(client, key, "pay_card", "bob").json()["state"] == "done"


def test_what_is_settled_or_no_task_is_refused(client: TestClient, rows: list[Prediction]) -> None:
    [one] = ids(tasks(client, n=1))
    vote(client, one, "pay_card")
    late = vote(client, one, "pay_bill", "bob")
    assert (late.status_code, late.json()["error"]) == (
        409,
        "this prediction is already labelled 'pay_card'",
    )
    none = vote(client, rows[7].prediction_id, "pay_card")
    assert (none.status_code, none.json()["error"]) == (409, "no task for this prediction id")


# -- what is hidden ---------------------------------------------------------------------------


def test_the_guess_is_hidden_on_audit_tasks_and_on_some_others(store: Store) -> None:
    picked = drawn(store, ask(store, texts_of(500)), 250, 0.2)
    audit = {t.prediction_id for t in picked if t.audit}
    client = client_of(store)
    found: list[dict[str, Any]] = []
    while some := tasks(client, n=10):
        found += some
        store.labels.annotate([Annotation(key, "pay_card", "bob", ASKED) for key in ids(some)])
    assert (len(found), len(audit)) == (len(picked), 50)
    assert ids(found) == sorted(ids(found))  # in order of their requests
    ours = [t for t in found if t["prediction_id"] in audit]
    others = [t for t in found if t["prediction_id"] not in audit]
    assert all(t["blind"] for t in ours)
    assert 0.1 < np.mean([t["blind"] for t in others]) < 0.3
    assert {t["why"] for t in others if not t["blind"]} == {"the model was unsure"}
    assert not any("audit" in str(t) or "propensity" in t for t in found)
    blind = [t for t in others if t["blind"]]
    for name in set(found[0]) - {"prediction_id", "text", "timestamp", "guess", "choices"}:
        assert {str(t[name]) for t in ours} == {str(t[name]) for t in blind}, name
    assert len({tuple(t) for t in found}) == 1  # no field that only audit tasks have


def test_params_reach_the_page(session: Session) -> None:
    assert serve._labelling(session) == Labelling()
    section = Labeling(labels=["b", "a"], annotators=3, guideline="how.md")
    session.strategy = session.strategy.model_copy(update={"labeling": section})
    found = serve._labelling(session)
    assert (found.labels, found.annotators) == (("b", "a"), 3)
    assert found.guideline == session.workspace.root / "how.md"


# -- the guess of a model that is gone --------------------------------------------------------


@pytest.mark.parametrize("gone", ["not loaded yet", "another encoder"])
def test_without_the_model_the_answer_of_then_is_the_guess(store: Store, gone: str) -> None:
    [row] = ask(store, ["my card"])
    pick(store, [row])
    client = client_of(store, version="" if gone == "not loaded yet" else "1")
    if gone == "another encoder":
        with store.database.write() as db:
            db.exec_driver_sql("UPDATE predictions SET encoder = 'another'")
    [task] = tasks(client)
    guess = {"label": row.output, "score": round(row.confidence, 4)}
    assert (task["guess"], task["choices"]) == (guess, [guess])


def test_no_text_is_read_again(store: Store) -> None:
    models = shelf()
    rows = ask(store, texts_of(5))
    pick(store, rows)
    store.labels.annotate([Annotation(rows[4].prediction_id, "pay_card", "bob", ASKED)])
    service = Service(store, models.load, max_text=100)
    service.switch.turn(NOW)
    app = create_app(Engine(service, lambda: NOW, Metrics()), store, lambda: NOW, Serving())
    client = TestClient(app, base_url="http://localhost")
    for key in ids(tasks(client, n=4)):
        assert client.get(f"/v1/label/similar/{key}").json()["similar"]
    assert models.models["1"].encoder.reads == 0


# -- similar texts ----------------------------------------------------------------------------


def test_the_nearest_labelled_texts_by_cosine(store: Store) -> None:
    rows = ask(store, texts_of(40))
    pick(store, rows)
    store.labels.annotate(
        [Annotation(p.prediction_id, f"l{i % 3}", "bob", ASKED) for i, p in enumerate(rows[1:])]
    )
    found = client_of(store).get(f"/v1/label/similar/{rows[0].prediction_id}").json()["similar"]
    whole = np.array([p.embedding for p in rows], dtype=float)
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)
    near = whole[1:] @ whole[0]
    best = np.argsort(-near, kind="stable")[:4]
    assert [x["text"] for x in found] == [rows[1 + i].text for i in best]
    assert [x["label"] for x in found] == [f"l{i % 3}" for i in best]
    assert [x["similarity"] for x in found] == pytest.approx([near[i] for i in best], abs=1e-3)


def test_similar_texts_are_bounded_and_read_now_and_then(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = ask(store, texts_of(12))

    def label(i: int, name: str) -> None:
        row = rows[i].prediction_id
        store.labels.annotate([Annotation(row, name, "bob", ASKED + timedelta(minutes=i))])

    for i in range(11):
        label(i, "a")
    monkeypatch.setattr(similar, "MOST", 10)
    time = [0.0]
    near = similar.Similar(store, lambda: time[0])
    assert {x.text for x in near.of(rows[11], 20, LabelSet())} == {p.text for p in rows[1:11]}
    label(11, "b")
    assert near.known(LabelSet()).labels == {"a"}
    time[0] = 31.0
    assert near.known(LabelSet()).labels == {"a", "b"}


def test_identical_texts_with_one_label_are_one_example(store: Store) -> None:
    rows = ask(store, ["my card", "my card", "my card", "a bill"])
    store.labels.annotate([Annotation(p.prediction_id, "a", "bob", ASKED) for p in rows[1:]])
    found = similar.Similar(store).of(rows[0], 4, LabelSet())
    assert [(x.text, x.label) for x in found] == [("my card", "a"), ("a bill", "a")]
    assert found[0].similarity == pytest.approx(1.0, abs=1e-3)


def test_no_embedding_no_example_no_prediction(store: Store) -> None:
    rows = ask(store, ["my card", "a bill"])
    client = client_of(store)
    assert client.get(f"/v1/label/similar/{rows[0].prediction_id}").json() == {"similar": []}
    assert client.get("/v1/label/similar/17").status_code == 404
    with store.database.write() as db:
        db.exec_driver_sql("UPDATE predictions SET embedding = NULL")
    store.labels.annotate([Annotation(rows[1].prediction_id, "a", "bob", ASKED)])
    assert client_of(store).get(f"/v1/label/similar/{rows[0].prediction_id}").json() == {"similar": []}


# -- the guideline ----------------------------------------------------------------------------


def test_the_guideline_is_markdown_and_its_html_is_text(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "guideline.md"
    client = client_of(store, Labelling(guideline=path))
    missing = client.get("/v1/label/setup").json()["guideline"]
    assert "cannot be read: No such file or directory" in missing
    path.write_text(
        "# How\n\n<script>alert(1)</script> [x](javascript:alert(1))\n\n|a|b|\n|-|-|\n|1|2|\n"
    )
    shown = client.get("/v1/label/setup").json()["guideline"]
    assert "<h1>How</h1>" in shown
    assert "<table>" in shown
    assert "<script" not in shown
    assert "href" not in shown


# -- who may call -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.test"},
        {"origin": "http://localhost:3000"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"host": "evil.test"},  # a name that points at this machine
        {"host": "evil.test", "origin": "http://evil.test"},
    ],
    ids=str,
)
def test_pages_of_other_sites_are_refused(
    client: TestClient, store: Store, headers: dict[str, str]
) -> None:
    [one] = ids(tasks(client, n=1))
    body = {"prediction_id": one, "annotator": "eve", "label": "pay_card"}
    calls = [
        client.post("/v1/label/votes", json=body, headers=headers),
        client.delete(f"/v1/label/votes/{one}?annotator=ann", headers=headers),
        client.get("/v1/label/next?annotator=eve", headers=headers),
        client.get(f"/v1/label/similar/{one}", headers=headers),
        client.get("/v1/label/setup", headers=headers),
    ]
    assert [c.status_code for c in calls] == [403] * 5
    assert not any("access-control-allow-origin" in c.headers for c in calls)
    assert store.queue.all_votes() == []


def test_a_form_cannot_vote(client: TestClient) -> None:
    [one] = ids(tasks(client, n=1))
    body = f'{{"prediction_id": "{one}", "annotator": "eve", "label": "pay_card"}}'
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = client.post("/v1/label/votes", content=body, headers={"content-type": kind})
        assert answer.status_code == 415
    assert client.options("/v1/label/votes", headers={"origin": "http://evil.test"}).status_code >= 400


def test_our_own_page_may(client: TestClient) -> None:
    for host in ("localhost", "127.0.0.1:8000", "[::1]:8000", "10.0.0.7"):
        headers = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
        assert client.get("/v1/label/setup", headers=headers).status_code == 200


def test_with_keys_the_keys_name_labels(store: Store, rows: list[Prediction]) -> None:
    [one] = pick(store, rows[:1])
    good, bad = (store.keys.add(name, [name], NOW) for name in ("label", "predict"))
    client = client_of(store)
    assert client.get("/label").status_code == client.get("/label/app.js").status_code == 200
    assert client.get("/v1/label/setup").status_code == 401
    assert client.get("/v1/label/setup", headers={"authorization": f"Bearer {bad}"}).status_code == 403
    client.headers["authorization"] = f"Bearer {good}"
    client.headers["host"] = "label.corp.test"
    assert client.get("/v1/label/setup").json()["annotator"] == "label"
    assert client.get("/v1/label/next?annotator=somebody").json()["annotator"] == "label"
    assert vote(client, one, "pay_card", "somebody else").status_code == 200
    assert [v.annotator for v in store.queue.all_votes()] == ["label"]
    assert client.post("/v1/predict", json={"text": "a"}).status_code == 403


@pytest.mark.parametrize("name", ["", "   ", "a\x00b", "a\nb\x07", "x" * 65, "\u202eevil"])
def test_a_name_is_a_name(client: TestClient, name: str) -> None:
    answer = client.get("/v1/label/next", params={"annotator": name})
    assert (answer.status_code, answer.json()["where"]) == (422, "annotator")


@pytest.mark.parametrize("n", ["0", "11", "-1", "1.5", "x", "", "²", "1" * 30])
def test_a_number_of_tasks_is_small(client: TestClient, n: str) -> None:
    answer = client.get("/v1/label/next", params={"annotator": "ann", "n": n})
    assert (answer.status_code, answer.json()["where"]) == (422, "n")


@pytest.mark.parametrize(
    "body",
    [
        {"prediction_id": "1"},
        {"prediction_id": "1", "label": ""},
        {"prediction_id": "1", "label": "  ", "annotator": "ann"},
        {"prediction_id": "1", "label": "a\x00"},
        {"prediction_id": "1", "label": "x" * 201},
        {"prediction_id": "1", "label": "a", "note": "x" * 1001},
        {"prediction_id": "1", "label": "a", "audit": True},
        [],
    ],
    ids=str,
)
def test_a_vote_has_its_shape(client: TestClient, body: Any) -> None:
    assert client.post("/v1/label/votes", json=body).status_code == 422


def test_a_script_cannot_label_everything(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.labelling.api.monotonic", lambda: 0.0)
    codes = [vote(client, "1", None).status_code for _ in range(125)]
    assert set(codes[:120]) == {409}
    assert set(codes[120:]) == {429}
    last = vote(client, "1", None)
    assert int(last.headers["retry-after"]) >= 1


# -- the page's files -------------------------------------------------------------------------


def test_the_page_needs_nothing_but_itself(client: TestClient) -> None:
    page = client.get("/label")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert sum(map(len, files().values())) < 70_000  # pages of both tasks
    for name, content in files().items():
        text = content.decode().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text.replace("http://ADDRESS", "")
        assert "https://" not in text
        assert client.get(f"/label/{name}").content == content
    assert "<style" not in page.text
    assert " style=" not in page.text
    assert page.text.count("<script") == 1
    for name in ("../app.py", "desk.py", "nothing.js", "%2e%2e%2fapp.py"):
        assert client.get(f"/label/{name}").status_code == 404


def test_a_file_that_is_the_same_is_not_sent_again(client: TestClient) -> None:
    first = client.get("/label/app.js")
    again = client.get("/label/app.js", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["content-type"] == "text/javascript; charset=utf-8"
