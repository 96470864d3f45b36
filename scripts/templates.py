"""Writes the relay's settings and version into all that deploys it: `make templates`.

`settings.py` is the one place where a setting is described. From there its name, description,
default and choices go into the two Azure templates (Bicep and ARM alike), the form of the Azure
portal and `deploy/relay.env`. What is not about settings is written by hand in those files and
stays as it is.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from smtp_oauth_relay import __version__
from smtp_oauth_relay.configuration.reading import load
from smtp_oauth_relay.configuration.settings import Settings
from smtp_oauth_relay.configuration.values import text
from smtp_oauth_relay.model import Secret

ROOT = Path(__file__).parents[1]
AZURE = ROOT / "azure_deployment"
IMAGE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "smtp-oauth-relay"
]["image"]

# What a template presets, because it runs the relay in a certain way.
PRESETS: Mapping[str, Mapping[str, str]] = {
    "deployment": {
        "TLS_SOURCE": "keyvault",
        "AZURE_KEY_VAULT_CERT_NAME": "smtp-relay",
        "LOG_FORMAT": "json",
    },
    "containerApps": {
        "TLS_SOURCE": "keyvault",
        "AZURE_KEY_VAULT_CERT_NAME": "smtp-relay",
        "LOG_FORMAT": "json",
        "STATUS_LISTEN": ":9025",  # for the probes, which come from outside the container
        "DRAIN_DELAY": "15",  # until the ingress has heard that this replica goes
        "MAX_SESSIONS_PER_IP": "500",  # all devices come from the ingress's addresses
    },
}
# What a template makes by itself, unless it is told not to: (parameter, variable).
MADE = {
    "AZURE_KEY_VAULT_URL": ("keyVault", "vaultUrl"),
    "AZURE_TABLES_URL": ("lookupTable", "tableUrl"),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as a template shows it.

    Attributes:
        variable: such as `LOG_LEVEL`.
        meaning: what the settings say about it, without the default.
        default: as an administrator would write it; empty when unset.
        choices: the words it may be; empty when it is free text.
        is_secret: whether nobody may read it back.
    """

    variable: str
    meaning: str
    default: str
    choices: tuple[str, ...]
    is_secret: bool

    @property
    def parameter(self) -> str:
        """The name as templates write names, such as `logLevel`."""
        first, *others = self.variable.lower().split("_")
        return first + "".join(map(str.capitalize, others))

    @property
    def description(self) -> str:
        """One line for whoever fills in the parameter."""
        unset = f" Empty: {self.default}." if self.default else ""
        return f"{self.variable}: {self.meaning}.{unset}"


def all_settings() -> Iterator[Setting]:
    """Yield every setting of the relay, in the order of `settings.py`."""
    defaults = load({}, read_file=str)
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        choices = ("true", "false") if kind is bool else get_args(kind)
        words = tuple(str(choice) for choice in choices if isinstance(choice, str))
        yield Setting(
            variable=name.upper(),
            meaning=field.description or "",
            default=text(getattr(defaults, name)),
            choices=words,
            is_secret=kind is Secret or Secret in get_args(kind),
        )


def preset(template: str, setting: Setting) -> str:
    """Return what a template presets for a setting; empty leaves it to the relay."""
    value = PRESETS[template].get(setting.variable, "")
    return value if not setting.choices or value in setting.choices else ""


def bicep_string(value: str) -> str:
    """Return a text as a Bicep literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\${")
    return f"'{escaped}'"


def bicep_parameters(template: str) -> str:
    """Return the parameters of all settings, in Bicep."""
    lines = []
    for setting in all_settings():
        lines.append(f"@description({bicep_string(setting.description)})")
        if setting.is_secret:
            lines.append("@secure()")
        if setting.choices:
            lines += ["@allowed([", *(f"  {bicep_string(c)}" for c in ("", *setting.choices)), "])"]
        value = bicep_string(preset(template, setting))
        lines += [f"param {setting.parameter} string = {value}", ""]
    return "\n".join(lines)


def bicep_variables() -> str:
    """Return the two lists of settings, open and secret, in Bicep."""
    lists: dict[str, list[str]] = {"settings": [], "secrets": []}
    for setting in all_settings():
        value = setting.parameter
        if setting.variable in MADE:
            makes, made = MADE[setting.variable]
            value = f"{makes} ? {made} : {value}"
        entry = f"  {{ name: {bicep_string(setting.variable)}, value: {value} }}"
        lists["secrets" if setting.is_secret else "settings"].append(entry)
    return "\n".join(
        line for name, entries in lists.items() for line in (f"var {name} = [", *entries, "]")
    )


def bicep_template(template: str, old: str) -> str:
    """Return a Bicep file with its two generated sections made anew."""
    parts = {"parameters": bicep_parameters(template), "variables": bicep_variables() + "\n"}
    for name, content in parts.items():
        begin, end = f"// settings, {name}: `make templates`\n", f"// end of settings, {name}\n"
        head, _, rest = old.partition(begin)
        _, found, tail = rest.partition(end)
        if not found:
            raise SystemExit(f"{template}.bicep has no section between {begin!r} and {end!r}")
        old = f"{head}{begin}{content}{end}{tail}"
    return old


def arm_parameter(template: str, setting: Setting) -> dict[str, Any]:
    """Return the parameter of a setting, as ARM has it."""
    allowed = {"allowedValues": ["", *setting.choices]} if setting.choices else {}
    return {
        "type": "secureString" if setting.is_secret else "string",
        "defaultValue": preset(template, setting),
        **allowed,
        "metadata": {"description": setting.description, "setting": setting.variable},
    }


def arm_value(setting: Setting) -> str:
    """Return the expression of a setting's value."""
    value = f"parameters('{setting.parameter}')"
    if setting.variable in MADE:
        makes, made = MADE[setting.variable]
        value = f"if(parameters('{makes}'), variables('{made}'), {value})"
    return f"[{value}]"


