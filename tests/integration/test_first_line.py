"""What an error of another library says becomes the end of one line of ours."""

from pathlib import Path

import pytest

from modalities.weight_files import refusing
from redact_core import RedactError
from redact_core.errors import first_line


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError("no such model\nTraceback ..."), "no such model"),
        (ValueError("\n  of two lines\nthe second"), "of two lines"),
        (KeyError(), "KeyError"),
        (RuntimeError("  \n"), "RuntimeError"),
    ],
)
def test_the_first_line_of_an_error_or_its_class(error: Exception, line: str) -> None:
    assert first_line(error) == line


def test_an_error_that_says_nothing_is_one_line_too(tmp_path: Path) -> None:
    with (
        pytest.raises(RedactError, match=r"holds no model \(TypeError\); give a folder with weights"),
        refusing(tmp_path, "model", "weights"),
    ):
        raise TypeError
