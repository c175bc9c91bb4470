"""Amazon SES as moto's HTTP server plays it, in a process of its own: stop it, start it again.

    python -m tests.integrations.moto_process PORT IDENTITY…

From its first answer on it takes e-mails from these addresses and domains.
"""

import socket
import subprocess
import sys
import time
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

#: Seconds within which it starts, or ends.
PATIENCE = 30.0

#: What a client of it needs: any credentials do.
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "anybody", "AWS_SECRET_ACCESS_KEY": "anything"}

_ROOT = Path(__file__).parents[2]
_REGION = "us-east-1"
#: moto's own, where it is not told otherwise.
_ACCOUNT = "123456789012"

#: From this moto knows which of its services is meant; it checks no signature.
_TO_SES = f"AWS4-HMAC-SHA256 Credential=anybody/20260101/{_REGION}/ses/aws4_request"


class MotoProcess:
    """It runs within ``with``, unless it was stopped. What it was told is gone with its process.

    ``identities``: whose e-mails it takes.
    """

    def __init__(self, *identities: str) -> None:
        self._identities = identities
        # Bound as long as it exists, so that its port stays its own while it is stopped.
        self._address = socket.socket()
        self._address.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._address.bind(("127.0.0.1", 0))
        self.port: int = self._address.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.mailer_url = f"ses:?region={_REGION}&endpoint={self.url}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._address.close()

    def start(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self.port), *self._identities],
            cwd=_ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + PATIENCE
        while True:
            try:
                httpx.get(f"{self.url}/moto-api/", timeout=30).raise_for_status()
                return
            except httpx.TransportError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def stop(self) -> None:
        """End its process: connections are refused from now on."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def verify(self, identity: str) -> None:
        """Let it take e-mails from an address, or from a domain."""
        httpx.post(
            f"{self.url}/v2/email/identities",
            json={"EmailIdentity": identity},
            headers={"authorization": _TO_SES},
            timeout=30,
        ).raise_for_status()

    def forget(self, identity: str) -> None:
        """Let it take none of theirs any more."""
        httpx.delete(
            f"{self.url}/v2/email/identities/{identity}",
            headers={"authorization": _TO_SES},
            timeout=30,
        ).raise_for_status()

    def sent(self) -> list[EmailMessage]:
        """Return the e-mails that it has taken."""
        return [_read(each["raw_data"]) for each in self._sent()]

    def ids(self) -> list[str]:
        """Return their message ids."""
        return [each["id"] for each in self._sent()]

    def _sent(self) -> list[dict[str, Any]]:
        data = httpx.get(f"{self.url}/moto-api/data.json", timeout=30).raise_for_status().json()
        messages: list[dict[str, Any]] = data["ses"]["RawMessage"]
        return messages


def _read(raw: str) -> EmailMessage:
    message = message_from_bytes(raw.encode(), policy=default)
    assert isinstance(message, EmailMessage)
    return message


def _serve(port: str, *identities: str) -> None:
    from moto.server import main
    from moto.ses.models import ses_backends

    for identity in identities:
        ses_backends[_ACCOUNT][_REGION].create_email_identity_v2(identity, None, None, None)
    main(["-H", "127.0.0.1", "-p", port])


if __name__ == "__main__":
    _serve(*sys.argv[1:])
