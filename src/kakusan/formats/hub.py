"""Models by their name on a hub: the files we need, fetched through huggingface_hub into the cache that other programs share.

huggingface_hub does not look at what it has downloaded; here every file is checked against the hub's own hash before it is let in.
Nothing is asked of a hub unless its id was named.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import FileError, KakusanError
from ..messages import tr
from .hub_cache import COMMIT, Contents, Repository, expected, offline
from .hub_errors import brief, interrupted, refusal, spoilt, status_of, unreachable
from .hub_fetch import PAUSE, Wanted, fetch
from .hub_files import chosen
from .hub_progress import Shown, size
from .licence import Agree, Terms, licence_in, show_once

ID = re.compile(r"(?!.*(?:\.\.|--))[A-Za-z0-9][\w.-]*/[\w.-]*[A-Za-z0-9_]", re.ASCII)
REVISION = re.compile(r"(?!.*\.\.)[\w][\w./+-]*", re.ASCII)
TIMEOUT = 10.0  # seconds that the hub has to answer
ASKS = 3


def split_id(text: str) -> tuple[str, str | None] | None:
    """ORG/NAME, and the file in it if one is named behind that: ORG/NAME/FILE. None if the text cannot be such."""
    org, _, rest = text.partition("/")
    name, _, file = rest.partition("/")
    return (f"{org}/{name}", file or None) if ID.fullmatch(f"{org}/{name}") else None


def snapshot(
    id: str,
    revision: str | None = None,
    token: str | None = None,
    variant: str | None = None,
    *,
    file: str | None = None,
    subfolder: str | None = None,
    agree: Agree | None = None,
    quiet: bool = False,
) -> Path:
    """The folder that a model of the hub lies in, or the path of its one single file; what is not in the cache is fetched.

    id: ORG/NAME, or ORG/NAME/FILE for a single file, as `file` names it. revision: a branch, tag or commit. variant: the weights to
    fetch where there are several, such as "fp16". subfolder: fetch that part alone. agree: asked about terms instead of printing them.
    Raises KakusanError if the hub refuses or has no such thing; FileError if it cannot be reached and the cache does not have it,
    if a file does not arrive whole, or if the disk refuses.
    """
    named = split_id(id)
    revision = revision or "main"
    if named is None or not REVISION.fullmatch(revision):
        wrong = id if named is None else revision
        raise KakusanError(
            f"{wrong!r} is not a hub id or revision; give ORG/NAME",
            f"{wrong!r} はハブの ID やリビジョンではありません。ORG/NAME の形で指定してください",
        )
    place = Repository(named[0])
    wish = {"file": file or named[1], "subfolder": subfolder, "variant": variant}
    if offline():
        return _cached(place, revision, wish, agree, None)
    info = _asked(place, revision, token)
    if isinstance(info, Exception):
        return _cached(place, revision, wish, agree, info)
    show_once(Terms(place.id, _licence(info.card_data), bool(info.gated)), agree)
    return _fetched(place, revision, info, wish, token, quiet)


def _asked(place: Repository, revision: str, token: str | None) -> Any:
    """What the hub says of a model: its commit, files, hashes and licence; or the error that kept it from saying so."""
    from huggingface_hub import HfApi

    error: Exception | None = None
    for attempt in range(ASKS):
        time.sleep(PAUSE * attempt)
        try:
            api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"), token=token)
            return api.model_info(place.id, revision=revision, files_metadata=True, timeout=TIMEOUT)
        except Exception as failure:  # which, differs with the library's version and the HTTP library under it
            error = refusal(failure, place.id, revision) or failure
        if isinstance(error, KakusanError) or (status_of(error) is None and place.commit_of(revision)):
            break
    return error


def _fetched(place: Repository, revision: str, info: Any, wish: Mapping[str, str | None], token: str | None, quiet: bool) -> Path:
    """The model as the hub has it now."""
    commit = str(info.sha)
    if not COMMIT.fullmatch(commit):
        raise FileError(f"{place.id}: the hub names no commit but {commit!r}", f"{place.id}: ハブの答えにコミットがありません ({commit!r})")
    siblings = {sibling.rfilename: sibling for sibling in info.siblings or []}
    names = chosen(place.id, siblings, **wish)
    files = [_wanted(place.id, siblings[name], commit, token) for name in names]
    lacking = _lacking(place, commit, files, quiet)
    if lacking:
        _download(place, commit, lacking, token, quiet)
    place.remember(revision, commit)
    return _path(place.snapshot(commit), siblings, names, wish)


def _wanted(repo: str, sibling: Any, commit: str, token: str | None) -> Wanted:
    """A file of the listing; where that names no hash, the file's own headers do."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    name, endpoint = sibling.rfilename, os.environ.get("HF_ENDPOINT")
    url = hf_hub_url(repo, name, revision=commit, endpoint=endpoint)
    if (lfs := getattr(sibling, "lfs", None)) is not None:
        return Wanted(name, url, Contents(lfs["size"], lfs["sha256"]))
    if (digest := getattr(sibling, "blob_id", None)) is not None:
        return Wanted(name, url, Contents(sibling.size, digest))
    try:
        found = get_hf_file_metadata(url, token=token, timeout=TIMEOUT)
    except Exception as error:  # as above
        raise refusal(error, repo, commit) or interrupted(repo, name, error) from error
    contents = Contents(found.size, found.etag or name)
    if not contents.provable:
        print(
            tr(f"{repo}: {name}: the hub names no hash, so that it cannot be checked", f"{repo}: {name}: ハッシュがなく検証できません"),
            file=sys.stderr,
        )
    return Wanted(name, url, contents)


