"""Reading the configuration; what each wrong value says is in `tests/settings/`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from smtp_oauth_relay.configuration import reading, values
from smtp_oauth_relay.configuration.checks import cautions
from smtp_oauth_relay.configuration.reading import effective, load, warnings
from smtp_oauth_relay.configuration.settings import Settings
from smtp_oauth_relay.configuration.values import ListenAddress
from smtp_oauth_relay.errors import SettingsError
from smtp_oauth_relay.model import Secret

VARIABLES = [name.upper() for name in Settings.model_fields]
ORDINARY = """
    ALL_PROXY AZURE_CLIENT_ID AZURE_CLIENT_SECRET AZURE_FEDERATED_TOKEN_FILE AZURE_TENANT_ID
    CONTAINER_APP_HOSTNAME CONTAINER_APP_NAME CREDENTIALS_DIRECTORY CURL_CA_BUNDLE
    DBUS_SESSION_BUS_ADDRESS DEBIAN_FRONTEND EDITOR GPG_KEY HOME HOSTNAME HTTPS_PROXY HTTP_PROXY
    HTTP_TIMEOUT IDENTITY_ENDPOINT IDENTITY_HEADER INVOCATION_ID JOURNAL_STREAM
    KUBERNETES_PORT_443_TCP_ADDR KUBERNETES_SERVICE_HOST LANG LANGUAGE LC_ALL LISTEN_FDNAMES
    LISTEN_FDS LISTEN_PID LOGNAME LOGS_DIRECTORY LOG_DIR LOG_FILE LOG_PATH LS_COLORS MAIL
    MAINPID MEMORY_PRESSURE_WATCH MSI_ENDPOINT NOTIFY_SOCKET NO_COLOR NO_PROXY OLDPWD PATH PWD
    PYTHONUNBUFFERED PYTHON_SHA256 PYTHON_VERSION REMOTE_HOST REQUESTS_CA_BUNDLE
    SERVER_ADDR SERVER_PORT SERVER_PROTOCOL SERVER_SOFTWARE SHELL SHLVL SMTP_HOST SMTP_PASSWORD
    SMTP_PORT SMTP_PORT_8025_TCP SMTP_SERVER SMTP_SERVICE_HOST SMTP_SERVICE_PORT SMTP_USERNAME
    SSH_AUTH_SOCK SSL_CERT_DIR SSL_CERT_FILE STATE_DIRECTORY SYSTEMD_EXEC_PID TERM TLS_CERT
    TLS_KEY TMPDIR TZ USER USERNAME VIRTUAL_ENV WEBSITE_HOSTNAME XDG_RUNTIME_DIR _ http_proxy
    https_proxy no_proxy
