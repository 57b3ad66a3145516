from __future__ import annotations

from pathlib import Path

import pytest

from edge_agent.errors import Invalid
from edge_agent.settings import effective, load, reference


def write(folder: Path, text: str) -> Path:
    file = folder / "edge.toml"
    file.write_text(text)
    return file


def faults(path: Path | None, env: dict[str, str] | None = None, **overrides: object) -> list[str]:
    with pytest.raises(Invalid) as caught:
        load(path, env or {}, overrides)
    return [str(fault) for fault in caught.value.faults]


def test_without_a_file_every_setting_has_its_default_and_says_so() -> None:
    loaded = load(None, {}, {})
    assert loaded.settings.mqtt.port == 1883
    assert set(loaded.provenance.values()) == {"default"}


def test_later_sources_win_and_each_value_says_where_it_came_from(tmp_path: Path) -> None:
    file = write(tmp_path, '[mqtt]\nhost = "a"\nport = 1\n\n[web]\nport = 2\n')
    loaded = load(file, {"EDGE_MQTT__PORT": "10", "EDGE_WEB__PORT": "20"}, {"web.port": 200, "mqtt.host": None})
    assert (loaded.settings.mqtt.host, loaded.settings.mqtt.port, loaded.settings.web.port) == ("a", 10, 200)
    said = {key: source for key, _, source in effective(loaded)}
    assert said["mqtt.host"] == f"{file}:2"
    assert said["mqtt.port"] == "environment EDGE_MQTT__PORT"
    assert said["web.port"] == "option"


def test_every_fault_of_every_source_is_told_at_once_with_its_line_and_the_nearest_name(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        '[mqtt]\nprotokol = "5"\ndialects = [\n  "native", # ] not the end\n]\nport = "many"\n'
        '[jurnal]\nlinger = 1\n[journal]\nlinger = "5x"\n',
    )
    assert faults(file, {"EDGE_WEB__PROT": "1", "EDGE_WEB__STREAMS": "0"}) == [
        f"{file}:2:1: mqtt.protokol: is not known (did you mean protocol?)",
        f"{file}:6:1: mqtt.port: must be a whole number (it is 'many')",
        f"{file}:7:2: jurnal: is not known (did you mean journal?)",
        f"{file}:10:1: journal.linger: '5x' is no duration (write a number and a unit, as in 30s, 5m, 6h or 2d)",
        "environment: EDGE_WEB__PROT: is not a setting (did you mean EDGE_WEB__PORT?)",
        "environment EDGE_WEB__STREAMS: web.streams: must be greater than or equal to 1 (it is '0')",
    ]


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("[mqtt]\nport = \n", 2, 8),
        ("[mqtt]\nport = 1\nport = 2\n", 3, 9),
        ('[mqtt]\nhost = "open\n', 2, 13),
        ("[mqtt\n", 1, 6),
    ],
)
def test_broken_toml_is_told_by_line_and_column(tmp_path: Path, text: str, line: int, column: int) -> None:
    (fault,) = faults(write(tmp_path, text))
    assert f"edge.toml:{line}:{column}: TOML: " in fault


def test_a_file_that_is_not_there_or_not_text_is_a_fault(tmp_path: Path) -> None:
    assert "cannot be read: No such file" in faults(tmp_path / "no.toml")[0]
    (tmp_path / "bad.toml").write_bytes(b"site = '\xff'")
    assert "is not UTF-8" in faults(tmp_path / "bad.toml")[0]


def test_keys_inside_multi_line_strings_and_arrays_are_not_taken_for_settings(tmp_path: Path) -> None:
    file = write(tmp_path, "[mqtt]\nusername = '''\nport = 9\n[web]\n'''\nclient_id = 7\n")
    assert [f.partition("edge.toml:")[2] for f in faults(file)] == ["6:1: mqtt.client_id: must be text (it is 7)"]


def test_durations_and_sizes_are_read_in_everyday_units(tmp_path: Path) -> None:
    file = write(tmp_path, '[journal]\nlinger = "250ms"\nmax_bytes = "2GiB"\nmax_age = "1h30m"\ndrain_every = 5\n')
    journal = load(file, {}, {}).settings.journal
    assert (journal.linger, journal.max_bytes, journal.max_age, journal.drain_every) == (0.25, 2 << 30, 5400, 5)


def test_lists_come_from_the_environment_by_commas() -> None:
    loaded = load(None, {"EDGE_MQTT__DIALECTS": "native, tasmota", "EDGE_SITE": "shed"}, {})
    assert loaded.settings.mqtt.dialects == ("native", "tasmota")
    assert loaded.settings.client_id == "edge-agent-shed"


