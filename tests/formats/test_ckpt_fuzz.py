"""A few of the changed files of `benchmarks/fuzz_checkpoints.py`: read as another reader reads them, or refused in one line."""

from pathlib import Path

import pytest

from formats.fuzz import FORMATS, cases, judge


@pytest.mark.parametrize("form", FORMATS)
def test_changed_files_are_read_or_refused(form: str, tmp_path: Path) -> None:
    verdicts = [judge(form, honest, data, tmp_path) for honest, data in cases(form, 500, seed=1)]
    assert [verdict.outcome for verdict in verdicts if verdict.wrong] == []
    assert {verdict.outcome for verdict in verdicts} == {"equal", "changed", "refused"}


@pytest.mark.parametrize("form", FORMATS)
def test_files_left_as_they_are_are_read(form: str, tmp_path: Path) -> None:
    for honest, _ in cases(form, 30, seed=2):
        assert judge(form, honest, honest, tmp_path).outcome == "equal"
