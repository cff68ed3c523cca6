"""Connections are kept between requests, and only where nothing of the request before is left in them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.db import DatabaseError, connections

from webapp.sqlite import base
from webapp.sqlite.base import DatabaseWrapper

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(base, "_kept", {})
    yield
    for waiting in base._kept.values():
        for connection, _ in waiting:
            connection.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "site.sqlite3"


def wrapper(file: Path) -> DatabaseWrapper:
    """As a new thread has it."""
    made = DatabaseWrapper({**connections.settings["default"], "NAME": file, "OPTIONS": {"timeout": 1}})
    made.inc_thread_sharing()
    return made


def used(file: Path, sql: str = "select 1") -> sqlite3.Connection:
    """What a request used that made this query and ended."""
    database = wrapper(file)
    with database.cursor() as cursor:
        cursor.execute(sql)
        cursor.fetchall()
    raw: sqlite3.Connection = database.connection
    database.close()
    return raw


def test_the_next_request_takes_the_connection_of_the_one_before(file: Path) -> None:
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        first, second = one.submit(used, file).result(), other.submit(used, file).result()
    assert first is second
    assert first.execute("pragma foreign_keys").fetchone() == (1,)


def test_two_at_once_share_none(file: Path) -> None:
    used(file)
    first, second = wrapper(file), wrapper(file)
    first.ensure_connection()
    second.ensure_connection()
    assert first.connection is not second.connection
    first.close()
    second.close()


def test_an_open_transaction_is_not_handed_on(file: Path) -> None:
    used(file, "create table t (x)")
    database = wrapper(file)
    with database.cursor() as cursor:
        cursor.execute("begin immediate")
        cursor.execute("insert into t values (1)")
    raw = database.connection
    database.close()
    assert used(file) is not raw
    assert wrapper(file).cursor().execute("select count(*) from t").fetchone() == (0,)


def test_a_connection_that_had_an_error_is_not_handed_on(file: Path) -> None:
    """By the way that the end of a request takes."""
    database = wrapper(file)
    with pytest.raises(DatabaseError), database.cursor() as cursor:
        cursor.execute("select * from missing")
    raw = database.connection
    database.close_if_unusable_or_obsolete()
    assert database.connection is None
    assert used(file) is not raw


def test_a_file_that_was_replaced_gets_a_new_connection(file: Path) -> None:
    used(file, "create table old (x)")
    file.unlink()
    with sqlite3.connect(file) as restored:
        restored.execute("create table new (x)")
    used(file, "select * from new")


def test_a_file_that_is_replaced_while_it_is_used_leaves_no_connection_behind(file: Path) -> None:
    used(file, "create table old (x)")
    database = wrapper(file)
    database.ensure_connection()
    file.rename(file.with_suffix(".old"))
    with sqlite3.connect(file) as restored:
        restored.execute("create table new (x)")
    database.close()
    used(file, "select * from new")


def test_so_many_are_kept_and_no_more(file: Path) -> None:
    wrappers = [wrapper(file) for _ in range(base.KEPT_AT_MOST + 3)]
    for database in wrappers:
        database.ensure_connection()
    for database in wrappers:
        database.close()
    assert [len(waiting) for waiting in base._kept.values()] == [base.KEPT_AT_MOST]
