"""Postgres in place of SQLite: the store behaves the same, and so does the whole loop."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from core.errors import AccessError, LabelError, StoreError
from core.records.labels import Annotation
from core.store import Store
from everloop.replay import run
from tests.core.store.test_live_labels import (
    test_a_label_that_is_gone_is_nothing_to_learn_from,
    test_a_pick_is_judged_by_the_names_of_the_time,
    test_a_settled_label_is_corrected_only_where_it_says_something_else,
    test_a_users_correction_under_an_old_name_is_no_complaint,
    test_an_old_answer_is_right_when_its_truth_has_the_new_name,
    test_every_read_of_a_label_goes_through_the_one_view,
    test_two_models_are_compared_under_the_names_of_the_time,
    test_votes_that_a_merge_made_one_settle,
    test_weak_labels_come_under_their_names_and_others_as_they_were_said,
    test_who_voted_for_a_label_that_is_gone_is_asked_again,
)
from tests.core.store.test_queue import (
    test_a_corrected_label_goes_into_the_next_dataset_and_the_last_one_stays_as_it_was,
    test_a_label_from_elsewhere_closes_its_task,
    test_a_label_that_a_dataset_has_is_not_taken_back,
    test_a_label_that_looks_wrong_waits_for_an_adjudicator_and_is_asked_for_once,
    test_a_lease_carries_what_an_annotator_needs,
    test_a_task_is_one_annotators_until_the_lease_is_over,
    test_a_task_that_another_has_by_now_stays_theirs,
    test_a_vote_settles_a_task_that_needs_one,
    test_a_vote_taken_back_leaves_the_label_that_others_agree_on,
    test_a_vote_that_was_wrong_is_taken_back,
    test_no_two_annotators_get_the_same_task_at_the_same_time,
    test_of_many_votes_those_that_cannot_be_taken_say_why,
    test_the_oldest_round_comes_first_then_the_oldest_request,
    test_the_same_vote_again_is_harmless_and_another_one_replaces_it,
    test_two_votes_that_agree_settle_a_task_that_needs_two,
    test_two_votes_that_differ_wait_for_an_adjudicator,
    test_votes_of_one_file_are_cast_one_after_the_other,
    test_votes_that_meet_settle_a_task_all_the_same,
    test_what_is_no_task_cannot_be_judged,
    test_what_one_skips_another_may_label,
    test_where_fewer_votes_are_needed_now_what_has_them_is_settled,
    test_who_comes_late_may_agree_and_not_differ,
    test_who_takes_a_vote_back_has_the_task_again,
)
from tests.core.store.test_retention import (
    test_killed_half_way_it_goes_on_and_counts_on,
    test_old_rows_go_and_those_that_are_wanted_stay,
)
from tests.core.store.test_store import (
    NOW,
    prediction,
    test_a_label_reaches_the_window_the_answers_and_one_partition,
    test_a_store_of_another_version_is_refused,
    test_a_text_is_read_once_for_each_encoder,
    test_logging_again_is_harmless,
    test_once_runs_a_step_once_and_a_killed_step_again,
    test_records_come_back_as_they_went_in,
    test_two_labels_for_one_prediction_store_nothing,
    test_window_is_half_open_ordered_and_leaves_shadows_out,
)
from tests.core.store.test_windows import (
    test_at_most_so_many_rows_are_read_and_always_the_same_ones,
    test_models_of_more_labels_make_rows_of_other_lengths,
    test_the_columns_of_a_window,
    test_the_rows_with_a_truth,
)
from tests.flows.test_forget import test_a_forgotten_row_does_not_come_back
from tests.flows.test_loop import outcome
from tests.pipelines.labeling.test_second_opinions import (
    test_a_label_that_is_asked_again_goes_to_somebody_else_and_the_first_word_is_kept,
    test_what_a_dataset_has_taken_is_set_aside_until_somebody_answers,
    test_what_two_people_looked_at_is_not_judged_again,
)
from tests.pipelines.labeling.test_weak_labels import (
    test_no_truth_comes_of_feedback,
    test_nothing_is_trusted_where_the_bar_is_too_high,
    test_the_most_trusted_word_counts_then_the_last_one,
    test_thumbs_up_is_the_answers_own_label_where_it_is_trusted,
    test_users_make_no_new_class,
    test_what_is_trusted_trains_with_its_trust_and_without_a_propensity,
    test_what_people_label_is_theirs,
)
from tests.pipelines.labeling.test_words import (
    test_a_word_that_is_asked_waits_for_the_answer_and_then_is_a_persons,
    test_the_source_is_who_the_server_saw_not_who_the_caller_says_it_is,
    test_what_an_answer_to_a_check_says_is_no_draw_of_traffic,
    test_what_datasets_took_counts_by_source_and_day,
)
from tests.pipelines.logging.test_policies import (
    test_a_sampled_row_carries_its_chance_into_windows_and_datasets,
)
from tests.serving.labelling.test_api import (
    test_identical_texts_with_one_label_are_one_example,
    test_no_embedding_no_example_no_prediction,
    test_the_nearest_labelled_texts_by_cosine,
)
from tests.serving.test_writer import (
    test_rows_are_stored_and_counted_when_the_future_is_done,
    test_the_next_writer_takes_what_a_dead_one_left,
    test_the_same_group_again_counts_nothing,
)
from tests.small_loop import job, make_session

__all__ = [  # run here too, with this file's `store`
    "test_a_corrected_label_goes_into_the_next_dataset_and_the_last_one_stays_as_it_was",
    "test_a_forgotten_row_does_not_come_back",
    "test_a_label_from_elsewhere_closes_its_task",
    "test_a_label_reaches_the_window_the_answers_and_one_partition",
    "test_a_label_that_a_dataset_has_is_not_taken_back",
    "test_a_label_that_is_asked_again_goes_to_somebody_else_and_the_first_word_is_kept",
    "test_a_label_that_is_gone_is_nothing_to_learn_from",
    "test_a_label_that_looks_wrong_waits_for_an_adjudicator_and_is_asked_for_once",
    "test_a_lease_carries_what_an_annotator_needs",
    "test_a_pick_is_judged_by_the_names_of_the_time",
    "test_a_sampled_row_carries_its_chance_into_windows_and_datasets",
    "test_a_settled_label_is_corrected_only_where_it_says_something_else",
    "test_a_store_of_another_version_is_refused",
    "test_a_task_is_one_annotators_until_the_lease_is_over",
    "test_a_task_that_another_has_by_now_stays_theirs",
    "test_a_text_is_read_once_for_each_encoder",
    "test_a_users_correction_under_an_old_name_is_no_complaint",
    "test_a_vote_settles_a_task_that_needs_one",
    "test_a_vote_taken_back_leaves_the_label_that_others_agree_on",
    "test_a_vote_that_was_wrong_is_taken_back",
    "test_a_word_that_is_asked_waits_for_the_answer_and_then_is_a_persons",
    "test_an_old_answer_is_right_when_its_truth_has_the_new_name",
    "test_at_most_so_many_rows_are_read_and_always_the_same_ones",
    "test_every_read_of_a_label_goes_through_the_one_view",
    "test_identical_texts_with_one_label_are_one_example",
    "test_killed_half_way_it_goes_on_and_counts_on",
    "test_logging_again_is_harmless",
    "test_models_of_more_labels_make_rows_of_other_lengths",
    "test_no_embedding_no_example_no_prediction",
    "test_no_truth_comes_of_feedback",
    "test_no_two_annotators_get_the_same_task_at_the_same_time",
    "test_nothing_is_trusted_where_the_bar_is_too_high",
    "test_of_many_votes_those_that_cannot_be_taken_say_why",
    "test_old_rows_go_and_those_that_are_wanted_stay",
    "test_once_runs_a_step_once_and_a_killed_step_again",
    "test_records_come_back_as_they_went_in",
    "test_rows_are_stored_and_counted_when_the_future_is_done",
    "test_the_columns_of_a_window",
    "test_the_most_trusted_word_counts_then_the_last_one",
    "test_the_nearest_labelled_texts_by_cosine",
    "test_the_next_writer_takes_what_a_dead_one_left",
    "test_the_oldest_round_comes_first_then_the_oldest_request",
    "test_the_rows_with_a_truth",
    "test_the_same_group_again_counts_nothing",
    "test_the_same_vote_again_is_harmless_and_another_one_replaces_it",
    "test_the_source_is_who_the_server_saw_not_who_the_caller_says_it_is",
    "test_thumbs_up_is_the_answers_own_label_where_it_is_trusted",
    "test_two_labels_for_one_prediction_store_nothing",
    "test_two_models_are_compared_under_the_names_of_the_time",
    "test_two_votes_that_agree_settle_a_task_that_needs_two",
    "test_two_votes_that_differ_wait_for_an_adjudicator",
    "test_users_make_no_new_class",
    "test_votes_of_one_file_are_cast_one_after_the_other",
    "test_votes_that_a_merge_made_one_settle",
    "test_votes_that_meet_settle_a_task_all_the_same",
    "test_weak_labels_come_under_their_names_and_others_as_they_were_said",
    "test_what_a_dataset_has_taken_is_set_aside_until_somebody_answers",
    "test_what_an_answer_to_a_check_says_is_no_draw_of_traffic",
    "test_what_datasets_took_counts_by_source_and_day",
    "test_what_is_no_task_cannot_be_judged",
    "test_what_is_trusted_trains_with_its_trust_and_without_a_propensity",
    "test_what_one_skips_another_may_label",
    "test_what_people_label_is_theirs",
    "test_what_two_people_looked_at_is_not_judged_again",
    "test_where_fewer_votes_are_needed_now_what_has_them_is_settled",
    "test_who_comes_late_may_agree_and_not_differ",
    "test_who_takes_a_vote_back_has_the_task_again",
    "test_who_voted_for_a_label_that_is_gone_is_asked_again",
    "test_window_is_half_open_ordered_and_leaves_shadows_out",
]
pytestmark = pytest.mark.postgres


def binary(name: str) -> str:
    """Where Debian keeps it, or the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    where = str(found[-1]) if found else shutil.which(name)
    if where is None:
        pytest.skip(f"no {name}: apt-get install postgresql")
    return where


