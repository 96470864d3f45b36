"""Stands before a service: writes its requests down and lets them meet their faults."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from smtp_oauth_relay.sandbox.bodies import drop_body
from smtp_oauth_relay.sandbox.faults import Fault, Faults
from smtp_oauth_relay.sandbox.journal import Journal, RequestSeen, Service
from smtp_oauth_relay.sandbox.listener import reset, until_client_goes

CONTROL_PREFIX = "/_sandbox/"


class Answering(Protocol):
    """A service that answers requests, rightly or as a fault asks."""

    async def answer(self, request: web.BaseRequest) -> web.Response:
        """Check the request and answer it."""
        ...

    def scripted(self, request: web.BaseRequest, fault: Fault, status: int) -> web.Response:
        """Return an answer of that status in the service's form."""
        ...


class Front:
    """Lets each request meet its fault, or the service."""

    def __init__(
        self,
        name: Service,
        service: Answering,
        faults: Faults,
        journal: Journal,
        control: Callable[[web.BaseRequest], Awaitable[web.Response]] | None = None,
    ) -> None:
        self._name = name
        self._service = service
        self._faults = faults
        self._journal = journal
        self._control = control

    def is_reset_at_once(self) -> bool:
        """Say whether the connection that was just accepted meets a reset."""
        if self._faults.for_connection() is None:
            return False
        self._journal.see(RequestSeen(self._name, "", "", {}))
        return True

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request, or break its connection."""
        path = request.raw_path
        if self._control is not None and path.startswith(CONTROL_PREFIX):
            return await self._control(request)
        fault = self._faults.for_request(path, request.method)
        entry = self._journal.see(RequestSeen(self._name, request.method, path, request.headers))
        if fault is None:
            response = await self._service.answer(request)
        else:
            response = await self._meet(fault, request)
        entry.answered(response.status)
        return response

    async def _meet(self, fault: Fault, request: web.BaseRequest) -> web.Response:
        if fault.action == "stop_reading" and request.transport is not None:
            request.transport.pause_reading()
            await until_client_goes()
        if fault.action == "reset_before_body":
            await asyncio.sleep(fault.latency_s)
            await _cut(request)
        response = await self._faulty_answer(fault, request)
        await asyncio.sleep(fault.latency_s)
        if fault.action == "hang":
            await until_client_goes()
        if fault.action == "truncate" and request.transport is not None:
            request.transport.write(_half(response))
        if fault.action != "answer":
            await _cut(request)
        return response

    async def _faulty_answer(self, fault: Fault, request: web.BaseRequest) -> web.Response:
        if fault.is_processed:
            response = await self._service.answer(request)
        else:
            await drop_body(request)
            response = self._service.scripted(request, fault, fault.status or HTTPStatus.OK)
        if fault.is_processed and fault.status is not None:
            response = self._service.scripted(request, fault, fault.status)
        if fault.body is not None:
            response.body = fault.body
            response.headers["Content-Type"] = "text/html"
        if fault.retry_after is not None:
            response.headers["Retry-After"] = str(fault.retry_after)
        response.headers.update(fault.headers)
        return response


async def _cut(request: web.BaseRequest) -> None:
    reset(request.transport)
    await until_client_goes()


def _half(response: web.Response) -> bytes:
    lines = [f"{name}: {value}" for name, value in response.headers.items()]
    head = [f"HTTP/1.1 {response.status} {response.reason}", *lines[: len(lines) // 2]]
    return "\r\n".join(head).encode() + b"\r\n"
