"""A verb with what belongs to it, and what such a clause becomes: before a noun, or as the end of a sentence."""

from dataclasses import dataclass

from .english import ing, participle
from .inflection import Form
from .lexicon import Word
from .phrases import ANIMATE, PICTURES, Phrase

MAKING = frozenset(
    ["make", "build", "create", "form", "decorate", "knit", "weave", "carve", "cover", "fill", "wrap", "write", "paint", "draw"]
)
TOOLS = frozenset(["thing", "material", "food", "body", "light", "plant", "colour"])


@dataclass(frozen=True)
class Clause:
    """arguments: (particle or preposition, phrase) in their order; adverbs: in English."""

    verb: Word
    form: Form
    arguments: tuple[tuple[str, Phrase], ...] = ()
    adverbs: tuple[str, ...] = ()

    def first(self, particle: str) -> Phrase | None:
        """The argument with that particle."""
        return next((phrase for name, phrase in self.arguments if name == particle), None)

    @property
    def lasting(self) -> bool:
        """ある and いる: not told in English."""
        return self.verb.has("be")

    @property
    def transitive(self) -> bool:
        """Whether the verb takes an object."""
        return self.verb.has("t")


def attached(clauses: list[Clause], head: Phrase) -> Phrase:
    """A noun with the clauses that stand before it: 本を読む猫 -> cat reading book."""
    last = clauses[-1]
    subject = next((found for clause in clauses if (found := clause.first("が")) is not None), None)
    if len(clauses) == 1 and not last.arguments and not last.form.negative and not last.lasting:
        return _bare(last, head)
    if subject is None:
        return head.followed(_joined([_told(clause, head) for clause in clauses]))
    if last.lasting:
        places = [_argument(last, name, phrase) for name, phrase in last.arguments if name != "が"]
        return head.followed("without" if last.form.negative else "with", subject.text, *places)
    if head.sense in PICTURES:
        return head.followed("of", said(clauses))
    if last.transitive and last.first("を") is None and len(clauses) == 1 and last.form.voice == "active":
        return head.followed(participle(last.verb.english), "by", subject.text)
    return head.followed("with", said(clauses))


def said(clauses: list[Clause], topic: Phrase | None = None) -> str:
    """A sentence: 猫が本を読む -> cat reading book."""
    subject = topic or next((found for clause in clauses if (found := clause.first("が")) is not None), None)
    rest = _joined([_told(clause, None) for clause in clauses])
    if subject is None:
        return rest
    if clauses[-1].lasting and clauses[-1].form.negative:
        return f"no {subject.text} {rest}".rstrip()
    return f"{subject.text} {rest}".rstrip()


def _bare(clause: Clause, head: Phrase) -> Phrase:
    """A verb alone before a noun: 走る犬 -> running dog, 描かれた花 -> painted flower."""
    words = clause.verb.english.split()
    passive = clause.form.voice == "passive" or clause.verb.has("pp") or (clause.transitive and clause.form.kind == "past")
    told = participle(clause.verb.english) if passive else ing(clause.verb.english)
    if len(words) > 1 or clause.adverbs or (clause.transitive and not passive):
        return head.followed(*clause.adverbs[:0], told, *clause.adverbs)
    return head.described(told)


def _told(clause: Clause, head: Phrase | None) -> str:
    """The verb in English with its arguments, without its subject."""
    verb, form = clause.verb, clause.form
    made = (
        clause.transitive and head is not None and head.sense not in ANIMATE and clause.first("を") is None and form.kind == "past"
    ) or form.result
    state = verb.has("pp") or form.voice == "passive" or made
    extras = [_argument(clause, name, phrase, state) for name, phrase in clause.arguments if name not in ("が", "を")]
    done = clause.first("を")
    objects = [] if done is None else [_object(clause, done)]
    if clause.lasting:
        return " ".join([*extras, *clause.adverbs])
    light = _light(clause, done)
    if light is not None:
        return " ".join([light, *extras, *clause.adverbs])
    english = verb.english
    if done is not None and (done.where or done.word.has("prep")):
        english = english.removesuffix(" at")  # 窓の外を見る: looking outside the window
    told = participle(english) if state else ing(english)
    if english == "enter" and form.kind in ("past", "going") and clause.first("に") is not None:
        told = ""  # バスケットに入った: in it, not entering
    denied = ["not"] if form.negative else []
    whiles = ["while"] if form.kind == "while" else []
    return " ".join(part for part in (*denied, *whiles, told, *objects, *clause.adverbs, *extras) if part)