"""


def no_file(path: str) -> str:
    """Read files on a machine that has none."""
    raise FileNotFoundError(2, "No such file or directory", path)


def file_of(text: str) -> Callable[[str], str]:
    """Read files on a machine where all say the same."""
    return lambda path: text


def test_without_a_variable_everything_has_its_default() -> None:
    """A relay with a certificate in certs/ needs no setting at all."""
    settings = load({}, no_file)

    assert settings == Settings()
    assert settings.smtp_listen == (ListenAddress("", 8025),)
    assert settings.tls_cert_filepath == Path("certs/cert.pem")
    assert settings.require_tls is True
    assert settings.max_message_size == 2_950_000


def test_the_defaults_can_be_written_out() -> None:
    """What the start-up log shows can be copied into an environment file and means the same."""
    settings = load(effective(Settings()), no_file)

    assert settings == Settings()


@pytest.mark.parametrize("variable", VARIABLES)
@pytest.mark.parametrize("empty", ["", "  ", "\n"])
def test_an_empty_value_counts_as_unset(variable: str, empty: str) -> None:
    """Compose files hand over `${LOG_LEVEL:-}` for what nobody has set."""
    assert load({variable: empty, f"{variable}_FILE": empty}, no_file) == Settings()


def test_spaces_and_line_ends_around_a_value_do_not_count() -> None:
    """An environment file written on Windows ends its lines with a carriage return."""
    settings = load({"REQUIRE_TLS": " false\r", "SMTP_LISTEN": " :25 , :587\r\n"}, no_file)

    assert settings.require_tls is False
    assert settings.smtp_listen == (ListenAddress("", 25), ListenAddress("", 587))


@pytest.mark.parametrize(
    ("text", "meaning"),
    [(text, True) for text in ("true", "TRUE", "1", "yes", "Yes", "on")]
    + [(text, False) for text in ("false", "False", "0", "no", "NO", "off")],
)
def test_a_boolean_is_what_it_says(text: str, meaning: bool) -> None:
    """The word false must not switch something on, as it once did in another relay."""
    assert load({"REQUIRE_TLS": text}, no_file).require_tls is meaning


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("2950000", 2_950_000),
        ("2950K", 2_950_000),
        ("2.95M", 2_950_000),
        ("3m", 3_000_000),
        ("0.001G", 1_000_000),
        ("1k", 1000),
    ],
)
def test_a_size_may_have_a_suffix(text: str, octets: int) -> None:
    """Nobody counts zeros."""
    assert load({"MAX_MESSAGE_SIZE": text}, no_file).max_message_size == octets


@pytest.mark.parametrize(
    "text",
    [
        "999",
        "150000001",
        "3.0000001M",
        "1.5",
        "1.0005K",
        "2MB",
        "2MiB",
        "M",
        "-1K",
        "1e6",
        "\u0663M",
    ],
)
def test_a_size_is_a_whole_number_of_octets_within_bounds(text: str) -> None:
    """What Graph would refuse is refused at the start, and not after an upload."""
    with pytest.raises(SettingsError, match="must be a size in octets from 1000 to 150000000"):
        load({"MAX_MESSAGE_SIZE": text}, no_file)


@pytest.mark.parametrize("large", ["3000001", "35M", "150M"])
def test_what_needs_an_upload_is_allowed_with_uploads_only(large: str) -> None:
    """SIZE announces nothing that Graph would refuse."""
    uploading = load({"MAX_MESSAGE_SIZE": large, "LARGE_MESSAGES": "upload"}, no_file)

    assert uploading.max_message_size > 3_000_000
    with pytest.raises(SettingsError, match="more than 3000000, all that fits into one request"):
        load({"MAX_MESSAGE_SIZE": large}, no_file)


def test_uploads_change_the_defaults_that_would_be_too_small() -> None:
    """One setting is enough to send large mail."""
    settings = load({"LARGE_MESSAGES": "upload"}, no_file)

    assert (settings.max_message_size, settings.drain_timeout) == (35_000_000, 315)
    assert settings.uploads


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        (":8025", [("", 8025)]),
        ("127.0.0.1:0,[::1]:0", [("127.0.0.1", 0), ("::1", 0)]),
        ("[2001:DB8:0::1]:25", [("2001:db8::1", 25)]),
        ("Mail-1.example:587", [("mail-1.example", 587)]),
        (":0,:0", [("", 0), ("", 0)]),
    ],
)
def test_a_listener_has_a_host_and_a_port(text: str, addresses: list[tuple[str, int]]) -> None:
    """The relay listens where it was told to, and nowhere else."""
    settings = load({"SMTP_LISTEN": text}, no_file)

    assert settings.smtp_listen == tuple(ListenAddress(*address) for address in addresses)


@pytest.mark.parametrize(
    "text",
    [
        "8025",
        "::1:8025",
        "[::1]",
        "[::1]8025",
        ":65536",
        ":-1",
        ":smtp",
        "1.2.3:25",
        "[1.2.3.4]x:5",
        ":8025,",
        "a b:25",
        "*:25",
        ":\u0662\u0665",
        "[fe80::1%eth0]:25",
        ":25,:25",
        "a:25,A:25",
    ],
)
def test_what_is_no_listener_is_refused(text: str) -> None:
    """A slip of the pen must not open a port somewhere else."""
    with pytest.raises(SettingsError, match="SMTP_LISTEN is "):
        load({"SMTP_LISTEN": text}, no_file)


@pytest.mark.parametrize("text", [":8025", "127.0.0.1:25", "[::1]:25", "localhost:587"])
def test_a_listener_is_shown_as_it_was_written(text: str) -> None:
    """The start-up log shows an address that can be copied."""
    assert effective(load({"SMTP_LISTEN": text}, no_file))["SMTP_LISTEN"] == text


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://graph.microsoft.us", "https://graph.microsoft.us"),
        ("https://Graph.Microsoft.US/", "https://graph.microsoft.us"),
        ("https://localhost:8443", "https://localhost:8443"),
        ("https://[::1]:8443/", "https://[::1]:8443"),
    ],
)
def test_an_endpoint_is_a_host(text: str, url: str) -> None:
    """Azure sets AZURE_AUTHORITY_HOST with a slash at its end."""
    assert load({"GRAPH_ENDPOINT": text}, no_file).graph_endpoint == url


@pytest.mark.parametrize(
    "text",
    [
        "graph.microsoft.com",
        "http://graph.microsoft.com",
        "https://",
        "https:///",
        "https://a:0",
        "https://a..b",
        "https://[:::]",
        "https://[127.0.0.1]",
        "https://a:65536",
        "https://a:x",
        "https://a/v1.0",
        "https://a?b",
        "https://a#b",
        "https://user@a",
        "https://user:password@a",
        "https://a b",
        "https://a\\b",
        "https://a//",
        "https://\u212alm.example",
    ],
)
def test_an_endpoint_is_nothing_but_a_host(text: str) -> None:
    """Secrets and mail go there: over TLS, and to exactly the host that was named."""
    with pytest.raises(SettingsError, match="must be https:// and a host"):
        load({"GRAPH_ENDPOINT": text}, no_file)


@pytest.mark.parametrize(
    "text", ["0", "0.0", "-1", "61", "60.001", "1e1", "inf", "nan", "1,5", "1_0"]
)
def test_a_time_is_above_zero_and_bounded(text: str) -> None:
    """A wait without an end would hold a device's connection for ever."""
    with pytest.raises(SettingsError, match="seconds above 0 and up to 60, such as 30"):
        load({"ENTRA_HTTP_TIMEOUT": text}, no_file)


