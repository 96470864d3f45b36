"""What `check` finds reads well, and can be read by a script."""

from smtp_oauth_relay.checks.findings import document, fail, ok, warn


def test_a_finding_is_one_line_and_its_next_step() -> None:
    """State first, because that is what the eye looks for."""
    lines = [str(ok("port", "free")), str(fail("certificate", "expired", "Renew it."))]

    assert lines == [
        "OK    port         free",
        "FAIL  certificate  expired\n                   -> Renew it.",
    ]


def test_findings_are_counted_for_scripts() -> None:
    """A script looks at one number, and at the names of what it knows."""
    findings = [ok("port", "free"), warn("clock", "late", "Set it."), fail("login", "no", "Do.")]

    assert document(findings) == {
        "failed": 1,
        "warned": 1,
        "findings": [
            {"check": "port", "state": "OK", "text": "free", "cure": ""},
            {"check": "clock", "state": "WARN", "text": "late", "cure": "Set it."},
            {"check": "login", "state": "FAIL", "text": "no", "cure": "Do."},
        ],
    }
