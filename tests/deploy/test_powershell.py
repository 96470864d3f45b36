"""The PowerShell script and the commands of the pages: grammar, parameters, and that they agree."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import tree_sitter_powershell
from tree_sitter import Language, Node, Parser

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts/New-RelayApp.ps1"
PAGES = {
    page: (ROOT / page).read_text(encoding="utf-8") for page in ("docs/azure-setup.md", "README.md")
}
PARSER = Parser(Language(tree_sitter_powershell.language()))
COMMON = {"-confirm", "-erroraction", "-whatif"}
# As the reference of Microsoft's modules has them (ExchangeOnlineManagement 3, Microsoft.Graph 2).
PARAMETERS = {
    "Add-MgApplicationPassword": {"-ApplicationId", "-PasswordCredential"},
    "Connect-ExchangeOnline": {"-ShowBanner"},
    "Connect-MgGraph": {"-Scopes", "-NoWelcome"},
    "Get-Group": set(),
    "Get-Mailbox": {"-Identity", "-Filter", "-ResultSize"},
    "Get-ManagementRoleAssignment": {"-Identity", "-RoleAssignee"},
    "Get-ManagementScope": {"-Identity"},
    "Get-MgApplication": {"-Filter", "-All"},
    "Get-MgContext": set(),
    "Get-MgServicePrincipal": {"-Filter", "-All"},
    "Get-ServicePrincipal": {"-Identity"},
    "New-ManagementRoleAssignment": {"-Name", "-App", "-Role", "-CustomResourceScope"},
    "New-ManagementScope": {"-Name", "-RecipientRestrictionFilter"},
    "New-MgApplication": {"-DisplayName", "-SignInAudience"},
    "New-MgServicePrincipal": {"-AppId"},
    "New-ServicePrincipal": {"-AppId", "-ObjectId", "-DisplayName"},
    "Remove-ManagementRoleAssignment": {"-Identity"},
    "Remove-ManagementScope": {"-Identity"},
    "Remove-MgApplication": {"-ApplicationId"},
    "Remove-MgApplicationPassword": {"-ApplicationId", "-KeyId"},
    "Remove-ServicePrincipal": {"-Identity"},
    "Set-Mailbox": {"-Identity", "-CustomAttribute"},  # the grammar reads the digits apart
    "Test-ServicePrincipalAuthorization": {"-Identity", "-Resource"},
}


def nodes(source: str) -> Iterator[Node]:
    """Yield every node of the syntax tree of a script."""
    waiting = [PARSER.parse(source.encode()).root_node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.children)


def commands(source: str) -> list[tuple[str, set[str]]]:
    """Return the commands of a script with the parameters they are given."""
    return [
        (
            text(node.child_by_field_name("command_name")),
            {
                text(part).partition(":")[0]
                for element in node.children
                for part in element.children
                if part.type == "command_parameter"
            },
        )
        for node in nodes(source)
        if node.type == "command"
    ]


def text(node: Node | None) -> str:
    """Return what stands in the script for a node."""
    return node.text.decode() if node and node.text else ""


def blocks(page: str) -> str:
    """Return the PowerShell of a page."""
    found = re.findall(r"^ *```powershell\n(.*?)^ *```$", PAGES[page], re.DOTALL | re.MULTILINE)
    return "\n".join(found)


SOURCES = {
    SCRIPT.name: SCRIPT.read_text(encoding="utf-8"),
    **{page: blocks(page) for page in PAGES},
}


def test_the_script_is_powershell() -> None:
    """A parenthesis too few is found by whoever runs it first."""
    wrong = [
        (node.start_point.row + 1, text(node)[:60])
        for node in nodes(SOURCES[SCRIPT.name])
        if node.type == "ERROR" or node.is_missing
    ]

    assert wrong == []


@pytest.mark.parametrize("source", SOURCES)
def test_cmdlets_have_the_parameters_they_are_given(source: str) -> None:
    """A misspelt parameter stops the set-up half way."""
    own = set(re.findall(r"^function ([\w-]+)", SOURCES[source], re.MULTILINE))
    microsoft = [
        (name, given)
        for name, given in commands(SOURCES[source])
        if re.match(r"\w+-(Mg|Man|Mail|Serv)", name) and name not in own
    ]

    assert microsoft or source == "README.md"  # which only calls the script
    for name, given in microsoft:
        known = {each.lower() for each in PARAMETERS[name]} | COMMON
        assert {each.lower() for each in given} <= known, name


def test_the_pages_call_the_script_as_it_is() -> None:
    """Options and sets of options that are documented exist; what exists is documented."""
    script = SOURCES[SCRIPT.name]
    declared = set(re.findall(r"^    \[[\w\[\]]+\] \$(\w+)", script, re.MULTILINE))
    described = set(re.findall(r"^\.PARAMETER (\w+)", script, re.MULTILINE))
    calls = "\n".join(
        re.findall(r"New-RelayApp\.ps1 ([^`|\n]*)", "\n".join(PAGES.values()) + script)
    )

    used = set(re.findall(r"(?<!\S)-(\w+)", calls))

    assert declared == described
    assert used <= declared
    assert {"Name", "Mailbox", "RenewSecret", "RemoveSecret", "Remove"} <= used


def test_script_and_page_make_the_same() -> None:
    """Who begins with the script can go on with the page, and the other way round."""
    page, script = blocks("docs/azure-setup.md"), SOURCES[SCRIPT.name]
    made = {name for name, _ in commands(page) if re.match("(New|Set|Remove|Test)-", name)}

    assert made <= {name for name, _ in commands(script)}
    for word in ("Application Mail.Send", "CustomAttribute1", "RecipientRestrictionFilter"):
        assert word in page
        assert word in script
    assert '"smtp-relay Application Mail.Send"' in page  # the script's "$Name $role"
    assert "Application Mail.ReadWrite" in PAGES["docs/azure-setup.md"]


def test_the_secret_is_shown_and_kept_nowhere() -> None:
    """The script writes no file and no transcript; the secret is on the screen once."""
    script = SOURCES[SCRIPT.name]
    names = {name for name, _ in commands(script)}

    assert script.count("SecretText") == 1
    assert not {name for name in names if re.search("File|Content|Csv|Transcript|Clipboard", name)}