def test_a_time_may_be_a_part_of_a_second() -> None:
    """Short waits are for trying things out."""
    assert load({"ENTRA_HTTP_TIMEOUT": "0.25"}, no_file).entra_http_timeout == 0.25


@pytest.mark.parametrize("text", ["0", "1001", "5.0", "+5", "1_0", "5 0", "\u0665", "9" * 5000])
def test_a_number_is_whole_and_bounded(text: str) -> None:
    """What a person would not read as a number is none."""
    with pytest.raises(SettingsError, match="must be a whole number from 1 to 1000"):
        load({"MAX_RECIPIENTS": text}, no_file)


def test_words_are_read_in_any_case() -> None:
    """`info` and `INFO` mean the same."""
    settings = load({"LOG_LEVEL": "debug", "LOG_FORMAT": "JSON", "TLS_SOURCE": "File"}, no_file)

    assert (settings.log_level, settings.log_format) == ("DEBUG", "json")
    assert settings.tls_source == "file"


@pytest.mark.parametrize("delimiter", ["@", ":", "|"])
def test_the_delimiter_is_one_of_three(delimiter: str) -> None:
    """Some devices want a user name without an @."""
    assert load({"USERNAME_DELIMITER": delimiter}, no_file).username_delimiter == delimiter


@pytest.mark.parametrize("text", ["a\r\nb", "a\x00b", "ä", "x" * 201])
def test_the_greeting_is_one_line_of_ascii(text: str) -> None:
    """A second line in the banner would be read as a reply to the first command."""
    with pytest.raises(SettingsError, match="printable ASCII"):
        load({"SERVER_GREETING": text}, no_file)


def test_tls_can_be_off_when_nobody_requires_it() -> None:
    """Behind a proxy that ends TLS the relay needs none, but somebody must have said so."""
    settings = load({"TLS_SOURCE": "off", "REQUIRE_TLS": "false"}, no_file)

    assert (settings.tls_source, settings.require_tls) == ("off", False)


def test_a_conflict_is_not_reported_about_a_value_that_is_wrong_itself() -> None:
    """One slip is one sentence: the default that stands in for a wrong value is nobody's fault."""
    with pytest.raises(SettingsError) as caught:
        load({"TLS_SOURCE": "off", "REQUIRE_TLS": "flase"}, no_file)

    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith("REQUIRE_TLS is 'flase'")


