"""From a URL to a mailer; what is not installed, and what is no URL of one."""

import re
import subprocess
import sys

import pytest

from eventuary import ConfigurationError
from eventuary.integrations.email import open_mailer


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "'' names no mailer; write ses:?region=…, smtp://host:port or outbox:FOLDER"),
        ("outbox", "'outbox' names no mailer"),
        ("pigeon:home", "'pigeon:home' names no mailer"),
        ("outbox:", "'outbox:': names no folder; write outbox:FOLDER"),
        ("ses:eu-central-1", "ses: takes options alone; write ses:?region=…"),
        ("ses:?regoin=x", "regoin: is not known; known: region, endpoint, configuration_set"),
        ("ses:?region=", "region: is empty"),
        ("smtp:localhost", "write smtp://[user:password@]host[:port]"),
        ("smtp://localhost:x", "its port is no number up to 65535"),
        ("smtp://localhost:99999", "its port is no number up to 65535"),
        ("smtp://localhost/inbox", "write smtp://[user:password@]host"),
        ("smtp://localhost?tls=yes", "tls: 'yes' is none of auto, starttls, implicit, none"),
        ("smtp://me:s3cret@localhost?tsl=no", "'smtp://…@localhost?tsl=no': tsl: is not known"),
    ],
)
def test_what_is_no_mailer_is_told_without_its_password(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)) as raised:
        open_mailer(url)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("extra", "package", "url"),
    [("ses", "aioboto3", "ses:"), ("smtp", "aiosmtplib", "smtp://localhost")],
)
def test_without_its_package_it_says_what_to_install(extra: str, package: str, url: str) -> None:
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from eventuary import ConfigurationError\n"
        "from eventuary.integrations.email import open_mailer\n"
        "open_mailer('outbox:here')\n"
        "try:\n"
        f"    open_mailer({url!r})\n"
        "except ConfigurationError as error:\n"
        "    print(error)"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout
    assert said == (
        f"{extra}: needs a package that is not installed ({package}): "
        f"pip install 'eventuary[{extra}]'\n"
    )
