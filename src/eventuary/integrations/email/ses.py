"""Amazon SES, version 2: ``SendEmail`` with the message as it is (``Content.Raw``).

Source: Amazon SES API v2 Reference, "SendEmail" and its errors. Credentials are found in the usual
AWS ways. SES knows no idempotency key: two calls send two e-mails, both with the same key in the
header.
"""

from contextlib import AsyncExitStack
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Protocol, Self

import aioboto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from eventuary.errors import ConfigurationError
from eventuary.framework.outside_errors import Refused
from eventuary.integrations.email.message import enveloped

#: What SES says of a message that it will never send. What it says of the account, of credentials
#: or of limits is not about the message, and may pass.
_FOR_GOOD = {"BadRequestException", "MailFromDomainNotVerifiedException", "MessageRejected"}

#: One call is one attempt, and takes no longer: retries and time-outs are the caller's.
_ONE_CALL = Config(retries={"total_max_attempts": 1}, connect_timeout=10, read_timeout=60)


class _Client(Protocol):
    async def send_email(self, **parameters: Any) -> dict[str, Any]: ...


class SesMailer:
    """Satisfies ``Mailer``. None: as AWS's own settings say."""

    def __init__(
        self,
        *,
        region: str | None = None,
        endpoint: str | None = None,
        configuration_set: str | None = None,
    ) -> None:
        self._region = region
        self._endpoint = endpoint
        self._configuration_set = configuration_set
        self._stack = AsyncExitStack()
        self._client: _Client | None = None

    async def __aenter__(self) -> Self:
        """Open it; nothing is asked of SES yet. Raises ConfigurationError."""
        try:
            self._client = await self._stack.enter_async_context(
                aioboto3.Session().client(
                    "sesv2",
                    region_name=self._region,
                    endpoint_url=self._endpoint,
                    config=_ONE_CALL,
                )
            )
        except (BotoCoreError, ValueError) as error:
            raise ConfigurationError(f"ses: {error}") from None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close its connections."""
        self._client = None
        await self._stack.aclose()

    async def send(self, message: EmailMessage, key: str) -> str:
        """Send an e-mail; return its message id at SES. Raises Refused, and botocore's errors."""
        if self._client is None:
            raise RuntimeError("the mailer is not open: use it within `async with`")
        data = enveloped(message, key, keep_bcc=True).data
        parameters: dict[str, Any] = {"Content": {"Raw": {"Data": data}}}
        if self._configuration_set is not None:
            parameters["ConfigurationSetName"] = self._configuration_set
        try:
            answer = await self._client.send_email(**parameters)
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code")
            if code in _FOR_GOOD:
                said = error.response["Error"].get("Message", "")
                raise Refused(f"SES says {code}: {said}") from error
            raise
        except ParamValidationError as error:
            raise Refused(f"SES takes no such message: {error}") from error
        return str(answer["MessageId"])