def test_variables_that_are_not_settings_are_left_alone() -> None:
    assert load(None, {"EDGE_TEST_MONGODB_URI": "x", "EDGECTL_URL": "y", "HOME": "/"}, {}).settings.site == "home"


def test_relative_paths_start_from_the_file_that_names_them(tmp_path: Path) -> None:
    file = write(tmp_path, '[data]\ndir = "state"\n')
    settings = load(file, {}, {}).settings
    assert settings.data.dir == tmp_path / "state"
    assert settings.manifests_dir == tmp_path / "state" / "manifests"
    assert settings.socket == tmp_path / "state" / "agent.sock"


def test_a_secret_comes_from_its_file_and_is_never_shown(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    secret.chmod(0o600)
    loaded = load(write(tmp_path, '[mqtt]\npassword_file = "password"\n'), {}, {})
    assert loaded.settings.mqtt.password.get_secret_value() == "hunter2"
    assert not loaded.warnings
    assert "hunter2" not in repr(loaded) + str(effective(loaded))
    assert ("mqtt.password", "********", f"file {secret}") in effective(loaded)


def test_a_secret_everybody_may_read_is_warned_about_with_the_remedy(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2")
    secret.chmod(0o644)
    assert load(None, {"EDGE_MQTT__PASSWORD_FILE": str(secret)}, {}).warnings == (
        f"{secret} can be read by everybody on this machine: chmod 600 {secret}",
    )


def test_a_secret_that_cannot_be_read_is_a_fault_with_the_reason(tmp_path: Path) -> None:
    (fault,) = faults(None, {"EDGE_MQTT__PASSWORD_FILE": str(tmp_path)})
    assert f"mqtt.password_file: {tmp_path} cannot be read: Is a directory" in fault


def test_a_secret_given_twice_missing_or_empty_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    both = write(tmp_path, '[mqtt]\npassword = "a"\npassword_file = "empty"\n[history]\npassword_file = "no"\n')
    first, second = faults(both)
    assert first.endswith(":3:1: mqtt.password_file: and password are both set (keep the file, remove the other)")
    assert "history.password_file" in second
    assert "No such file" in second
    assert "is empty" in faults(None, {"EDGE_MQTT__PASSWORD_FILE": str(tmp_path / "empty")})[0]


def test_a_password_inside_an_address_is_masked() -> None:
    shown = effective(load(None, {"EDGE_HISTORY__URL": "mongodb://me:hunter2@db:27017/edge"}, {}))
    assert ("history.url", "mongodb://me:********@db:27017/edge", "environment EDGE_HISTORY__URL") in shown


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[web]\ntls_cert = "a.pem"\n', "tls_cert and tls_key go together"),
        ('[history]\nurl = "postgres://x"\n', "neither sqlite nor mongodb"),
        ("mqtt = 5\n", "mqtt: must be a table"),
        ('site = "My House"\n', "site: "),
        ("[data]\ndir = 3\n", "data.dir: must be a path"),
        ('[mqtt]\nprotocol = "4"\n', "'4' is not one of 5 or 3.1.1"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: str, says: str) -> None:
    (fault,) = faults(write(tmp_path, text))
    assert says in fault


def test_every_setting_is_explained() -> None:
    for setting in reference():
        assert len(setting.text) > 20, setting.key
        assert setting.text.endswith("."), setting.key


def test_settings_cannot_be_changed_after_loading() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load(None, {}, {}).settings.mqtt.port = 1  # type: ignore[misc]


def test_a_table_within_a_table_is_told_by_its_own_lines(tmp_path: Path) -> None:
    file = write(
        tmp_path, '[functions]\ntimeout = "5s"\n[functions.starts]\nburst = 0\nhott = 70\nmemory_reserve = "1x"\n'
    )
    assert [fault.partition(": must")[0].partition(": '1x'")[0] for fault in faults(file)] == [
        f"{file}:4:1: functions.starts.burst",
        f"{file}:5:1: functions.starts.hott: is not known (did you mean hot?)",
        f"{file}:6:1: functions.starts.memory_reserve",
    ]
    good = load(write(tmp_path, '[functions.starts]\nmemory_reserve = "64Mi"\n'), {}, {})
    assert good.settings.functions.starts.memory_reserve == 64 * 1024 * 1024
    assert ("functions.starts.memory_reserve", "64 MiB", f"{file}:2") in effective(good)