@pytest.mark.parametrize("text", ["300", "300\n", "300\r\n", "\ufeff300\n", " 300 \n"])
def test_a_value_can_stand_in_a_file(text: str) -> None:
    """Editors end files with a line end, and some begin them with a byte order mark."""
    settings = load({"MAX_RECIPIENTS_FILE": "/run/secrets/recipients"}, file_of(text))

    assert settings.max_recipients == 300


def test_what_stands_in_a_file_is_never_shown() -> None:
    """A wrong path may lead to a password."""
    with pytest.raises(SettingsError) as caught:
        load({"LOG_LEVEL_FILE": "/run/secrets/db"}, file_of("hunter2"))

    assert "hunter2" not in str(caught.value)
    assert "/run/secrets/db" in str(caught.value)


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (OSError(), "OSError"),
        (ValueError("embedded null byte"), "it is no file of UTF-8 text"),
        (UnicodeDecodeError("utf-8", b"hunter2\xff", 7, 8, "bad"), "it is no file of UTF-8 text"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(error: Exception, why: str) -> None:
    """A secret that was not mounted, or not for this user, is found at the start."""

    def read_file(path: str) -> str:
        raise error

    with pytest.raises(SettingsError) as caught:
        load({"LOG_LEVEL_FILE": "/run/level"}, read_file)

    assert caught.value.problems[0].startswith(
        f"LOG_LEVEL_FILE names the file '/run/level', which cannot be used: {why}."
    )


def test_a_long_wrong_value_is_cut() -> None:
    """A certificate pasted into the wrong variable does not fill the screen."""
    with pytest.raises(SettingsError) as caught:
        load({"LOG_LEVEL": "x" * 5000}, no_file)

    assert f"LOG_LEVEL is '{'x' * 100}'…, but must be" in str(caught.value)
    assert len(str(caught.value)) < 300


class WithSecrets(Settings):
    """A configuration with settings that nobody may see."""

    status_token: Annotated[
        Secret | None, values.reads(lambda text: Secret(text)), Field(description="who may look")
    ] = None
    pin: Annotated[Secret, values.text_of("[0-9]{4}", "four digits")] = Secret("0000")


def test_a_secret_is_masked_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The start-up log and an error report can be sent to somebody."""
    monkeypatch.setattr(reading, "Settings", WithSecrets)

    settings = load({"STATUS_TOKEN": " canary "}, no_file)

    assert isinstance(settings, WithSecrets)
    assert settings.status_token == Secret(" canary ")
    assert effective(settings)["STATUS_TOKEN"] == "[secret]"
    assert "canary" not in repr(settings) + str(settings)


def test_a_wrong_secret_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Almost right is enough for who reads the screen."""
    monkeypatch.setattr(reading, "Settings", WithSecrets)

    with pytest.raises(SettingsError) as caught:
        load({"PIN": "canary"}, no_file)

    assert str(caught.value) == (
        "PIN must be four digits. Correct it, or remove it for the default, [secret]."
    )
    assert caught.value.__context__ is None


def test_the_configuration_cannot_be_changed() -> None:
    """What the start-up log showed is what is in force."""
    settings = Settings()

    with pytest.raises(ValidationError):
        settings.require_tls = False  # type: ignore[misc]


def test_a_configuration_can_be_built_from_values() -> None:
    """The sandbox and the tests write what they mean, without variables."""
    settings = Settings(
        smtp_listen=(ListenAddress("127.0.0.1", 0),), require_tls=False, delivery_deadline=2.5
    )

    assert (settings.smtp_listen[0].port, settings.delivery_deadline) == (0, 2.5)
    with pytest.raises(ValidationError):
        Settings(max_recipients=0)


def test_the_effective_settings_are_texts_for_all() -> None:
    """The start-up log shows each setting as an administrator would write it."""
    shown = effective(load({"DELIVERY_DEADLINE": "45.5", "REQUIRE_TLS": "no"}, no_file))

    assert list(shown) == VARIABLES
    assert (shown["DELIVERY_DEADLINE"], shown["REQUIRE_TLS"]) == ("45.5", "false")
    assert (shown["SERVER_HOSTNAME"], shown["MAX_MESSAGE_SIZE"]) == ("", "2950000")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("TLS_CERT_FILE_PATH", "TLS_CERT_FILEPATH"),
        ("TLS_CERT_FILE", "TLS_CERT_FILEPATH"),
        ("TLS_KEY_FILE", "TLS_KEY_FILEPATH"),
        ("TLS_KEY_PATH", "TLS_KEY_FILEPATH"),
        ("SMTP_LISTENER", "SMTP_LISTEN"),
        ("SMTP_LISTNE", "SMTP_LISTEN"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("log_level", "LOG_LEVEL"),
        ("LOG_ADRESSES", "LOG_ADDRESSES"),
        ("REQUIRES_TLS", "REQUIRE_TLS"),
        ("SERVER_NAME", "SERVER_HOSTNAME"),
        ("GRAPH_TIMEOUT", "GRAPH_HTTP_TIMEOUT"),
        ("MAX_MSG_SIZE", "MAX_MESSAGE_SIZE"),
        ("MAX_SESSIONS_PER_HOST", "MAX_SESSIONS_PER_IP"),
        ("USERNAME_DELIMETER", "USERNAME_DELIMITER"),
        ("TLS_CIPHERS_SUITE", "TLS_CIPHER_SUITE"),
        ("USERNAME_DELIMITER_FILES", "USERNAME_DELIMITER_FILE"),
    ],
)
def test_a_misspelt_setting_is_pointed_out(wrong: str, right: str) -> None:
    """A setting that has no effect looks like a fault of the relay."""
    assert warnings({wrong: "x"}) == (
        f"{wrong} is not a setting of the relay and has no effect; did you mean {right}?",
    )


