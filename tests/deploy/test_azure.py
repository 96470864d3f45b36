"""The Azure templates, as far as they can be checked without Azure."""

import json
import re
from pathlib import Path

import pytest

from scripts import templates
from smtp_oauth_relay.configuration.settings import Settings
from tests.arm import TEMPLATES, Call, is_expression, leaves, parse, template_of

ROOT = Path(__file__).parents[2]
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"
# As the reference of the resource types has them; a later one is added after reading its page.
API_VERSIONS = {
    "Microsoft.App/containerApps": "2024-03-01",
    "Microsoft.App/managedEnvironments": "2024-03-01",
    "Microsoft.Authorization/roleAssignments": "2022-04-01",
    "Microsoft.ContainerInstance/containerGroups": "2023-05-01",
    "Microsoft.KeyVault/vaults": "2023-07-01",
    "Microsoft.Network/virtualNetworks": "2024-01-01",
    "Microsoft.OperationalInsights/workspaces": "2023-09-01",
    "Microsoft.Storage/storageAccounts": "2023-05-01",
    "Microsoft.Storage/storageAccounts/tableServices": "2023-05-01",
    "Microsoft.Storage/storageAccounts/tableServices/tables": "2023-05-01",
}
FUNCTIONS = {
    *("concat", "createArray", "createObject", "deployer", "empty", "environment", "equals"),
    *(
        "filter",
        "format",
        "guid",
        "if",
        "json",
        "lambda",
        "lambdaVariables",
        "listKeys",
        "map",
        "not",
    ),
    *("null", "parameters", "reference", "replace", "resourceGroup", "resourceId", "string"),
    *("subscription", "subscriptionResourceId", "take", "toLower", "uniqueString", "variables"),
}
ROLES = {
    "certificateUser": "db79e9a7-68ee-4b58-9aeb-b90e7c24fcba",  # Key Vault Certificate User
    "certificatesOfficer": "a4417e6f-fecd-4de8-b567-7b0420556985",  # Key Vault Certificates Officer
    "tableReader": "76199698-9eea-4c19-bc75-cec21354c6b6",  # Storage Table Data Reader
    "tableContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",  # Storage Table Data Contributor
}


def calls(template: str) -> list[Call]:
    """Return every function call in an ARM template."""
    return [
        call
        for _, value in leaves(template_of(template))
        if is_expression(value)
        for call in parse(value).walk()
    ]


def test_the_files_know_every_setting() -> None:
    """A new setting that no template offers could not be used in Azure: `make templates`."""
    behind = [path.relative_to(ROOT).as_posix() for path in templates.outdated()]

    assert behind == [], "run `make templates`, and commit what it writes"


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_setting_is_a_parameter_and_reaches_the_relay(template: str) -> None:
    """What `settings.py` knows, and nothing else; checked without the script that writes it."""
    content = template_of(template)
    described = {
        parameter["metadata"]["setting"]: (name, parameter["type"])
        for name, parameter in content["parameters"].items()
        if "setting" in parameter["metadata"]
    }
    passed = {
        entry["name"]: entry["value"]
        for entry in content["variables"]["settings"] + content["variables"]["secrets"]
    }

    assert list(described) == [name.upper() for name in Settings.model_fields]
    assert passed.keys() == described.keys()
    for variable, (name, _) in described.items():
        assert f"parameters('{name}')" in passed[variable]


@pytest.mark.parametrize("template", TEMPLATES)
def test_secrets_stay_secret(template: str) -> None:
    """A secret among the plain settings could be read in the portal by whoever may look."""
    content = template_of(template)
    secret = {
        parameter["metadata"]["setting"]
        for parameter in content["parameters"].values()
        if parameter["type"] == "secureString"
    }
    relay = next(r for r in content["resources"] if "identity" in r)
    shown = "secureValue" if template == "deployment" else "secretRef"

    assert "DKIM_PRIVATE_KEY" in secret
    assert {entry["name"] for entry in content["variables"]["secrets"]} == secret
    assert all(
        not p.get("defaultValue")
        for p in content["parameters"].values()
        if p["type"] == "secureString"
    )
    assert shown in json.dumps(relay)


