"""What the Azure templates would make, computed; above all the settings that the relay gets."""

import re
from typing import Any

import pytest

from smtp_oauth_relay.configuration.reading import load
from tests.arm import TEMPLATES, template_of
from tests.arm_evaluation import DEPLOYER, Evaluation

KEY = "-----BEGIN PRIVATE KEY-----\\nAAAA\\n-----END PRIVATE KEY-----"
SUBNET = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/n/subnets/r"


def made(template: str, **given: Any) -> dict[str, list[dict[str, Any]]]:
    """Return the resources that a template makes, by the last part of their type."""
    found: dict[str, list[dict[str, Any]]] = {}
    for resource in Evaluation(template_of(template), given).resources():
        found.setdefault(resource["type"].rpartition("/")[2], []).append(resource)
    return found


def container(template: str, **given: Any) -> dict[str, Any]:
    """Return the container of the relay with its settings as `env`, secret ones in place."""
    resources = made(template, **given)
    if template == "deployment":
        (group,) = resources["containerGroups"]
        found: dict[str, Any] = group["properties"]["containers"][0]["properties"]
        entries = found["environmentVariables"]
        return found | {"env": {e["name"]: e.get("value", e.get("secureValue")) for e in entries}}
    (app,) = resources["containerApps"]
    secrets = {s["name"]: s["value"] for s in app["properties"]["configuration"]["secrets"]}
    (found,) = app["properties"]["template"]["containers"]
    entries = found["env"]
    return found | {
        "env": {e["name"]: e["value"] if "value" in e else secrets[e["secretRef"]] for e in entries}
    }


def no_file(path: str) -> str:
    """The templates name no files."""
    raise FileNotFoundError(path)


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_relay_starts_with_what_the_template_gives_it(template: str) -> None:
    """With nothing filled in, nothing may be wrong, and vault and table are those that are made."""
    environ = container(template)["env"]

    settings = load(environ, no_file)

    assert settings.log_format == "json"
    assert all(environ.values())
    assert environ["TLS_SOURCE"] == "keyvault"
    assert re.fullmatch(
        r"https://[a-z][a-z0-9]{2,23}\.vault\.azure\.net", environ["AZURE_KEY_VAULT_URL"]
    )
    assert re.fullmatch(
        r"https://[a-z0-9]{3,24}\.table\.core\.windows\.net/relay", environ["AZURE_TABLES_URL"]
    )


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_is_filled_in_reaches_the_relay(template: str) -> None:
    """A setting that got lost on the way would look like a fault of the relay."""
    given = {"logLevel": "DEBUG", "maxRecipients": "7", "dkimPrivateKey": KEY}

    environ = container(template, **given)["env"]

    assert environ["LOG_LEVEL"] == "DEBUG"
    assert environ["MAX_RECIPIENTS"] == "7"
    assert environ["DKIM_PRIVATE_KEY"] == KEY


@pytest.mark.parametrize("template", TEMPLATES)
def test_vault_and_table_of_ones_own_are_used(template: str) -> None:
    """Then nothing is made, and no role is granted where the template has no right to."""
    theirs = {
        "keyVault": False,
        "lookupTable": False,
        "azureKeyVaultUrl": "https://own.vault.azure.net",
    }

    resources = made(template, **theirs)
    environ = container(template, **theirs)["env"]

    assert not resources.keys() & {"vaults", "storageAccounts", "tables", "roleAssignments"}
    assert environ["AZURE_KEY_VAULT_URL"] == "https://own.vault.azure.net"
    assert "AZURE_TABLES_URL" not in environ


@pytest.mark.parametrize("template", TEMPLATES)
def test_whoever_deploys_is_the_administrator_unless_somebody_else_is_named(template: str) -> None:
    """Without the role nobody could put the certificate there."""
    for given, expected in (({}, DEPLOYER), ({"administratorObjectId": "another"}, "another")):
        roles = made(template, **given)["roleAssignments"]
        principals = [role["properties"]["principalId"] for role in roles]

        assert sorted(principals) == sorted(["the relay", expected] * 2)
        assert len({role["name"] for role in roles}) == 4


@pytest.mark.parametrize(
    ("given", "address"),
    [({}, "Public"), ({"subnetId": SUBNET}, "Private")],
)
def test_a_container_instance_is_public_or_in_a_subnet(given: dict[str, str], address: str) -> None:
    """A private address has no DNS label, a public one no subnet: Azure refuses the mixture."""
    (group,) = made("deployment", ports=[587, 8025], **given)["containerGroups"]
    properties = group["properties"]

    assert properties["ipAddress"]["type"] == address
    assert (properties["ipAddress"]["dnsNameLabel"] is None) is (address == "Private")
    assert (properties["subnetIds"] is None) is (address == "Public")
    assert [port["port"] for port in properties["ipAddress"]["ports"]] == [587, 8025]


def test_container_apps_get_a_network_and_time_to_drain() -> None:
    """A TCP ingress needs a network; large mail needs longer to end."""
    given = {"largeMessages": "upload", "allowedRanges": ["203.0.113.0/24"]}
    (app,) = made("containerApps")["containerApps"]
    (large,) = made("containerApps", **given)["containerApps"]
    (environment,) = made("containerApps", subnetId=SUBNET)["managedEnvironments"]
    drain = load({"LARGE_MESSAGES": "upload"}, no_file).drain_timeout

    assert "virtualNetworks" in made("containerApps")
    assert "virtualNetworks" not in made("containerApps", subnetId=SUBNET)
    assert environment["properties"]["vnetConfiguration"]["infrastructureSubnetId"] == SUBNET
    assert app["properties"]["template"]["terminationGracePeriodSeconds"] >= 90
    assert large["properties"]["template"]["terminationGracePeriodSeconds"] > drain + 15
    assert large["properties"]["configuration"]["ingress"]["ipSecurityRestrictions"] == [
        {"name": "allow-203-0-113-0-24", "action": "Allow", "ipAddressRange": "203.0.113.0/24"}
    ]
    assert app["properties"]["template"]["scale"]["rules"][0]["tcp"] == {
        "metadata": {"concurrentConnections": "100"}
    }


def test_the_probes_ask_where_the_relay_answers() -> None:
    """A probe on a port where nobody listens restarts a healthy relay for ever."""
    found = container("containerApps")
    asked = {f":{probe['httpGet']['port']}" for probe in found["probes"]}

    assert asked == {found["env"]["STATUS_LISTEN"]}


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_outputs_say_what_comes_next(template: str) -> None:
    """Host for the device, vault for the certificate, table for the names."""
    outputs = Evaluation(template_of(template), {}).outputs()

    assert outputs["host"] == "relay.example"
    assert outputs["keyVaultUrl"].startswith(f"https://{outputs['keyVaultName']}.")
    assert outputs["lookupTableUrl"].endswith("/relay")
    assert outputs["principalId"] == "the relay"
