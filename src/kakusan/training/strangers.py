"""Words that tell nothing about a picture, put into captions, so that a model learns to pass over what it does not know.

Without them every prompt with a word outside the captions meets token embeddings that training never touched.
"""

import functools

from ..data.pictures import COLOURS, CONCEPTS, Chance

# None of them says where, how large or how many: such words mean something in larger worlds.
ENGLISH = """
a about again all almost also always am any are as at away be because been best bit both bring by came come day do does
done down each early else even ever every far fast few find first for found from full fun get glad go going gone got had
has have he hello help her hers hi high him his hope how if important in into its join keep kind know last late least
less let life like live long lot love made many may maybe me mine moment more most much must name near never new now of
off often old on once or other our own part past people perhaps place quite rather ready real really same say seen she
should so some someone something sometimes soon special still such take thank thanks them then these they thing things
think those time today too until up us use used very want was way we well were what when which while who why will with
wonder word world yes yet you young your
"""
JAPANESE = """
とても すごく もっと 少し ちょっと 本当に たぶん いつも いつもの 今日の 昨日の 明日の 昔の 今の 新しい 古い 若い
大好きな 好きな 有名な 特別な 不思議な 誰かの 僕の 君の みんなの どこかの 世界の 日本の 元気な 静かな やさしい
楽しそうな さっき見た 見える そんな こんな どんな ある日の ねえ えっと あの、 はい、 それから そして また やっぱり
きっと 早く ゆっくり 上手に 一番 最高の 手作りの 本物の
"""
CONSONANTS, VOWELS = "bcdfghjklmnprstvwyz", "aaeeiou"
KANJI = "年会社時間新高長東京学生先今話手何方体自分名国語文字世界心道力理由平和光風声歌夢朝昼夕春夏冬週月火金土友"
MARKS = ("", "", "", "", ",", "!", ".")


def estranged(text: str, chance: Chance) -> str:
    """A caption with one to three meaningless words in it, never inside the name of a thing or a colour."""
    english = text.isascii()
    for _ in range(chance.pick((1, 1, 2, 3))):
        gap = chance.pick(gaps(text, english))
        word = stranger(english, chance)
        text = " ".join(filter(None, (text[:gap].strip(), word, text[gap:].strip()))) if english else text[:gap] + word + text[gap:]
    return text


def gaps(text: str, english: bool) -> list[int]:
    """Where a word may be put in: between words in English, anywhere in Japanese, but not inside what names something."""
    places = [0, *(i for i in range(1, len(text)) if not english or text[i] == " "), len(text)]
    spans = [
        (start, start + len(name))
        for name in meaningful()
        if name in text
        for start in range(len(text) - len(name) + 1)
        if text.startswith(name, start)
    ]
    return [place for place in places if not any(start < place < stop for start, stop in spans)]


def stranger(english: bool, chance: Chance) -> str:
    """A common word that no caption needs, or one that does not exist; with a mark behind it now and then."""
    word: str = coined(english, chance)
    while any(name in word for name in meaningful()):
        word = coined(english, chance)
    return word + chance.pick(MARKS) if english else word + chance.pick(("", "", "", "、", "、", "。"))


def coined(english: bool, chance: Chance) -> str:
    """A word from the lists, or letters at random: syllables in English; hiragana, katakana or kanji in Japanese."""
    if chance.happens(0.5):
        return chance.pick((ENGLISH if english else JAPANESE).split())
    if english:
        syllables = [chance.pick(CONSONANTS) + chance.pick(VOWELS) for _ in range(chance.pick((1, 2, 2, 3)))]
        ending: str = chance.pick(("", *CONSONANTS))
        return "".join(syllables) + ending
    first, last = chance.pick(((0x3042, 0x3093), (0x30A2, 0x30F3), (0, len(KANJI) - 1)))
    many = chance.pick((1, 2, 2, 3, 4))
    letters = [first + int(chance.number() * (last - first + 1)) for _ in range(many)]
    return "".join(KANJI[letter] if first == 0 else chr(letter) for letter in letters)


@functools.cache
def meaningful() -> tuple[str, ...]:
    """Every noun of a thing, every word for a colour, and the word "background", in both languages."""
    nouns = [noun for concept in CONCEPTS for noun in (*concept.en, *concept.ja)]
    return ("background", "背景", *nouns, *(word for colour in COLOURS for word in (*colour.en, *colour.ja, *colour.ja_noun)))