@pytest.mark.parametrize("template", TEMPLATES)
def test_arm_has_the_form_of_a_template(template: str) -> None:
    """What Azure refuses before it looks at anything else."""
    content = template_of(template)

    assert content["$schema"] == SCHEMA
    assert set(content) == {
        *(
            "$schema",
            "contentVersion",
            "metadata",
            "parameters",
            "variables",
            "resources",
            "outputs",
        )
    }
    assert len(content["parameters"]) <= 256
    assert len(content["outputs"]) <= 64
    for parameter in content["parameters"].values():
        assert parameter["type"] in {"string", "secureString", "int", "bool", "array"}
        assert parameter["metadata"]["description"]
        if "allowedValues" in parameter:
            assert parameter["defaultValue"] in parameter["allowedValues"]
    for resource in content["resources"]:
        assert API_VERSIONS[resource["type"]] == resource["apiVersion"]
        assert resource["name"]


@pytest.mark.parametrize("template", TEMPLATES)
def test_arm_expressions_name_what_exists(template: str) -> None:
    """A misspelt parameter is found by Azure only when the deployment has begun."""
    content = template_of(template)
    found = calls(template)
    used = {
        name: {call.arguments[0] for call in found if call.name == name}
        for name in ("parameters", "variables")
    }
    bound = {str(call.arguments[0]) for call in found if call.name == "lambda"}

    assert {call.name for call in found} <= FUNCTIONS
    assert used["parameters"] == content["parameters"].keys()
    assert used["variables"] == content["variables"].keys()
    assert {call.arguments[0] for call in found if call.name == "lambdaVariables"} == bound
    for call in found:
        if call.name == "format":
            places = set(re.findall(r"\{(\d+)\}", call.arguments[0]))
            assert places == {str(index) for index in range(len(call.arguments) - 1)}


@pytest.mark.parametrize("template", TEMPLATES)
def test_arm_resource_ids_lead_to_resources_of_the_template(template: str) -> None:
    """An ID with a segment too few, or of a resource that is not made, ends a deployment midway."""
    content = template_of(template)
    types = {resource["type"] for resource in content["resources"]}
    subnets = {f"{kind}/subnets" for kind in types if kind == "Microsoft.Network/virtualNetworks"}
    ids = [call for call in calls(template) if call.name == "resourceId"]

    assert ids
    for call in ids:
        kind, *names = call.arguments
        assert kind in types | subnets
        assert len(names) == kind.count("/")
    for resource in content["resources"]:
        for each in resource.get("dependsOn", []):
            assert parse(each).name == "resourceId"
        name = parse(resource["name"])
        if name.name == "format":
            assert name.arguments[0].count("/") == resource["type"].count("/") - 1


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_is_referred_to_is_made_before(template: str) -> None:
    """Azure makes everything at once unless it is told what must be there first."""
    for resource in template_of(template)["resources"]:
        needed = {
            call.arguments[0]
            for _, value in leaves({k: v for k, v in resource.items() if k != "dependsOn"})
            if is_expression(value)
            for call in parse(value).walk()
            if call.name in ("reference", "listKeys")
        }
        told = {parse(each) for each in resource.get("dependsOn", [])}

        assert needed <= told
        if "scope" in resource:
            assert parse(resource["scope"]).arguments[0].partition("/{0}")[0] in {
                call.arguments[0] for call in told
            }


@pytest.mark.parametrize("template", TEMPLATES)
def test_roles_are_granted_for_relay_and_administrator(template: str) -> None:
    """Nobody grants roles by hand: the relay reads, the administrator writes."""
    content = template_of(template)
    granted = {
        parse(r["properties"]["roleDefinitionId"]).arguments[1].arguments[0]: (
            parse(r["scope"]).arguments[0].partition("/{0}")[0],
            "relay"
            if r["properties"].get("principalType") == "ServicePrincipal"
            else "administrator",
        )
        for r in content["resources"]
        if r["type"] == "Microsoft.Authorization/roleAssignments"
    }

    assert {name: content["variables"][name] for name in ROLES} == ROLES
    assert granted == {
        "certificateUser": ("Microsoft.KeyVault/vaults", "relay"),
        "certificatesOfficer": ("Microsoft.KeyVault/vaults", "administrator"),
        "tableReader": ("Microsoft.Storage/storageAccounts", "relay"),
        "tableContributor": ("Microsoft.Storage/storageAccounts", "administrator"),
    }


@pytest.mark.parametrize(
    "wrong",
    ["[parameters('a'", "[parameters('a'))]", "[f(1,)]", "[f(1 2)]", "['text']", "[a.b]", "[f(]"],
)
def test_a_broken_expression_is_no_expression(wrong: str) -> None:
    """The checks above are worth what this reader refuses."""
    with pytest.raises(ValueError, match=r".+"):
        parse(wrong)
