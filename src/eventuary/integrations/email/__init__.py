"""E-mail: through Amazon SES, by SMTP, or into a folder.

async with open_mailer("ses:?region=eu-central-1") as mailer: ...
    await context.call(ses, lambda key: mailer.send(message, key))
"""

from eventuary.integrations.email.mailer import Mailer
from eventuary.integrations.email.opening import open_mailer

__all__ = ["Mailer", "open_mailer"]
