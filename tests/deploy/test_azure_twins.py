"""What must agree with the ARM templates: Bicep, the portal's forms, the button."""

import json
import re
from typing import Any
from urllib.parse import quote

import pytest
from pycep import BicepParser

from tests.arm import AZURE, TEMPLATES, is_expression, leaves, template_of

FORMS = {"createUiDefinition": "deployment", "containerAppsUiDefinition": "containerApps"}


def bicep(template: str) -> dict[str, Any]:
    """Return a Bicep file, parsed."""
    return dict(BicepParser().parse(file_path=AZURE / f"{template}.bicep"))


@pytest.mark.parametrize("template", TEMPLATES)
def test_bicep_and_arm_have_the_same_parameters_and_outputs(template: str) -> None:
    """The button deploys one of them, `az deployment` the other."""
    one, other = bicep(template), template_of(template)
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
    expected = template_of(template)["resources"]

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
    parameters = template_of(template)["parameters"]
    settings = {name for name, p in parameters.items() if "setting" in p["metadata"]}

    assert content["handler"] == "Microsoft.Azure.CreateUIDef"
    assert parts["outputs"].keys() <= parameters.keys()
    assert settings <= parts["outputs"].keys()
    assert used == fields


def test_the_portals_button_leads_to_the_templates() -> None:
    """The button names template and form by URL, in the repository of this project."""
    text = (AZURE.parent / "docs/azure.md").read_text(encoding="utf-8")
    raw = quote(
        "https://raw.githubusercontent.com/JustinIven/smtp-oauth-relay/main/azure_deployment/",
        safe="",
    )

    for form, template in FORMS.items():
        assert (
            f"https://portal.azure.com/#create/Microsoft.Template/uri/{raw}{template}.json"
            f"/createUIDefinitionUri/{raw}{form}.json"
        ) in text
