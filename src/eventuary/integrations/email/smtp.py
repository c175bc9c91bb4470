"""SMTP: each e-mail over a connection of its own (RFC 5321)."""

from collections.abc import Iterable
from email.message import EmailMessage
from enum import StrEnum
from types import TracebackType
from typing import Self

import aiosmtplib

from eventuary.framework.outside_errors import Refused
from eventuary.integrations.email.message import enveloped


class Tls(StrEnum):
    """How a connection is encrypted."""

    AUTO = "auto"  #: with STARTTLS, if the server offers it
    STARTTLS = "starttls"  #: with STARTTLS, or not at all
    IMPLICIT = "implicit"  #: from its first byte on
    NONE = "none"  #: not

    @property
    def port(self) -> int:
        """The port that is used for it."""
        return {Tls.STARTTLS: 587, Tls.IMPLICIT: 465}.get(self, 25)


class SmtpMailer:
    """Satisfies ``Mailer``."""

    def __init__(
        self,
        host: str,
        port: int | None = None,
        *,
        user: str | None = None,
        password: str | None = None,
        tls: Tls = Tls.AUTO,
    ) -> None:
        self._host = host
        self._port = port or tls.port
        self._user = user
        self._password = password
        self._tls = tls

    async def __aenter__(self) -> Self:
        """Nothing needs opening."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing needs closing."""

    async def send(self, message: EmailMessage, key: str) -> str:
        """Send an e-mail; return what the server answered to it.

        Raises Refused for an answer of 5yz to the sender, to all recipients or to the message; the
        answer to a login or a greeting is not about the message. Raises aiosmtplib's errors.
        """
        envelope = enveloped(message, key)
        try:
            # A recipient who is refused while others are not gets nothing: the server has said so,
            # and to ask again would send the others a second one.
            _, answer = await aiosmtplib.send(
                envelope.data,
                sender=envelope.sender,
                recipients=envelope.recipients,
                hostname=self._host,
                port=self._port,
                username=self._user,
                password=self._password,
                use_tls=self._tls is Tls.IMPLICIT,
                start_tls={Tls.STARTTLS: True, Tls.AUTO: None}.get(self._tls, False),
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            _refuse_if_for_good(error, error.recipients)
            raise
        except (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPDataError) as error:
            _refuse_if_for_good(error, [error])
            raise
        return answer


def _refuse_if_for_good(
    error: aiosmtplib.SMTPException, answers: Iterable[aiosmtplib.SMTPResponseException]
) -> None:
    """Raise Refused when all answers are 5yz: permanent (RFC 5321, section 4.2.1)."""
    answers = list(answers)
    if all(500 <= answer.code < 600 for answer in answers):
        said = "; ".join(f"{answer.code} {answer.message}" for answer in answers)
        raise Refused(f"the mail server says {said}") from error