def _light(clause: Clause, done: Phrase | None) -> str | None:
    """する and 持つ say little themselves: マフラーをした -> wearing scarf, 大きな目を持つ -> with big eyes."""
    if done is None:
        return None
    if clause.verb.english == "do":
        return (
            {"clothes": "wearing", "body": "with", "abstract": "with", "thing": "with", "colour": "in"}.get(done.sense, "doing")
            + " "
            + done.text
        )
    if clause.form.negative and clause.verb.english in ("hold", "wear"):
        return f"without {done.text}"
    return f"with {done.text}" if clause.verb.english == "hold" and done.sense == "body" else None


def _object(clause: Clause, phrase: Phrase) -> str:
    preposition = clause.verb.extras.get("wo", "")
    if phrase.where and not clause.transitive:
        above = "over" if phrase.where == "on" else phrase.where
        return f"{above} {phrase.noun}"
    if phrase.sense == "place" and preposition == "across" and not phrase.word.has("on") and clause.verb.english == "run":
        preposition = "through" if phrase.head in ("forest", "woods", "city", "tunnel", "bamboo grove") else "across"
    if phrase.sense == "place" and preposition in ("along", "across") and phrase.head in ("city", "forest", "snow"):
        preposition = "through"
    return f"{'' if phrase.word.has('prep') else preposition} {phrase.text}".strip()


def _argument(clause: Clause, particle: str, phrase: Phrase, state: bool = False) -> str:
    """What に, で, と, から, まで become; other names are prepositions already, or frames."""
    if particle == "に":
        return _at(clause, phrase, state)
    if particle == "で":
        return _by(clause, phrase, state)
    if particle == "と":
        preposition = clause.verb.extras.get("to", "with")
        return f"{preposition} {phrase.text}".strip()
    if particle in ("も", "は", "や"):
        return phrase.text
    preposition = {"から": "from", "より": "from", "まで": "to", "へ": "to"}.get(particle, particle)
    if particle == "から" and phrase.where in ("on", "in", "under"):
        return f"from {({'on': 'on', 'in': 'inside', 'under': 'under'})[phrase.where]} {phrase.noun}"
    return preposition.format(phrase.text) if "{}" in preposition else f"{preposition} {phrase.text}"


def _at(clause: Clause, phrase: Phrase, state: bool) -> str:
    if phrase.where or phrase.sense in ("time", "season") or phrase.word.has("prep"):
        if phrase.where == "in" and clause.verb.english in ("enter", "dive", "fall", "sink"):
            return f"into {phrase.noun}" if clause.verb.english != "enter" else f"in {phrase.noun}"
        return phrase.place
    if clause.verb.english == "enter" and clause.form.kind in ("past", "going"):
        return f"in {phrase.text}"
    if "ni" in clause.verb.extras:
        told = clause.verb.extras["ni"]
        if clause.verb.english in ("place", "put", "sit", "perch", "line up") and told == "on" and phrase.sense in ("thing", "place"):
            return phrase.place if phrase.preposition != "in" or phrase.sense == "place" else f"on {phrase.noun}"
        return f"{told} {phrase.text}".strip()
    if state and phrase.sense in (*ANIMATE, "light", "weather"):
        return f"by {phrase.text}"
    if clause.transitive and phrase.sense in ANIMATE:
        return f"to {phrase.text}"
    return phrase.place if phrase.sense != "body" else f"on {phrase.text}"


def _by(clause: Clause, phrase: Phrase, state: bool) -> str:
    if phrase.sense in ("time", "season", "place", "weather") or phrase.where or phrase.word.has("prep"):
        return phrase.place
    if state and clause.verb.english in ("make", "build", "create", "form", "knit", "weave", "carve"):
        return f"of {phrase.text}"
    if phrase.sense in PICTURES or phrase.sense == "style":
        return f"in {phrase.text}"
    if phrase.sense == "vehicle":
        return f"by {phrase.text}"
    if phrase.word.has("on") or phrase.word.has("at") or phrase.head in ("party", "bath"):
        return phrase.place
    return f"with {phrase.text}"


def _joined(told: list[str]) -> str:
    """Clauses one after the other; one that begins with "while" goes last."""
    order = sorted((part for part in told if part), key=lambda part: part.startswith("while "))
    return " ".join(
        part if i == 0 or part.startswith(("while", "with", "in the", "wearing")) else f"and {part}" for i, part in enumerate(order)
    )
