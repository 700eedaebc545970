"""Kana in Latin letters: the Hepburn system without long marks, for words that no lexicon has."""

ROWS = {
    "": "アイウエオ", "k": "カキクケコ", "s": "サシスセソ", "t": "タチツテト", "n": "ナニヌネノ", "h": "ハヒフヘホ", "m": "マミムメモ",
    "r": "ラリルレロ", "g": "ガギグゲゴ", "z": "ザジズゼゾ", "d": "ダヂヅデド", "b": "バビブベボ", "p": "パピプペポ",
}  # fmt: skip
LETTERS = {kana: consonant + vowel for consonant, row in ROWS.items() for kana, vowel in zip(row, "aiueo", strict=True)}
LETTERS |= {"シ": "shi", "チ": "chi", "ツ": "tsu", "フ": "fu", "ジ": "ji", "ヂ": "ji", "ヅ": "zu"}
LETTERS |= {"ヤ": "ya", "ユ": "yu", "ヨ": "yo", "ワ": "wa", "ヲ": "o", "ン": "n", "ヴ": "vu", "ヰ": "i", "ヱ": "e"}
LETTERS |= {"ァ": "a", "ィ": "i", "ゥ": "u", "ェ": "e", "ォ": "o", "ャ": "ya", "ュ": "yu", "ョ": "yo", "ヮ": "wa", "ヵ": "ka", "ヶ": "ka"}
SMALL_Y = {"ャ": "a", "ュ": "u", "ョ": "o"}
SMALL_VOWELS = {"ァ": "a", "ィ": "i", "ゥ": "u", "ェ": "e", "ォ": "o"}
TO_KATAKANA = {code: code + 0x60 for code in range(ord("ぁ"), ord("ゖ") + 1)}


def katakana(text: str) -> str:
    """The same with hiragana as katakana."""
    return text.translate(TO_KATAKANA)


def romanised(text: str) -> str:
    """A run of kana in Latin letters: キャット -> kyatto, りんご -> ringo. Other characters stay."""
    out: list[str] = []
    for kana in katakana(text):
        last = out[-1] if out else ""
        if kana in SMALL_Y and len(last) > 1 and last.endswith("i"):
            out[-1] = last[:-1] + ("" if last in ("shi", "chi", "ji") else "y") + SMALL_Y[kana]
        elif kana in SMALL_VOWELS and len(last) > 1 and last[-1] in "aiueo":
            out[-1] = last[:-1] + SMALL_VOWELS[kana]
        else:
            out.append({"ー": "", "ッ": "ッ", "・": " "}.get(kana, LETTERS.get(kana, kana)))
    return _doubled("".join(out))


def _doubled(text: str) -> str:
    """A small tsu is the consonant behind it once more."""
    out = []
    for here, behind in zip(text, text[1:] + " ", strict=False):
        out.append(here if here != "ッ" else "t" if behind == "c" else behind if behind.isascii() and behind.isalpha() else "")
    return "".join(out)
