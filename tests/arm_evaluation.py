"""What an ARM template comes to, with Azure's functions as far as the templates here use them."""

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from tests.arm import Call, is_expression, parse

GROUP = "/subscriptions/11111111-2222-4333-8444-555555555555/resourceGroups/relay"
DEPLOYER = "99999999-8888-4777-8666-555555555555"
KNOWN: Mapping[str, Callable[..., Any]] = {
    "concat": lambda *lists: [item for each in lists for item in each],
    "createArray": lambda *items: list(items),
    "createObject": lambda *items: dict(zip(items[::2], items[1::2], strict=True)),
    "deployer": lambda: {"objectId": DEPLOYER},
    "empty": lambda value: not value,
    "environment": lambda: {
        "suffixes": {"keyvaultDns": ".vault.azure.net", "storage": "core.windows.net"}
    },
    "equals": lambda one, other: one == other,
    "format": lambda text, *values: text.format(*values),
    "guid": lambda *parts: str(uuid.uuid5(uuid.NAMESPACE_URL, "-".join(parts))),
    "json": json.loads,
    "listKeys": lambda *_: {"primarySharedKey": "a key"},
    "not": lambda value: not value,
    "null": lambda: None,
    "reference": lambda *_: {
        "customerId": "a workspace",
        "configuration": {"ingress": {"fqdn": "relay.example"}},
        "identity": {"principalId": "the relay"},
        "ipAddress": {"fqdn": "relay.example", "ip": "192.0.2.1"},
    },
    "replace": lambda text, old, new: text.replace(old, new),
    "resourceGroup": lambda: {"id": GROUP, "location": "westeurope"},
    "resourceId": lambda *parts: f"{GROUP}/providers/{'/'.join(parts)}",
    "string": str,
    "subscription": lambda: {"tenantId": "a tenant"},
    "subscriptionResourceId": lambda *parts: "/".join(parts),
    "take": lambda value, number: value[:number],
    "toLower": str.lower,
    "uniqueString": lambda *parts: hashlib.sha256("".join(parts).encode()).hexdigest()[:13],
}


class Evaluation:
    """A template with the parameters that someone gave it."""

    def __init__(self, template: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        assert given.keys() <= template["parameters"].keys()
        self._template = template
        self._given = given
        self._bound: dict[str, Any] = {}

    def resources(self) -> list[dict[str, Any]]:
        """Return the resources that would be made."""
        return [
            self.value(resource)
            for resource in self._template["resources"]
            if self.value(resource.get("condition", True))
        ]

    def outputs(self) -> dict[str, Any]:
        """Return the outputs by name."""
        return {name: self.value(each["value"]) for name, each in self._template["outputs"].items()}

    def value(self, value: Any) -> Any:
        """Return a value of the template with every expression in it computed."""
        if isinstance(value, dict):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return self._call(parse(value)) if is_expression(value) else value

    def _call(self, call: Any) -> Any:
        if not isinstance(call, Call):
            return call
        found = self._function(call)
        for name in call.properties:
            found = found[name]
        return found

    def _function(self, call: Call) -> Any:
        first, *others = call.arguments or (None,)
        match call.name:
            case "parameters":
                default = self._template["parameters"][first]["defaultValue"]
                return self._given[first] if first in self._given else self.value(default)
            case "variables":
                return self.value(self._template["variables"][first])
            case "lambdaVariables":
                return self._bound[str(first)]
            case "if":
                return self._call(others[0] if self._call(first) else others[1])
            case "map":
                return [self._bind(others[0], item) for item in self._call(first)]
            case "filter":
                return [item for item in self._call(first) if self._bind(others[0], item)]
        return KNOWN[call.name](*map(self._call, call.arguments))

    def _bind(self, function: Call, item: Any) -> Any:
        name, body = function.arguments
        self._bound[name] = item
        return self._call(body)