def _lacking(place: Repository, commit: str, files: Sequence[Wanted], quiet: bool) -> list[Wanted]:
    """The files that are not in the cache, or are and do not hold what they must."""
    held = {wanted: place.snapshot(commit) / wanted.name for wanted in files}
    held = {wanted: file for wanted, file in held.items() if file.is_file()}
    total = sum(file.stat().st_size for file in held.values())
    sound = set()
    with Shown(tr(f"checking {place.id}", f"{place.id} を検証中"), total, quiet) as shown:
        for wanted, file in held.items():
            if wanted.contents.are_in(file, shown.read):
                sound.add(wanted)
            shown.finished(file.stat().st_size)
    return [wanted for wanted in files if wanted not in sound]


def _download(place: Repository, commit: str, files: Sequence[Wanted], token: str | None, quiet: bool) -> None:
    from huggingface_hub.utils import build_hf_headers

    total = sum(wanted.contents.size or 0 for wanted in files)
    _check_room(place.root, total)
    headers = build_hf_headers(token=token)
    what = tr(f"downloading {place.id}", f"{place.id} をダウンロード中")
    if not quiet:
        count = len(files)
        print(tr(f"{what}: {count} files, {size(total)}", f"{what}: {count} ファイル、{size(total)}"), file=sys.stderr, flush=True)
    with Shown(what, total, quiet) as shown:
        for wanted in files:
            fetch(place, commit, wanted, headers, shown.at)
            shown.finished(wanted.contents.size or 0)


def _check_room(root: Path, needed: int) -> None:
    folder = next(folder for folder in (root, *root.absolute().parents) if folder.is_dir())
    if (free := shutil.disk_usage(folder).free) < needed:
        raise FileError(
            f"{root}: {size(needed)} are to be downloaded and {size(free)} are free; make room, or point HF_HOME elsewhere",
            f"{root}: ダウンロードは {size(needed)} ですが空きは {size(free)} です。空けるか HF_HOME を変えてください",
        )


def _cached(place: Repository, revision: str, wish: Mapping[str, str | None], agree: Agree | None, error: Exception | None) -> Path:
    """The model as the cache has it, when the hub may not or cannot be asked."""
    commit = place.commit_of(revision)
    held = place.held(commit) if commit else []
    try:
        names = chosen(place.id, held, **wish) if held else []
    except KakusanError:
        names = []
    if commit is None or not names:
        raise error if isinstance(error, KakusanError) else unreachable(place.id, error, place.root)
    folder = place.snapshot(commit)
    for name in names:
        if not expected(folder / name).are_in(folder / name):
            raise spoilt(folder / name, place.id)
    if error is not None:
        reason = brief(error)
        print(tr(f"{place.id}: out of the cache ({reason})", f"{place.id}: キャッシュから読み込みます ({reason})"), file=sys.stderr)
    show_once(Terms(place.id, licence_in(folder / "README.md")), agree)
    return _path(folder, held, names, wish)


def _path(folder: Path, there: Collection[str], names: Sequence[str], wish: Mapping[str, str | None]) -> Path:
    """A model's folder, or its single file: the first that was chosen."""
    in_folders = "model_index.json" in there or "config.json" in there or wish["subfolder"] is not None
    return folder if in_folders and wish["file"] is None else folder / names[0]


def _licence(card: Any) -> str:
    """The licence's name in a model card's settings; for one of another name, that."""
    names = [getattr(card, name, None) for name in ("license", "license_name")]
    said = [name if isinstance(name, str) else ", ".join(map(str, name)) for name in names if name]
    return next((name for name in reversed(said) if name), "")
