"""What a picture's file tells of how it was made, whichever program wrote it: `remembered(path)`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import KakusanError
from ..messages import tr
from ..tasks.recipe import Recipe
from .a1111 import read_a1111
from .comfyui import read_graph
from .comfyui_workflow import as_ran
from .invokeai import read_dream, read_invokeai, read_sd_metadata
from .json_texts import said, table
from .others import read_fooocus, read_novelai
from .record import Record, read_record
from .settings import settings_of
from .texts import read_texts
from .told import Told, recipe_of

OWN = re.compile(r"kakusan ")


@dataclass(frozen=True)
class Memory:
    """What a picture remembers. recipe: None if nothing tells enough of one. program: that made it, "" if unknown.

    profile: whose rules draw it alike ("a1111", "comfyui", "invokeai", "diffusers"; "" are our own). notes: what cannot be honoured,
    or was wrong, one line each. extra: all texts of the file by their keys. record: our own, if it has one. parameters: the text
    that AUTOMATIC1111's web UI would show.
    """

    recipe: Recipe | None = None
    program: str = ""
    profile: str = ""
    notes: tuple[str, ...] = ()
    extra: Mapping[str, str] = field(default_factory=dict)
    record: Record | None = None
    parameters: str = ""


def remembered(path: str | Path) -> Memory:
    """What the file of a picture tells: our record, or what another program wrote. Raises FileError if it is no picture."""
    found = read_texts(Path(path))
    return of_texts(found.by_key, (found.width, found.height), found.notes)


def of_texts(texts: Mapping[str, str], size: tuple[int, int] = (0, 0), left_out: list[str] | None = None) -> Memory:
    """The same of texts by their keys. size: of the picture."""
    notes = list(left_out or [])
    parameters = texts.get("parameters", texts.get("comment", ""))
    record = _record(texts, notes)
    if record is not None:
        return Memory(record.recipe, "kakusan", "", tuple(notes), texts, record, parameters)
    recipe = _own(parameters)
    if recipe is not None:
        return Memory(recipe, "kakusan", "", tuple(notes), texts, None, parameters)
    told = _told(texts)
    if told is None:
        if parameters:
            notes.append(tr("its text is of no form that kakusan knows", "テキストが kakusan の知らない形式です"))
        return Memory(None, "", "", tuple(notes), texts, None, parameters)
    told.size = size
    recipe, further = recipe_of(told)
    return Memory(recipe, told.program, told.profile, (*notes, *further), texts, None, parameters)


def _record(texts: Mapping[str, str], notes: list[str]) -> Record | None:
    if "kakusan" not in texts:
        return None
    try:
        record, further = read_record(texts["kakusan"])
    except KakusanError as error:
        notes.append(str(error))
        return None
    notes += further
    return record


def _own(text: str) -> Recipe | None:
    """The recipe of a picture of ours that holds nothing but the parameters."""
    line = text.rpartition("\n")[2]
    if not OWN.match(settings_of(line).get("Version", "")):
        return None
    try:
        return Recipe.parse(text)
    except (KakusanError, ValueError, ArithmeticError):
        return None


def _told(texts: Mapping[str, str]) -> Told | None:
    """What the first program tells that can be understood. A graph that ran tells more than any text made of it."""
    for reader in (_comfyui, _invokeai, _fooocus, _novelai, _a1111, _workflow):
        told = reader(texts)
        if told is not None:
            return told
    return None


def _comfyui(texts: Mapping[str, str]) -> Told | None:
    nodes = table(texts.get("prompt", ""))
    return None if nodes is None else read_graph(nodes)


def _workflow(texts: Mapping[str, str]) -> Told | None:
    graph = table(texts.get("workflow", ""))
    if graph is None:
        return None
    hint = tr("read from the editor's graph: stock nodes only", "エディターのグラフから読み取り (標準ノードのみ)")
    return read_graph(as_ran(graph), [hint])


def _invokeai(texts: Mapping[str, str]) -> Told | None:
    meta = table(texts.get("invokeai_metadata", ""))
    if meta is not None:
        return read_invokeai(meta)
    older = table(texts.get("sd-metadata", ""))
    if older is not None:
        return read_sd_metadata(older)
    return read_dream(texts["Dream"]) if "Dream" in texts else None


def _fooocus(texts: Mapping[str, str]) -> Told | None:
    scheme = texts.get("fooocus_scheme", texts.get("MakerNote", ""))
    meta = table(texts.get("parameters", texts.get("comment", "")))
    if meta is None or not (scheme == "fooocus" or meta.keys() & {"base_model", "full_prompt", "metadata_scheme"}):
        return None
    return read_fooocus(meta)


def _novelai(texts: Mapping[str, str]) -> Told | None:
    comment = table(texts.get("Comment", ""))
    if comment is None or not (texts.get("Software") == "NovelAI" or comment.keys() >= {"uc", "steps"}):
        return None
    return read_novelai(comment, said(texts.get("Description", "")))


def _a1111(texts: Mapping[str, str]) -> Told | None:
    text = texts.get("parameters", texts.get("comment", ""))
    return read_a1111(text) if text else None
