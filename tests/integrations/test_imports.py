"""The framework needs none of the libraries that it can work with."""

import subprocess
import sys

import pytest

LIBRARIES = [
    "aioboto3",
    "aiosmtplib",
    "cryptography",
    "fastapi",
    "opentelemetry",
    "pydantic",
    "sqlalchemy",
    "structlog",
]


def _said(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout


def test_importing_the_framework_imports_none_of_them() -> None:
    imported = _said(
        "import sys, eventuary, eventuary.key_stores.file, eventuary.integrations.logging\n"
        "import eventuary.integrations.email\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    assert [library for library in LIBRARIES if f"'{library}'" in imported] == []
    assert "'msgspec'" in imported


@pytest.mark.parametrize(
    ("module", "libraries"),
    [("pydantic", {"pydantic"}), ("opentelemetry", {"opentelemetry"}), ("logging", set())],
)
def test_an_integration_wants_its_own_library_alone(module: str, libraries: set[str]) -> None:
    others = [each for each in LIBRARIES if each not in libraries]
    assert (
        _said(
            f"import sys; sys.modules.update(dict.fromkeys({others!r}))\n"
            f"import eventuary.integrations.{module}; print('imported')"
        )
        == "imported\n"
    )


def test_encryption_without_its_package_says_what_to_install() -> None:
    said = _said(
        "import sys; sys.modules['cryptography'] = None\n"
        "from eventuary import Encryption, ConfigurationError\n"
        "from eventuary.key_stores.file import FileKeyStore\n"
        "try:\n"
        "    Encryption(FileKeyStore('keys'))\n"
        "except ConfigurationError as error:\n"
        "    print(error)"
    )
    assert "pip install 'eventuary[encryption]'" in said
