"""aiosmtplib: asyncio's client."""

import asyncio
import os
import ssl
import sys
from pathlib import Path

import aiosmtplib

sys.path.insert(0, str(Path(__file__).parent))
from python_smtplib import mail  # type: ignore[import-not-found]

env = os.environ


async def main() -> None:
    """Send it."""
    is_implicit = env["TLS"] == "implicit"
    async with aiosmtplib.SMTP(
        hostname="localhost",
        port=int(env["PORT"]),
        use_tls=is_implicit,
        start_tls=not is_implicit,
        tls_context=ssl.create_default_context(cafile=env["CA"]),
    ) as client:
        await client.login(env["NAME"], env["PASSWORD"])
        await client.send_message(mail())


asyncio.run(main())
