"""Accounts: what opens the door, how often, for how long, and what is left on disk."""

from __future__ import annotations

import stat
import threading

import pytest

from edge_agent.errors import Conflict, EdgeError, Invalid, NotFound, Unavailable
from edge_agent.web.accounts import Accounts
from edge_agent.web.identity import Identity


def test_a_token_opens_the_door_until_it_is_removed_also_after_a_restart(accounts, clock, tmp_path):
    token = accounts.create_token("board", ["ingest:tank-1"])
    again = Accounts(tmp_path / "accounts.json", clock)
    assert again.token(token) == Identity("board", "token", ("ingest:tank-1",))
    again.remove_token("board")
    assert again.token(token) is None
    with pytest.raises(NotFound):
        again.remove_token("board")


def test_a_token_ends_when_it_was_said_to(accounts, clock):
    token = accounts.create_token("guest", ["read"], expires_at=clock() + 1000)
    assert accounts.token(token)
    clock.pass_by(1001)
    assert accounts.token(token) is None
    assert accounts.tokens()[0]["expired"]


def test_two_tokens_cannot_have_one_name(accounts):
    accounts.create_token("board", ["ingest"])
    with pytest.raises(Conflict):
        accounts.create_token("board", ["read"])


def test_all_that_is_wrong_with_a_token_is_said_at_once(accounts):
    with pytest.raises(Invalid) as error:
        accounts.create_token("a/b", ["ingest:Tank 1", "root"])
    assert [fault.field for fault in error.value.faults] == ["name", "scopes", "scopes"]


def test_no_secret_can_be_read_from_the_file_and_only_the_owner_may_look(accounts, tmp_path):
    token = accounts.create_token("board", ["ingest"])
    accounts.add_user("ada", "correct horse battery")
    cookie = accounts.sign_in("ada", "correct horse battery")
    link = accounts.create_link()
    path = tmp_path / "accounts.json"
    content = path.read_text()
    assert not any(secret in content for secret in (token, cookie, link, "correct horse"))
    assert "$argon2id$" in content
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_damaged_file_is_an_error_and_not_an_empty_start(accounts, clock, tmp_path):
    accounts.create_token("board", ["ingest"])
    path = tmp_path / "accounts.json"
    path.write_text(path.read_text()[:40])
    with pytest.raises(EdgeError, match="restore it"):
        Accounts(path, clock)


def test_what_the_disk_refuses_has_not_happened(accounts, tmp_path):
    (tmp_path / "accounts.json.new").mkdir()
    with pytest.raises(Unavailable):
        accounts.create_token("board", ["ingest"])
    assert accounts.tokens() == []


def test_a_link_works_once_however_many_try_at_the_same_instant(accounts):
    link = accounts.create_link()
    cookies: list[str | None] = []
    racers = [threading.Thread(target=lambda: cookies.append(accounts.redeem_link(link))) for _ in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    (cookie,) = [cookie for cookie in cookies if cookie]
    assert accounts.session(cookie) == Identity("owner", "session", ("admin",))


def test_a_link_lives_ten_minutes(accounts, clock):
    young, old = accounts.create_link(), accounts.create_link()
    clock.pass_by(10 * 60 * 1000 - 50)
    assert accounts.redeem_link(young)
    clock.pass_by(100)
    assert accounts.redeem_link(old) is None


def test_a_session_ends_by_itself_by_signing_out_and_with_the_password(accounts, clock):
    accounts.add_user("ada", "correct horse battery", ["read"])
    first = accounts.sign_in("ada", "correct horse battery")
    second = accounts.sign_in("ada", "correct horse battery")
    accounts.end_session(first)
    assert accounts.session(first) is None
    assert accounts.session(second) == Identity("ada", "session", ("read",))
    accounts.set_password("ada", "another good phrase")
    assert accounts.session(second) is None
    assert accounts.sign_in("ada", "correct horse battery") is None
    third = accounts.sign_in("ada", "another good phrase")
    clock.pass_by(31 * 24 * 3600 * 1000)
    assert accounts.session(third) is None


def test_nobody_signs_in_as_somebody_who_is_not_there(accounts):
    assert accounts.sign_in("nobody", "correct horse battery") is None
    accounts.add_user("ada", "correct horse battery")
    accounts.remove_user("ada")
    assert accounts.sign_in("ada", "correct horse battery") is None


def test_a_short_password_is_refused(accounts):
    with pytest.raises(Invalid, match="at least 10"):
        accounts.add_user("ada", "short")


@pytest.mark.parametrize(
    ("scopes", "may", "may_not"),
    [
        (("read",), ["read"], ["operate", "admin", "ingest"]),
        (("operate",), ["read", "operate"], ["admin", "ingest"]),
        (("admin",), ["read", "operate", "admin", "ingest"], []),
        (("ingest",), ["ingest"], ["read", "operate", "admin"]),
    ],
)
def test_scopes_include_the_ones_below_and_nothing_else(scopes, may, may_not):
    identity = Identity("x", "token", scopes)
    assert all(identity.may(scope, "tank-1") for scope in may)
    assert not any(identity.may(scope, "tank-1") for scope in may_not)


def test_a_board_may_publish_as_itself_only():
    board = Identity("x", "token", ("ingest:tank-1",))
    assert board.may("ingest", "tank-1")
    assert not board.may("ingest", "tank-2")
