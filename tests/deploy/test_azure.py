"""The Azure templates, as far as they can be checked without Azure."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pycep import BicepParser

from scripts import templates
from smtp_oauth_relay.settings import Settings
from tests.arm import Call, is_expression, leaves, parse

ROOT = Path(__file__).parents[2]
AZURE = ROOT / "azure_deployment"
TEMPLATES = ("deployment", "containerApps")
FORMS = {"createUiDefinition": "deployment", "containerAppsUiDefinition": "containerApps"}
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


def arm(template: str) -> dict[str, Any]:
    """Return an ARM template."""
    content: dict[str, Any] = json.loads((AZURE / f"{template}.json").read_text(encoding="utf-8"))
    return content


def bicep(template: str) -> dict[str, Any]:
    """Return a Bicep file, parsed."""
    return dict(BicepParser().parse(file_path=AZURE / f"{template}.bicep"))


def calls(template: str) -> list[Call]:
    """Return every function call in an ARM template."""
    return [
        call
        for _, value in leaves(arm(template))
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
    content = arm(template)
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
    content = arm(template)
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
    content = arm(template)

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
    content = arm(template)
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
    content = arm(template)
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
    for resource in arm(template)["resources"]:
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
    content = arm(template)
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


@pytest.mark.parametrize("template", TEMPLATES)
def test_bicep_and_arm_have_the_same_parameters_and_outputs(template: str) -> None:
    """The button deploys one of them, `az deployment` the other."""
    one, other = bicep(template), arm(template)
    declared = {}
    for name, parameter in one["parameters"].items():
        said = {d["type"]: d.get("argument") for d in parameter["decorators"]}
        default = parameter.get("default", "")
        declared[name] = {
            "type": "secureString" if "secure" in said else parameter["type"],
            "description": said["description"].replace("\\'", "'").replace("\\\\", "\\"),
            "allowed": said.get("allowed"),
            "bounds": tuple(
                said.get(k) for k in ("min_length", "max_length", "min_value", "max_value")
            ),
            "default": None if isinstance(default, dict) or "${" in str(default) else default,
        }
    expected = {
        name: {
            "type": parameter["type"],
            "description": parameter["metadata"]["description"],
            "allowed": parameter.get("allowedValues"),
            "bounds": tuple(
                parameter.get(k) for k in ("minLength", "maxLength", "minValue", "maxValue")
            ),
            "default": None
            if is_expression(parameter["defaultValue"])
            else parameter["defaultValue"],
        }
        for name, parameter in other["parameters"].items()
    }

    assert declared == expected
    assert {n: o["type"] for n, o in one["outputs"].items()} == {
        n: o["type"] for n, o in other["outputs"].items()
    }
    assert list(one["variables"]) == list(other["variables"])


@pytest.mark.parametrize("template", TEMPLATES)
def test_bicep_and_arm_make_the_same_resources(template: str) -> None:
    """Same order, types, versions, conditions, properties; and the same plain values in them."""
    only_bicep = {"parent", "dependsOn"}
    made = list(bicep(template)["resources"].values())
    expected = arm(template)["resources"]

    assert [(r["type"], r["api_version"]) for r in made] == [
        (r["type"], r["apiVersion"]) for r in expected
    ]
    for one, other in zip(made, expected, strict=True):
        has_condition = "condition" in one["config"]
        config = one["config"]["config"] if has_condition else one["config"]
        body = {k: v for k, v in config.items() if k not in only_bicep}
        rest = {
            k: v
            for k, v in other.items()
            if k not in {"type", "apiVersion", "dependsOn", "condition"}
        }
        plain = {path: value for path, value in leaves(rest) if not is_expression(value)}
        computed = {path for path, value in leaves(rest) if is_expression(value)}

        assert has_condition == ("condition" in other)
        for path, value in plain.items():
            assert at(body, path) == value, path
        for path in computed:
            assert at(body, path) is not None, path
        assert {p[:1] for p, _ in leaves(body)} == {p[:1] for p, _ in leaves(rest)}


def at(value: Any, path: tuple[str, ...]) -> Any:
    """Return what stands at a path within objects and arrays."""
    for key in path:
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


@pytest.mark.parametrize(("form", "template"), FORMS.items())
def test_the_portals_form_fills_in_parameters_that_exist(form: str, template: str) -> None:
    """An output without a parameter, or of a field that is not there, breaks the portal's page."""
    content = json.loads((AZURE / f"{form}.json").read_text(encoding="utf-8"))
    parts = content["parameters"]
    fields = {f"basics('{each['name']}')" for each in parts["basics"]} | {
        f"steps('{step['name']}').{each['name']}"
        for step in parts["steps"]
        for each in step["elements"]
    }
    used = {
        found
        for value in parts["outputs"].values()
        for found in re.findall(r"(?:basics|steps)\('\w+'\)(?:\.\w+)?", value)
    }
    parameters = arm(template)["parameters"]
    settings = {name for name, p in parameters.items() if "setting" in p["metadata"]}

    assert content["handler"] == "Microsoft.Azure.CreateUIDef"
    assert parts["outputs"].keys() <= parameters.keys()
    assert settings <= parts["outputs"].keys()
    assert used == fields


def test_the_portals_button_leads_to_the_templates() -> None:
    """The button names template and form by URL, in the repository of this project."""
    text = (AZURE / "README.md").read_text(encoding="utf-8")
    raw = quote(
        "https://raw.githubusercontent.com/JustinIven/smtp-oauth-relay/main/azure_deployment/",
        safe="",
    )

    for form, template in FORMS.items():
        assert (
            f"https://portal.azure.com/#create/Microsoft.Template/uri/{raw}{template}.json"
            f"/createUIDefinitionUri/{raw}{form}.json"
        ) in text


@pytest.mark.parametrize(
    "wrong",
    ["[parameters('a'", "[parameters('a'))]", "[f(1,)]", "[f(1 2)]", "['text']", "[a.b]", "[f(]"],
)
def test_a_broken_expression_is_no_expression(wrong: str) -> None:
    """The checks above are worth what this reader refuses."""
    with pytest.raises(ValueError, match=r".+"):
        parse(wrong)