def call(*command: str) -> None:
    """As somebody whom initdb accepts: it refuses root."""
    someone: dict[str, Any] = {}
    if os.geteuid() == 0:
        someone = {"user": "postgres", "group": "postgres", "extra_groups": []}
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False, **someone)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server of our own behind a socket in a short folder, and no TCP."""
    initdb, pg_ctl = binary("initdb"), binary("pg_ctl")
    folder = Path(tempfile.mkdtemp(prefix="everloop-pg-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres", "postgres")
    data, log = str(folder / "data"), str(folder / "log")
    options = f"-k {folder} -c listen_addresses='' -c fsync=off"
    try:
        call(initdb, "-D", data, "-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-sync")
        call(pg_ctl, "-D", data, "-l", log, "-w", "-o", options, "start")
        try:
            yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
        finally:
            call(pg_ctl, "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def url(server: str) -> str:
    """A database of this test's own."""
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as db:
        db.execute(text("DROP DATABASE IF EXISTS everloop WITH (FORCE)"))
        db.execute(text("CREATE DATABASE everloop"))
    admin.dispose()
    return server.replace("@/postgres", "@/everloop")


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    made = Store(url)
    yield made
    made.close()


def test_a_locked_store_says_so_and_loses_nothing(store: Store, url: str) -> None:
    store.answers.log([prediction(0)])
    impatient, other = Store(url, busy=1), create_engine(url)
    with other.connect() as db:  # rolled back at its end
        db.execute(text("LOCK TABLE predictions IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(StoreError) as fault:
            impatient.answers.log([prediction(1)])
    assert str(fault.value) == (
        "the store is locked by another process\n"
        f"  where:    {url.replace('/tmp/', '%2Ftmp%2F')}\n"
        "  got:      canceling statement due to lock timeout\n"
        "  expected: a free store within 1 s\n"
        "  do:       stop the other process or wait for it, then run this again; nothing was lost"
    )
    impatient.answers.log([prediction(1)])
    assert impatient.answers.count() == 2
    other.dispose()
    impatient.close()


def test_an_unreachable_server_is_one_clear_error_without_the_password(server: str) -> None:
    with pytest.raises(StoreError, match="the store cannot be reached") as fault:
        Store(server.replace("postgres@", "ana:secret@").replace("everloop-pg-", "nowhere-"))
    assert "ana:***@" in str(fault.value)
    assert "secret" not in str(fault.value)


def test_a_server_that_knows_neither_us_nor_the_database_says_what_to_do(server: str) -> None:
    with pytest.raises(StoreError, match=r'(?s)does not let us in.*role "ana".*EVERLOOP_STORE right'):
        Store(server.replace("postgres@", "ana:secret@"))
    other = make_url(server).set(database="nowhere").render_as_string(hide_password=False)
    with pytest.raises(StoreError, match=r'(?s)does not exist.*"nowhere".*createdb it'):
        Store(other)


def test_a_text_that_postgres_cannot_hold_is_a_store_error(store: Store) -> None:
    with pytest.raises(StoreError, match="NUL"):
        store.answers.log([prediction(0, label="a\x00")])
    assert store.answers.count() == 0


def test_of_two_labels_at_the_same_time_one_is_refused(store: Store, url: str) -> None:
    store.answers.log([prediction(i) for i in range(40)])
    stores, refused = [Store(url), Store(url)], []

    def annotate(mine: Store, label: str) -> None:
        for i in range(40):
            try:
                mine.labels.annotate([Annotation(prediction(i).prediction_id, label, label, NOW)])
            except LabelError:
                refused.append(i)

    threads = [Thread(target=annotate, args=(s, x)) for s, x in zip(stores, "ab", strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in stores:
        one.close()
    assert sorted(refused) == list(range(40))
    assert store.labels.count() == 40


def test_the_loop_ends_as_it_does_on_sqlite(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_sqlite = make_session(tmp_path / "sqlite" / "workspace")
    expected = outcome(on_sqlite, run(on_sqlite, job()))
    monkeypatch.setenv("EVERLOOP_STORE", url)
    on_postgres = make_session(tmp_path / "postgres" / "workspace")
    assert on_postgres.store.url == url
    assert outcome(on_postgres, run(on_postgres, job())) == expected
    on_postgres.store.close()


def test_keys_are_made_once_and_revoked(store: Store) -> None:
    store.keys.add("shop", ["predict"], NOW)
    with pytest.raises(AccessError, match="a key of this name already"):
        store.keys.add("shop", ["admin"], NOW)
    store.keys.revoke("shop", NOW)
    assert [(k.name, k.scopes, k.revoked) for k in store.keys.all()] == [("shop", ["predict"], NOW)]
