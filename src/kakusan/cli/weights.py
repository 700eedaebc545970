"""What `kakusan info` tells of a file of weights."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..messages import tr
from .parser import Arguments
from .table import print_json, print_table
from .transfer import transfer

if TYPE_CHECKING:
    from ..formats.source import Source
    from ..formats.summary import Summary

LONGEST = 160
"""Characters of a line of metadata; --json has all of it."""
FIRST_FEW = 5


def tell(args: Arguments) -> int:
    """Print it; the weights themselves are read for their hash, and for nothing else unless --probe is given."""
    from ..formats.files import open_file
    from ..formats.hashes import sha256, unchanged
    from ..formats.summary import summary

    path: Path = args.path
    with unchanged(path):
        source = open_file(path)
        about = summary(source, args.config)
        with transfer(tr("hashing", "ハッシュを計算中"), path.stat().st_size) as moved:
            digest = sha256(path, moved)
    if args.probe and about.found is not None and about.found.prediction is None:
        about = _probed(path, args.config, about)
    if args.json:
        print_json(_report(source, about, digest))
    else:
        _print(source, about, digest)
    return 0


def _probed(path: Path, config: Path | None, about: "Summary") -> "Summary":
    """With what one evaluation says that the U-Net predicts; the last note tells why."""
    from ..formats.single import read_single

    model = read_single(path, config=config)
    found = replace(about.found, prediction=model.schedule.prediction, reason=(model.notes[-1],) * 2)  # type: ignore[type-var]
    return replace(about, found=found)


def _report(source: "Source", about: "Summary", digest: str) -> dict[str, Any]:
    found = about.found
    return {
        "format": about.format,
        "kind": about.kind[0],
        "family": found.family if found else None,
        "variant": found.variant if found else None,
        "prediction": found.prediction.replace("_", "-") if found and found.prediction else None,
        "dtype": about.dtypes,
        "parameters": about.parameters,
        "ema": about.ema,
        "sha256": digest,
        "short_hash": digest[:10],
        **_lora(source, about),
        "metadata": dict(source.metadata),
        "tensors": about.tensors,
        "extra": list(about.extra),
    }


def _lora(source: "Source", about: "Summary") -> dict[str, Any]:
    from ..formats.lora_summary import lora_summary

    found = lora_summary(source) if about.found is None else None
    return {"lora": asdict(found)} if found else {}


def _print(source: "Source", about: "Summary", digest: str) -> None:
    print(f"{_shown(source.file.name)}\n")
    print_table([(name, value) for name, value in _facts(source, about, digest) if value])
    rows = [(tr("network", "ネットワーク"), tr("parameters", "パラメーター数"), tr("stored as", "保存形式"))]
    print()
    print_table(rows + [(name, f"{count:,}", about.dtypes[name]) for name, count in about.parameters.items()])
    if source.metadata:
        print(f"\n{tr('metadata', 'メタデータ')}")
        for name, value in source.metadata.items():
            line = _shown(f"{name}: {value}")
            print(f"  {line[:LONGEST]}{'...' if len(line) > LONGEST else ''}")
    if about.extra:
        names = ", ".join(map(_shown, about.extra[:FIRST_FEW])) + (", ..." if len(about.extra) > FIRST_FEW else "")
        known = tr("tensors of no network that kakusan knows", "どのネットワークのものか不明なテンソル")
        print(f"\n{known}: {len(about.extra)} ({names})")


def _facts(source: "Source", about: "Summary", digest: str) -> list[tuple[str, str]]:
    from ..formats.hashes import content_hash, old_hash

    size, loose = source.file.stat().st_size, about.found is None and about.format == "safetensors"
    return [
        (tr("kind", "種類"), tr(*about.kind)),
        (tr("family", "系統"), _family(about)),
        (tr("predicts", "予測"), _prediction(about)),
        *(_beside(source) if about.found is None else ()),
        (
            tr("format", "形式"),
            tr(
                f"{about.format}, {about.tensors:,} tensors, {size:,} bytes",
                f"{about.format}、テンソル {about.tensors:,} 個、{size:,} バイト",
            ),
        ),
        ("EMA", _averages(about)),
        ("SHA-256", digest),
        (tr("short hash", "短いハッシュ"), digest[:10]),
        (tr("old hash", "旧ハッシュ"), old_hash(source.file)),
        (tr("content hash", "内容のハッシュ"), content_hash(source.file) if loose else ""),
    ]


def _family(about: "Summary") -> str:
    from ..formats.summary import words

    found = about.found
    return words(found.family, found.variant, found.prediction) if found and found.unet else ""


def _beside(source: "Source") -> list[tuple[str, str]]:
    """What a LoRA is, or a learnt word."""
    from ..formats.lora_summary import embedding_summary, lora_summary

    if (lora := lora_summary(source)) is not None:
        ranks = ", ".join(
            f"{rank} ({layers})" if len(lora.ranks) > 1 else str(rank) for rank, layers in list(lora.ranks.items())[:FIRST_FEW]
        )
        names = {"unet": "U-Net", "text": tr("text encoder", "テキストエンコーダー")}
        layers = ", ".join(f"{names[network]} {count}" for network, count in lora.layers.items())
        return [
            (tr("family", "系統"), lora.family),
            (tr("form", "形"), tr(f"{lora.form}, {lora.names}'s names", f"{lora.form} ({lora.names} の名前)")),
            (tr("rank", "ランク"), ranks),
            (tr("layers", "層"), layers),
        ]
    if (word := embedding_summary(source)) is not None:
        vectors, width, family = word
        told = tr(f"{vectors} vectors of width {width}", f"幅 {width} のベクトル {vectors} 本")
        return [(tr("family", "系統"), family), (tr("word", "語"), told)]
    return []


def _prediction(about: "Summary") -> str:
    found = about.found
    if found is None or found.unet is None:
        return ""
    if found.prediction is None:
        return tr(
            "epsilon or v-prediction: the file does not say; --probe finds out",
            "epsilon か v-prediction か、ファイルには書かれていません。--probe で調べられます",
        )
    return f"{found.prediction.replace('_', '-')} ({tr(*found.reason)})"


def _averages(about: "Summary") -> str:
    if about.found is None:
        return ""
    return {
        "none": tr("none beside the weights", "別には入っていません"),
        "leftovers": tr("pruned: the weights themselves are the averages, as a rule", "整理済み: 通常は重み自体が EMA です"),
        "full": tr("both raw and averaged weights", "元の重みと EMA の両方"),
    }[about.ema]


def _shown(text: str) -> str:
    """A text out of a file on one line, without anything that a terminal would obey."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
