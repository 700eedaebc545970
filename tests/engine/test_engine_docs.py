"""The code on the engine's pages runs, and is the same in both languages."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def blocks(name: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("name", ["engine.md", "engine.ja.md"])
def test_page_runs(name: str) -> None:
    code = blocks(name)
    assert len(code) == 3
    exec(compile("\n".join(code), name, "exec"), {})


def test_pages_show_the_same_code() -> None:
    english, japanese = (["".join(re.sub(r"#.*", "", b).split()) for b in blocks(name)] for name in ("engine.md", "engine.ja.md"))
    assert english == japanese
