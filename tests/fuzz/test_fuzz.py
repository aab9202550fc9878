"""Each fuzzer of the engines for a moment, on the committed corpus and on what it makes of that."""

from __future__ import annotations

from pathlib import Path

import fuzzing
import pytest

SECONDS = 5


@pytest.mark.parametrize("name", fuzzing.FUZZERS)
def test_nothing_is_found(name: str, seed: int, tmp_path: Path) -> None:
    try:
        program = fuzzing.build(name, tmp_path)
    except RuntimeError as error:
        pytest.fail(str(error), pytrace=False)
    result = fuzzing.run(program, SECONDS, seed, tmp_path / "kept")
    assert result.returncode == 0, fuzzing.summary(result)
    assert "Done" in fuzzing.summary(result)


@pytest.mark.parametrize("name", fuzzing.FUZZERS)
def test_the_corpus_is_there(name: str) -> None:
    assert list((fuzzing.CORPUS / name).iterdir())
