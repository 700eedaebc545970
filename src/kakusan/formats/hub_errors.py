"""What goes wrong with the hub, in one line that says what to do; huggingface_hub has a page for each."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import FileError, KakusanError


def refusal(error: Exception, repo: str, revision: str) -> KakusanError | None:
    """What the hub says no to, so that asking again is no use; None for what may pass."""
    from huggingface_hub import errors

    table: tuple[tuple[type[Exception], Callable[[], KakusanError]], ...] = (
        (errors.GatedRepoError, lambda: _gated(repo)),
        (errors.RepositoryNotFoundError, lambda: _unknown(repo)),
        (errors.RevisionNotFoundError, lambda: _no_revision(repo, revision)),
        (errors.EntryNotFoundError, lambda: _gone(repo, error)),
        (errors.HFValidationError, lambda: _no_id(repo)),
    )
    for kind, made in table:
        if isinstance(error, kind):
            return made()
    status = status_of(error)
    if status in (401, 403):
        return KakusanError(
            f"{repo}: the hub refuses access ({status}); give a token that may read it, with --token or HF_TOKEN",
            f"{repo}: アクセスが拒否されました ({status})。閲覧できるトークンを --token か HF_TOKEN で指定してください",
        )
    return _unknown(repo) if status == 404 else None


def status_of(error: Exception) -> int | None:
    """The HTTP status that an error came with."""
    response: Any = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    return status if isinstance(status, int) else None


def unreachable(repo: str, error: Exception | None, root: Path) -> FileError:
    """A model that is not in the cache, and no way to the hub; error is None where the environment forbids to ask."""
    if error is None:
        en, ja = "HF_HUB_OFFLINE is set", "HF_HUB_OFFLINE が設定されています"
    else:
        en = ja = brief(error)
    return FileError(
        f"{repo}: not in the local cache ({root}), and the hub cannot be asked ({en}); run `kakusan pull {repo}` with a connection first",
        f"{repo}: ローカルキャッシュ ({root}) になく、接続もできません ({ja})。接続できるときに `kakusan pull {repo}` を実行してください",
    )


def damaged(repo: str, name: str, tries: int) -> FileError:
    """A file that never arrived whole."""
    return FileError(
        f"{repo}: {name}: arrived damaged {tries} times (size or hash is wrong) and was not kept; try again later",
        f"{repo}: {name}: {tries} 回とも壊れて届いたため (大きさかハッシュが不一致) 保存しませんでした。後でもう一度お試しください",
    )


def interrupted(repo: str, name: str, error: Exception) -> FileError:
    """A download that broke off again and again."""
    return FileError(
        f"{repo}: {name}: the download broke off ({brief(error)}); run the same again to go on where it stopped",
        f"{repo}: {name}: ダウンロードが中断しました ({brief(error)})。もう一度実行すると続きから再開します",
    )


def spoilt(file: Path, repo: str) -> FileError:
    """A file in the cache that does not hold what it must, where it cannot be fetched anew."""
    return FileError(
        f"{file}: damaged: its contents are not what the hub has; run `kakusan pull {repo}` with a connection",
        f"{file}: 壊れています (ハブの内容と一致しません)。接続できるときに `kakusan pull {repo}` を実行してください",
    )


def disk(error: OSError, path: Path) -> FileError:
    """What the disk refuses."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FileError(
            f"{path}: the disk is full; make room, then run the same again",
            f"{path}: ディスクがいっぱいです。空けてからもう一度実行してください",
        )
    reason = error.strerror or str(error)
    return FileError(f"{path}: cannot be written ({reason})", f"{path}: 書き込めません ({reason})")


def brief(error: Exception) -> str:
    """An error in a few words, on one line."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said if len(said) <= 120 else f"{said[:117]}..."


def _gated(repo: str) -> KakusanError:
    return KakusanError(
        f"{repo}: gated: accept its terms on its page while logged in, then give your token with --token or HF_TOKEN",
        f"{repo}: 利用条件への同意が必要です。ログインしてモデルのページで同意し、トークンを --token か HF_TOKEN で指定してください",
    )


def _unknown(repo: str) -> KakusanError:
    return KakusanError(
        f"{repo}: no such model on the hub, or a private one; check the id, or give a token with --token or HF_TOKEN",
        f"{repo}: ハブにないか、非公開のモデルです。ID を確かめるか、トークンを --token か HF_TOKEN で指定してください",
    )


def _no_revision(repo: str, revision: str) -> KakusanError:
    return KakusanError(f"{repo}: has no revision {revision!r}", f"{repo}: リビジョン {revision!r} はありません")


def _gone(repo: str, error: Exception) -> KakusanError:
    return KakusanError(f"{repo}: a file is not there ({brief(error)})", f"{repo}: ファイルがありません ({brief(error)})")


def _no_id(repo: str) -> KakusanError:
    return KakusanError(
        f"{repo!r} is not a hub id; give it as ORG/NAME", f"{repo!r} はハブの ID ではありません。ORG/NAME の形で指定してください"
    )
