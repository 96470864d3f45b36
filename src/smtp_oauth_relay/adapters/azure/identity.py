"""The relay's own identity in Azure: one credential, its connections, and threads for the SDKs."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any, TypeVar

from azure.core.exceptions import AzureError
from azure.identity import DefaultAzureCredential

from smtp_oauth_relay.adapters import logs
from smtp_oauth_relay.adapters.azure.errors import Resource, problem_of
from smtp_oauth_relay.adapters.azure.transport import open_session, transport_over
from smtp_oauth_relay.adapters.outbound import Outbound
from smtp_oauth_relay.errors import AzureUnavailable

logger = logging.getLogger(__name__)

MAX_THREADS = 8
"""Requests to Azure at once. One row takes some 10 ms, and most are at hand."""

CONNECT_S, READ_S = 3.0, 5.0
"""How long one request may take to connect, and to send the next octet."""

WAIT_S = 12.0
"""How long anybody waits: a token, a request, and the same again if its connection had died."""

T = TypeVar("T")


class Azure:
    """What all clients of Azure's SDKs share. Used on one event loop.

    Args:
        outbound: the trust and the proxies.
        authority_host: where Entra ID issues tokens.
        wait_s: how long anybody waits for an answer.
    """

    def __init__(self, outbound: Outbound, authority_host: str, wait_s: float = WAIT_S) -> None:
        self._authority_host = authority_host
        self._wait_s = wait_s
        self._session = open_session(outbound, connections=MAX_THREADS)
        self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="azure")

    @cached_property
    def credential(self) -> DefaultAzureCredential:
        """The one credential: variables, then the identity of a pod or a machine, then `az login`.

        What else it could try starts programs or a browser, or waits for them.
        """
        return DefaultAzureCredential(
            authority=self._authority_host,
            disable_instance_discovery=True,  # or it asks the global cloud about the others
            exclude_broker_credential=True,
            exclude_developer_cli_credential=True,
            exclude_powershell_credential=True,
            exclude_shared_token_cache_credential=True,
            exclude_visual_studio_code_credential=True,
            process_timeout=READ_S,
            transport=transport_over(self._session),
            connection_timeout=CONNECT_S,
            read_timeout=READ_S,
            retry_total=1,
        )

    @property
    def options(self) -> dict[str, Any]:
        """The arguments of every client: how it connects, and how long it may take.

        A request whose connection had died meanwhile is made once more; an answer is an answer.
        """
        return {
            "transport": transport_over(self._session),
            "connection_timeout": CONNECT_S,
            "read_timeout": READ_S,
            "retry_total": 1,
            "retry_status": 0,
            "retry_backoff_factor": 0.1,
        }

    async def run(self, resource: Resource, work: Callable[[], T]) -> T:
        """Return what the work returns, which runs in a thread.

        Raises:
            AzureUnavailable: what went wrong with the resource, and what to do about it.
        """
        future = self._threads.submit(work)
        try:
            async with asyncio.timeout(self._wait_s):
                return await asyncio.wrap_future(future)
        except AzureError as error:
            raise problem_of(error, resource) from error
        except TimeoutError as error:
            raise AzureUnavailable(
                f"{resource.name} cannot be reached: no answer within {self._wait_s:g} s"
            ) from error
        except AzureUnavailable:
            raise
        except Exception as error:  # what else the SDKs let through: ValueError, KeyError and more
            logs.event(logger, logging.ERROR, "azure.bug", bug=error)
            raise AzureUnavailable(
                f"{resource.name} cannot be asked: {type(error).__name__}"
            ) from error

    async def aclose(self) -> None:
        """Close the connections, and wait for the threads: their time-outs end them."""
        self._session.close()
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        self._session.close()  # what the last of them have opened meanwhile
