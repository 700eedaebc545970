"""Noun phrases, and what `A の B` becomes: by the senses of A and B."""

from dataclasses import dataclass, field, replace

from .english import plural
from .lexicon import Word

ANIMATE = frozenset(["animal", "person", "being"])
PICTURES = frozenset(["picture", "camera"])
PLAIN = Word("", "noun", "thing")
BEFORE = frozenset(["material", "colour", "style", "quality", "season", "weather", "na", "i", "attr"])
"""Senses that stand before the noun they describe."""

COMPOUNDS = frozenset(["food", "plant", "light", "season", "weather", "animal"])
"""Senses that, alone, make an English compound: apple tree, rose garden."""

THINGS = frozenset(["thing", "food", "plant", "clothes", "vehicle", "light", "place", "style"])
WORN = frozenset(["clothes", "body"])
NOT_WORN = frozenset(["glasses", "round glasses", "sunglasses", "headphones", "earphones", "crown", "wristwatch", "earrings", "necklace"])
IN_THE = {"background": "in the background", "foreground": "in the foreground"}


@dataclass(frozen=True)
class Phrase:
    """A noun with what stands before and behind it.

    word: the entry of the noun. where: the preposition it brings along, for a place beside something (机の上: on). counted: a number
    stands before it.
    """

    head: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    word: Word = field(default=PLAIN)
    where: str = ""
    many: bool = False
    people: bool = False

    @property
    def sense(self) -> str:
        """The class of the noun."""
        return self.word.sense

    @property
    def bare(self) -> bool:
        """Whether nothing stands round the noun."""
        return not self.before and not self.after and not self.where

    @property
    def noun(self) -> str:
        """The phrase without its preposition."""
        head = plural(self.head) if self.many else self.head
        return " ".join(part for part in (*self.before, head, *self.after) if part)

    @property
    def text(self) -> str:
        """All of it."""
        return f"{self.where} {self.noun}".strip()

    @property
    def place(self) -> str:
        """It as an adverbial of place or time: "on desk", "at night", "in Tokyo"."""
        if self.where or self.word.has("prep"):
            return self.text
        if not self.after and "at" in self.word.extras and self.word.extras["at"]:
            told = self.word.extras["at"]
            return told if not self.before else f"{told.split()[0] if ' ' in told else 'in'} {self.noun}"
        if self.bare and "adv" in self.word.extras:
            return self.word.extras["adv"]
        if self.bare and self.head in IN_THE:
            return IN_THE[self.head]
        return f"{self.preposition} {self.noun}"

    @property
    def preposition(self) -> str:
        """What says where, if it is a place."""
        if self.head in IN_THE:
            return "on" if self.head == "background" else "in"
        if self.sense in ANIMATE:
            return "with"
        return next((name for name in ("on", "at", "by", "along", "in") if self.word.has(name) and not self.word.extras[name]), "in")

    def described(self, *before: str) -> "Phrase":
        """With words put before everything else."""
        new = tuple(word for word in before if not self.noun.startswith(word))  # 秋の紅葉 is no "autumn autumn leaves"
        return replace(self, before=(*new, *self.before))

    def followed(self, *after: str) -> "Phrase":
        """With words put behind everything else."""
        return replace(self, after=(*self.after, *(part for part in after if part)))


def belonging(a: Phrase, b: Phrase) -> Phrase:
    """`A の B`."""
    if a.where or a.word.has("prep"):
        return b.followed(a.text)
    if b.word.has("of") or b.sense in PICTURES:
        return _picture(a, b)
    if a.sense in BEFORE or "adj" in a.word.extras:
        return _describing(a, b)
    if a.sense == "time":
        return _at_a_time(a, b)
    if a.sense in PICTURES:
        return replace(a, after=(*a.after, "of", b.noun), word=a.word)
    if a.sense == "artist":
        return b.followed("by", a.noun)
    if b.sense in ANIMATE and (told := _worn_or_had(a, b)) is not None:
        return told
    if a.sense in ANIMATE and b.sense in ANIMATE:
        return replace(b, before=(*b.before, *a.before, a.head), after=(*a.after, *b.after))
    return _owned(a, b)


