"""What the documents name exists: pages, headings, commands, make targets, variables, modules."""

import re
import shlex
import tomllib
from collections import Counter
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from smtp_oauth_relay import __version__, cli
from smtp_oauth_relay.commands import exits
from smtp_oauth_relay.configuration.settings import Settings

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/smtp_oauth_relay"
FOLDERS = ("docs", "deploy")
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [
        *ROOT.glob("*.md"),
        *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md")),
    ]
}
WITH_TESTS_OF_THEIR_OWN = {"docs/configuration.md", "docs/replies.md"}
FENCED = re.compile(r"^ *```\w*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PLACEHOLDERS = {
    *("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET", "SHORT_USER_NAME"),
    *("OBJECT_ID", "KEY_ID", "NAME_FILE"),
}
OF_OTHER_PROGRAMS = {
    *("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "NO_COLOR"),
    *("SSLV3_ALERT_CERTIFICATE_EXPIRED", "TLSV1_ALERT_UNKNOWN_CA"),
    *("VERIFY_X509_STRICT", "PIPX_HOME", "PIPX_BIN_DIR"),
    *("RELAY_NAME", "ACME_EMAIL"),  # of deploy/compose.yaml
    *("CAP_NET_BIND_SERVICE", "SASL_README"),  # systemd, Postfix
    *("RELAY_SECRET", "SMTP_ADDR", "SMTP_PORT"),  # the recipes for WordPress and Gitea
    *("FUZZ_LINES", "FUZZ_SEED"),
    "TLS1_2",  # az's word
    *("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"),  # of azure-identity
}
EXIT_STATUSES = {name for name in vars(exits) if name.startswith("EX_")}


def prose(text: str) -> str:
    """Return a page without what it shows as code."""
    return SPAN.sub("", FENCED.sub("", text))


def code(text: str) -> str:
    """Return what a page shows as code, with lines that go on joined."""
    pieces = [*FENCED.findall(text), *SPAN.findall(FENCED.sub("", text))]
    return re.sub(r"[\\`]\n\s*", " ", "\n".join(pieces))


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    names: list[str] = []
    seen: Counter[str] = Counter()
    for heading in re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", LINK.sub("", heading).lower()).replace(" ", "-")
        names.append(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return set(names)


def dead_links(page: str) -> list[str]:
    """Return the links of a page that lead nowhere in the repository."""
    dead = []
    for link in LINK.findall(FENCED.sub("", PAGES[page])):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (ROOT / page).parent / unquote(path) if path else ROOT / page
        name = target.resolve().relative_to(ROOT).as_posix()
        if not target.exists() or (anchor and anchor not in anchors(PAGES[name])):
            dead.append(link)
    return dead


def command_lines(text: str) -> list[str]:
    """Return what follows `smtp-oauth-relay`, the command or the image, in a page's code."""
    typed = re.sub(r'cure="[^"]*"', "", code(text))
    return re.findall(r"(?:^|[ /])smtp-oauth-relay +([a-z-][^\n|]*)$", typed, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Who follows a link in the middle of a fault should not meet another one."""
    assert dead_links(page) == []


@pytest.mark.parametrize("page", PAGES)
def test_links_to_others_are_well_formed(page: str) -> None:
    """Nobody looks at them for years: at least none was cut off, or leads to somebody's machine."""
    text = FENCED.sub("", PAGES[page])
    links = [*LINK.findall(text), *re.findall(r"<([a-z]+:[^>\s]+)>", text)]

    outside = [link for link in links if re.match(r"[a-z]+:", link)]

    host = r"(?!localhost|\d+\.\d)[\w-]+(\.[\w-]+)+"
    form = rf"https?://{host}(/[\w./~%@!$&'*+,;=:-]*)?(\?[^\s#]+)?(#[\w./%-]+)?"
    assert [link for link in outside if not re.fullmatch(form, link)] == []


@pytest.mark.parametrize("page", PAGES)
def test_files_of_ours_that_others_fetch_exist(page: str) -> None:
    """The portal shows an empty form where the template is missing; GitHub says 404."""
    ours = re.escape(PROJECT["project"]["urls"]["Homepage"].removeprefix("https://github.com/"))
    text = unquote(PAGES[page])
    raw = re.findall(rf"raw\.githubusercontent\.com/{ours}/main/([\w./-]+?\.json)", text)
    seen = re.findall(rf"github\.com/{ours}/(?:blob|tree)/main/([\w./-]+\w)", text)

    assert [path for path in (*raw, *seen) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES)
def test_what_make_is_told_it_can_make(page: str) -> None:
    """The first command that a newcomer types must work."""
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))

    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", code(PAGES[page])))

    assert named <= targets


@pytest.mark.parametrize(
    "line", sorted({line for text in PAGES.values() for line in command_lines(text)})
)
def test_commands_and_their_options_exist(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that was copied from a page must not end in a usage message."""
    words = shlex.split(line)
    command: list[str] = []
    while words[len(command) :] and re.fullmatch("[a-z][a-z-]*", words[len(command)]):
        command.append(words[len(command)])
    options = {word.partition("=")[0] for word in words if word.startswith("--")}

    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--help"])

    assert ended.value.code == 0
    assert options <= set(re.findall(r"--[a-z-]+", capsys.readouterr().out))


@pytest.mark.parametrize("page", sorted(PAGES.keys() - WITH_TESTS_OF_THEIR_OWN))
def test_variables_are_settings(page: str) -> None:
    """A setting that does not exist would be set, and have no effect."""
    settings = {name.upper() for name in Settings.model_fields}
    named = set(re.findall(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b", PAGES[page]))

    unknown = {name for name in named if name.removesuffix("_FILE") not in settings}

    assert unknown - OF_OTHER_PROGRAMS - PLACEHOLDERS - EXIT_STATUSES == set()


@pytest.mark.parametrize("page", PAGES)
def test_modules_that_are_named_exist(page: str) -> None:
    """Who is sent to a module must find it."""
    files = [f"/{path.relative_to(ROOT).as_posix()}" for path in ROOT.glob("[bst]*/**/*.py")]

    named = set(re.findall(r"[\w/]+\.py\b", PAGES[page]))

    assert {name for name in named if not any(f.endswith(f"/{name}") for f in files)} == set()


def test_the_architecture_names_every_module_in_use() -> None:
    """A newcomer reads `ls` beside the page, and can say where each step lives."""
    files = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    sources = "\n".join(path.read_text(encoding="utf-8") for path in files)
    imports = "\n".join(re.findall(r"^ *from smtp_oauth_relay.*", sources, re.MULTILINE))
    in_use = {
        path.name
        for path in files
        if path.parent.name != "sandbox" and re.search(rf"\b{path.stem}\b", imports)
    }

    named = set(re.findall(r"\w+\.py\b", PAGES["docs/architecture.md"]))

    assert in_use - named == set()


def test_every_decision_stands_in_the_index() -> None:
    """A decision that nobody finds is made again."""
    pages = {path.name for path in (ROOT / "docs/decisions").glob("[0-9]*.md")}
    numbers = {int(name[:4]) for name in pages}

    listed = LINK.findall(PAGES["docs/decisions/README.md"])

    assert listed == sorted(pages)
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("name", [*PAGES, "Dockerfile"])
def test_the_project_and_its_image_are_named_as_in_pyproject(name: str) -> None:
    """An image of another name is another project's."""
    text = (ROOT / name).read_text(encoding="utf-8")
    image = PROJECT["tool"]["smtp-oauth-relay"]["image"]
    home = PROJECT["project"]["urls"]["Homepage"]

    images = set(re.findall(r"ghcr\.io/[\w./-]*\w", text))
    homes = set(re.findall(r"https://github\.com/\w+/smtp-oauth-relay", text))

    assert images <= {image}
    assert homes <= {home}


def test_the_version_of_the_program_stands_in_the_changelog() -> None:
    """Who reads `--version` looks up what it has."""
    assert f"## [{__version__}]" in PAGES["CHANGELOG.md"]


def test_the_sequence_diagram_stands_by_itself() -> None:
    """Pages show it as an image: it may fetch nothing, and brings its own paper, light and dark."""
    text = (ROOT / "docs/images/sequenceDiagram.svg").read_text(encoding="utf-8")
    picture = ElementTree.fromstring(text)  # noqa: S314 - our own file
    size = picture.attrib["viewBox"].split()[2:]
    first_shape = next(picture.iter("{http://www.w3.org/2000/svg}rect"))

    assert "@media (prefers-color-scheme: dark)" in text
    assert {
        name for name in re.findall(r"[\w/]+\.py", text) if not list(PACKAGE.rglob(name))
    } == set()
    assert not re.findall(r"href|@import|<script|<image|url\((?!#)", text)
    assert [first_shape.attrib["width"], first_shape.attrib["height"]] == size