def test_ordinary_variables_raise_no_alarm() -> None:
    """A warning that is always there is never read."""
    assert warnings(dict.fromkeys(ORDINARY.split(), "x")) == ()


def test_a_setting_or_its_file_is_no_misspelling() -> None:
    """What is right is right."""
    known = VARIABLES + [f"{variable}_FILE" for variable in VARIABLES]

    assert warnings(dict.fromkeys(known, "x")) == ()


@pytest.mark.parametrize(
    ("environ", "beginnings"),
    [
        ({}, []),
        ({"REQUIRE_TLS": "false"}, ["REQUIRE_TLS is false: user names and passwords"]),
        (
            {"DELIVERY_DEADLINE": "90"},
            ["DRAIN_TIMEOUT (75 s) is shorter than DELIVERY_DEADLINE (90"],
        ),
    ],
)
def test_what_is_dangerous_is_said(environ: dict[str, str], beginnings: list[str]) -> None:
    """Who takes a risk sees it at each start."""
    found = cautions(load(environ, no_file))

    assert [sentence[: len(start)] for sentence, start in zip(found, beginnings, strict=True)] == (
        beginnings
    )


def unruly(path: str) -> str:
    """Read files that hold their own name, but for those that cannot be read."""
    if "e" in path:
        raise OSError(5, "Input/output error")
    return path


texts = st.text(st.characters(), max_size=40) | st.text("0123456789.:,[]@KMhtps/- ", max_size=20)


@given(
    st.dictionaries(
        st.sampled_from(VARIABLES + [f"{variable}_FILE" for variable in VARIABLES]), texts
    )
)
@example({"SMTP_LISTEN": "[::1]:\n25"})
@example({"MAX_MESSAGE_SIZE": "\u00b2M"})
@example({"GRAPH_ENDPOINT": "https://[::"})
@example({"LOG_LEVEL": "\ud800"})
def test_any_environment_is_a_configuration_or_a_list_of_problems(
    environ: Mapping[str, str],
) -> None:
    """Whatever an administrator writes, the answer is a sentence and never a traceback."""
    try:
        settings = load(environ, unruly)
    except SettingsError as error:
        problems = error.problems
    else:
        problems = ("none.",)
        assert load(effective(settings), no_file) == settings

    assert problems
    assert all(sentence.isprintable() for sentence in problems)


@given(st.dictionaries(st.text(st.characters()), texts))
def test_any_variables_can_be_looked_through(environ: Mapping[str, str]) -> None:
    """A strange variable of another program does not stop the relay."""
    assert all(sentence.isprintable() for sentence in warnings(environ))
