"""The JSON interface by which another process scripts the stand-in and looks into it.

On Graph's port, for whoever can connect to loopback:

    GET    /_sandbox/mails                 what was accepted, oldest first, without content
    GET    /_sandbox/mails/{request_id}    one message as message/rfc822, its attachments included
    GET    /_sandbox/requests              what was asked, without the Authorization field
    GET    /_sandbox/faults                the plans that still wait: {"entra": […], "graph": […]}
    POST   /_sandbox/faults                plans one, 201:
           {"service": "graph", "fault": {"status": 429, "retry_after": 1},
            "times": 1, "every": null, "path_contains": null, "method": null}
    DELETE /_sandbox/faults                forgets all plans, 204

`fault` has the attributes of `faults.Fault`, its `body` as text; only `service` and
`fault` are needed. These requests meet no faults and are not written down.
"""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from smtp_oauth_relay.sandbox.bodies import BodyTooLong, read_body
from smtp_oauth_relay.sandbox.faults import Faults, read_fault
from smtp_oauth_relay.sandbox.journal import AcceptedMail, Journal, RequestSeen
from smtp_oauth_relay.sandbox.tracing import json_response
from smtp_oauth_relay.sandbox.whole_mail import whole

MAX_PLAN_OCTETS = 1_000_000
PLAN_TYPES: dict[str, tuple[type, ...]] = {
    "service": (str,),
    "fault": (dict,),
    "times": (int, type(None)),
    "every": (int, type(None)),
    "path_contains": (str, type(None)),
    "method": (str, type(None)),
}


class Control:
    """Answers below `/_sandbox/`."""

    def __init__(self, journal: Journal, faults: Mapping[str, Faults]) -> None:
        self._journal = journal
        self._faults = faults

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request; what is wrong with it stands in `error`, status 400 or 404."""
        match request.method, request.path.removeprefix("/_sandbox/").split("/"):
            case "GET", ["mails"]:
                return _shown([_mail(mail) for mail in self._journal.mails()])
            case "GET", ["mails", request_id]:
                return self._content(request_id)
            case "GET", ["requests"]:
                return _shown([_request(seen) for seen in self._journal.requests()])
            case "GET", ["faults"]:
                return _shown({name: plans.pending() for name, plans in self._faults.items()})
            case "POST", ["faults"]:
                return await self._plan(request)
            case "DELETE", ["faults"]:
                for plans in self._faults.values():
                    plans.clear()
                return web.Response(status=204)
        return json_response(404, {"error": "see smtp_oauth_relay/sandbox/control.py"}, {})

    def _content(self, request_id: str) -> web.Response:
        for mail in self._journal.mails():
            if mail.request_id == request_id:
                return web.Response(body=whole(mail), content_type="message/rfc822")
        return json_response(404, {"error": "no such mail is kept"}, {})

    async def _plan(self, request: web.BaseRequest) -> web.Response:
        try:
            plan = _read_plan(await read_body(request, MAX_PLAN_OCTETS))
            fault = read_fault(plan.pop("fault"))
            self._faults[plan.pop("service")].add(fault, **plan)
        except BodyTooLong:
            return json_response(413, {"error": "too long"}, {})
        except KeyError as error:
            return json_response(400, {"error": f"no such service: {error}"}, {})
        except ValueError as error:
            return json_response(400, {"error": str(error)}, {})
        return json_response(201, {}, {})


def _read_plan(body: bytes) -> dict[str, Any]:
    try:
        plan = json.loads(body)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(plan, dict) or not {"service", "fault"} <= plan.keys():
        raise ValueError("a plan is an object with 'service' and 'fault'")
    for key, value in plan.items():
        if key not in PLAN_TYPES:
            raise ValueError(f"a plan has no {key!r}; it has {', '.join(PLAN_TYPES)}")
        if not isinstance(value, PLAN_TYPES[key]) or isinstance(value, bool):
            raise ValueError(f"{key!r} cannot be {value!r}")  # noqa: TRY004
    return plan


def _mail(mail: AcceptedMail) -> dict[str, object]:
    return {
        "request_id": mail.request_id,
        "client_request_id": mail.client_request_id,
        "mailbox": mail.mailbox,
        "recipients": mail.recipients,
        "octets": mail.octets,
        "attachments": [
            {
                "name": file.name,
                "content_type": file.content_type,
                "content_id": file.content_id,
                "is_inline": file.is_inline,
                "octets": len(file.content),
            }
            for file in mail.attachments
        ],
        "tenant": mail.tenant,
        "client": mail.client,
        "received_at": mail.received_at.isoformat(),
    }


def _request(seen: RequestSeen) -> dict[str, object]:
    headers = {
        name: value for name, value in seen.headers.items() if name.lower() != "authorization"
    }
    return {
        "service": seen.service,
        "method": seen.method,
        "path": seen.path,
        "headers": headers,
        "status": seen.status,
    }


def _shown(content: object) -> web.Response:
    return json_response(200, content, {"Cache-Control": "no-store"})