def arm_template(template: str, old: str) -> str:
    """Return an ARM template with parameters and lists of settings made anew."""
    content = json.loads(old)
    by_hand = {
        name: parameter
        for name, parameter in content["parameters"].items()
        if "setting" not in parameter["metadata"]
    }
    content["parameters"] = by_hand | {
        setting.parameter: arm_parameter(template, setting) for setting in all_settings()
    }
    for name, is_secret in (("settings", False), ("secrets", True)):
        content["variables"][name] = [
            {"name": setting.variable, "value": arm_value(setting)}
            for setting in all_settings()
            if setting.is_secret is is_secret
        ]
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def form_element(template: str, setting: Setting) -> dict[str, Any]:
    """Return the field of a setting in the portal's form."""
    element = {"name": setting.parameter, "label": setting.variable}
    tip = setting.description.removeprefix(f"{setting.variable}: ")
    tip = tip[:1].upper() + tip[1:]
    value = preset(template, setting)
    if setting.is_secret:
        return element | {
            "type": "Microsoft.Common.PasswordBox",
            "label": {"password": setting.variable},
            "toolTip": tip,
            "constraints": {"required": False},
            "options": {"hideConfirmation": True},
        }
    if setting.choices:
        choices = [{"label": "(the relay's default)", "value": ""}]
        choices += [{"label": choice, "value": choice} for choice in setting.choices]
        return element | {
            "type": "Microsoft.Common.DropDown",
            "defaultValue": value or choices[0]["label"],
            "toolTip": tip,
            "constraints": {"allowedValues": choices, "required": False},
        }
    return element | {
        "type": "Microsoft.Common.TextBox",
        "defaultValue": value,
        "placeholder": setting.default,
        "toolTip": tip,
        "constraints": {"required": False},
    }


def form(template: str, old: str) -> str:
    """Return the portal's form with the step and the outputs of settings made anew."""
    content = json.loads(old)
    parameters = content["parameters"]
    step = next(step for step in parameters["steps"] if step["name"] == "settings")
    step["elements"] = [form_element(template, setting) for setting in all_settings()]
    by_hand = {k: v for k, v in parameters["outputs"].items() if "steps('settings')" not in v}
    parameters["outputs"] = by_hand | {
        s.parameter: f"[steps('settings').{s.parameter}]" for s in all_settings()
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def environment_file() -> str:
    """Return a file with every setting, each as a comment with its default."""
    lines = [
        "# Every setting of the relay, for `docker run --env-file`, Compose and systemd.",
        "# Take away the # in front of a line to change it; docs/configuration.md says more.",
    ]
    for setting in all_settings():
        choices = f" One of: {', '.join(setting.choices)}." if setting.choices else ""
        meaning = setting.meaning[:1].upper() + setting.meaning[1:]
        lines += ["", f"# {meaning}.{choices}", f"#{setting.variable}={setting.default}"]
    return "\n".join(lines) + "\n"


def with_version(old: str) -> str:
    """Return a text whose tags of the relay's image are this version."""
    return re.sub(rf"({re.escape(IMAGE)}:)[0-9][\w.-]*", rf"\g<1>{__version__}", old)


def render() -> dict[Path, str]:
    """Return what each file should hold."""
    files = {
        path: with_version(path.read_text(encoding="utf-8"))
        for folder in ("deploy", "azure_deployment")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file()
    }
    for template in PRESETS:
        bicep, arm = AZURE / f"{template}.bicep", AZURE / f"{template}.json"
        files[bicep] = bicep_template(template, files[bicep])
        files[arm] = arm_template(template, files[arm])
    for path, template in (
        (AZURE / "createUiDefinition.json", "deployment"),
        (AZURE / "containerAppsUiDefinition.json", "containerApps"),
    ):
        files[path] = form(template, files[path])
    files[ROOT / "deploy/relay.env"] = environment_file()
    return files


def outdated() -> dict[Path, str]:
    """Return the files that do not hold what they should."""
    return {
        path: content
        for path, content in render().items()
        if not path.exists() or path.read_text(encoding="utf-8") != content
    }


def main() -> int:
    """Write the files; with --check only tell which ones are outdated."""
    files = outdated()
    for path, content in files.items():
        print(path.relative_to(ROOT))
        if "--check" not in sys.argv:
            path.write_text(content, encoding="utf-8")
    return 1 if files and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
