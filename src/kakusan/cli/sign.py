"""`kakusan sign`: a copy of a picture with signed Content Credentials (C2PA)."""

from pathlib import Path

from ..messages import tr
from .parser import Arguments, Parser

NAME = "sign"
HELP = ("sign a picture: Content Credentials (C2PA)", "画像に署名する: Content Credentials (C2PA)")


def add_arguments(parser: Parser) -> None:
    """The picture, and with what."""
    add = parser.add_argument
    add("file", metavar="FILE", type=Path, help=tr("a picture: PNG, JPEG or WebP", "画像 (PNG、JPEG、WebP)"))
    add("out", metavar="OUT", type=Path, help=tr("the signed copy", "署名した画像の保存先"))
    chain = tr("the certificate and those above it, PEM", "証明書とその上位の証明書 (PEM)")
    add("--cert", metavar="FILE", type=Path, required=True, help=chain)
    add("--key", metavar="FILE", type=Path, required=True, help=tr("its private key, PEM, curve P-256", "その秘密鍵 (PEM、P-256)"))


def run(args: Arguments) -> int:
    """Sign, and print the copy's name."""
    from ..safety.credentials import sign

    sign(args.file, args.out, args.cert, args.key)
    print(args.out)
    return 0
