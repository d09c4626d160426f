"""The command line in this process, as tests call it."""

from unittest import mock

from lightning_modules.cli import main as cli


def redact(*arguments: object) -> int:
    """The exit status of ``redact ARGUMENTS``; its parsers read ``sys.argv``."""
    with mock.patch("sys.argv", ["redact", *map(str, arguments)]):
        return cli.main()
