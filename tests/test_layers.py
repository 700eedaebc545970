"""Imports point one way: a file may use files of its own folder and of lower levels, nothing else of kakusan."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1] / "src/kakusan"
LEVELS = (
    {"messages"},
    {"errors"},
    {"types", "noise", "images", "schedules", "words", "spans", "charts", "display"},
    {"models", "samplers", "prompts"},
    {"denoiser", "guidance", "masking", "tiles", "windows", "formats", "run", "glimpse", "animation"},
    {"tasks", "engine", "networks", "safety"},
    {"likeness", "upscaling", "memory"},
    {"result"},
    {"pipeline", "data"},
    {"loading"},
    {"training", "evaluation", "compat", "masks", "grids", "variations"},
    {"cli"},
    {"__init__", "__main__"},
)
LEVEL = {name: level for level, names in enumerate(LEVELS) for name in names}


def test_imports_point_down() -> None:
    for file in ROOT.rglob("*.py"):
        here = file.relative_to(ROOT).parts
        home = here[0].removesuffix(".py")
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                above = [*here[: len(here) - node.level], *(node.module or "").split(".")]
                targets = [above[0]] if above[0] else [alias.name for alias in node.names]
                for target in targets:
                    assert target == home or LEVEL[target] < LEVEL[home], f"{file}: {home} may not import {target}"


def test_no_context_manager_spans_a_yield() -> None:
    """`with torch.no_grad():` round a `yield` would leak into whoever drives the generator."""
    for file in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.With):
                names = {
                    n.func.attr for i in node.items for n in ast.walk(i) if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)
                }
                if names & {"no_grad", "inference_mode", "enable_grad", "autocast", "device"}:
                    assert not any(isinstance(n, ast.Yield | ast.YieldFrom) for n in ast.walk(node)), f"{file}:{node.lineno}"