def styled(a: Phrase) -> str:
    """`A 風`, before or behind what is drawn so."""
    return f"in the style of {a.noun}" if a.sense in ("artist", "name") or a.after else f"{a.noun} style"


def joined(phrases: list[Phrase], word: str = "and") -> Phrase:
    """Several as one."""
    if len(phrases) == 1:
        return phrases[0]
    last = phrases[-1]
    if phrases[0].after and all(phrase.bare for phrase in phrases[1:]) and all(phrase.sense in ANIMATE for phrase in phrases):
        shared = replace(phrases[0], after=())  # 手をつないで歩く母と娘: both do
        return joined([shared, *phrases[1:]], word).followed(*phrases[0].after)
    nouns = [phrase.text for phrase in phrases]
    text = f" {word} ".join(nouns) if len(nouns) == 2 else ", ".join(nouns[:-1]) + f" {word} {nouns[-1]}"
    return Phrase(text, word=replace(last.word, extras={k: v for k, v in last.word.extras.items() if k in ("on", "in", "at", "by")}))


def together(others: list[Phrase], noun: Phrase, owned: Phrase | None = None) -> bool:
    """Whether `A と B` is one thing for what follows B, or B alone belongs to that; owned: the C of `A と B の C`."""
    if owned is not None and owned.sense in PICTURES:
        return True
    if owned is not None and ("adj" in noun.word.extras or noun.sense in BEFORE or noun.sense in ("time", "artist")):
        return False
    if owned is not None and owned.sense in ANIMATE and noun.sense in WORN and others[-1].sense not in WORN:
        return False  # 花火と浴衣の少女: the girl alone wears it
    living = others[-1].sense in ANIMATE
    return living == (noun.sense in ANIMATE) or not living


def _picture(a: Phrase, b: Phrase) -> Phrase:
    """写真, 夜景, 花束 and the like: B of A; but 夕焼けの写真, 広告の写真: what kind."""
    if a.bare and a.sense in ("quality", "colour", "style", "material"):
        return b.described(_form_before(a))
    if a.sense == "artist":
        return b.followed("by", a.noun)
    if a.sense == "camera" and b.sense == "picture":
        return b.described(a.noun)
    if a.bare and "adj" in a.word.extras and a.sense in ("time", "place", "season") and b.sense == "picture":
        return b.described(_form_before(a))
    if a.bare and a.sense == "season":
        return b.described(a.head)
    return b.followed("of", a.noun)


def _describing(a: Phrase, b: Phrase) -> Phrase:
    return replace(b.described(*a.before, _form_before(a)), after=(*a.after, *b.after))


def _form_before(a: Phrase) -> str:
    """The form of A that stands before a noun: Japanese, wooden, rainy."""
    return a.word.extras.get("adj") or a.head


def _at_a_time(a: Phrase, b: Phrase) -> Phrase:
    if b.sense in ("time", "light", "season", "weather") or "at" not in a.word.extras:
        return b.described(a.noun)
    return b.followed(a.place)


def _worn_or_had(a: Phrase, b: Phrase) -> Phrase | None:
    if a.sense == "clothes":
        return b.followed("with" if a.head in NOT_WORN else "in", a.noun)
    if a.sense == "body":
        return b.followed("with", a.noun)
    if a.sense == "place":
        return b.followed(a.place) if not a.word.has("proper") else b.described(a.noun)
    return None


def _owned(a: Phrase, b: Phrase) -> Phrase:
    beside = b.sense == "place" and (a.head[0].isupper() or a.word.has("at"))
    if a.sense == "place" and not a.after and (beside or b.sense in ("animal", "vehicle", "food", "thing")):
        return b.followed(a.place)
    if not a.before and a.sense in COMPOUNDS and b.sense in THINGS:
        return replace(b, before=(*b.before, a.head), after=(*a.after, *b.after))
    if a.bare and a.sense in ("place", "thing", "name") and b.sense in ("thing", "light", "clothes", "style"):
        return replace(b, before=(*b.before, a.head))
    if a.sense in ANIMATE and not a.after and b.sense in ("body", "clothes"):
        return b.described(f"{a.noun}'s")
    return b.followed("of", a.noun)
