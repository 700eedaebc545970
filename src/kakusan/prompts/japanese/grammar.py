"""The order of words turned round: a phrase of Japanese, whose head comes last, as English, whose head comes first."""

from dataclasses import dataclass, field, replace

from . import function_words as small
from .clauses import Clause, attached, said
from .english import adverb, plural
from .inflection import Form
from .lexicon import Word
from .phrases import ANIMATE, PICTURES, PLAIN, Phrase, belonging, joined, styled, together
from .segmentation import Token

NOMINAL = frozenset(["noun", "slot", "unknown", "count", "beginning"])
DESCRIBING = frozenset(["attr", "i", "na"])
PLACE_NOUN = Word("", "noun", "place", {"prep": ""})


@dataclass
class Reader:
    """Reads words from left to right and holds what waits for a head.

    before: words that stand before the next noun; owners: phrases with の behind them, and clauses, that describe it; arguments,
    adverbs: of the next verb; clauses: that a verb is still to follow; others: nouns with と behind them.
    """

    tokens: list[Token]
    at: int = 0
    before: list[str] = field(default_factory=list)
    owners: list[Phrase | list[Clause]] = field(default_factory=list)
    arguments: list[tuple[str, Phrase]] = field(default_factory=list)
    adverbs: list[str] = field(default_factory=list)
    clauses: list[Clause] = field(default_factory=list)
    others: list[Phrase] = field(default_factory=list)
    topic: Phrase | None = None
    noun: Phrase | None = None
    ends: list[str] = field(default_factory=list)

    def read(self) -> str:
        """All of it in English."""
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            self.at += 1
            getattr(self, f"_{token.kind}")(token)
        return self._end()

    def _next(self) -> Token | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def _noun_follows(self) -> bool:
        """Whether a noun comes, perhaps behind words that describe it."""
        for token in self.tokens[self.at :]:
            if token.kind in NOMINAL or token.kind == "beside":
                return True
            if token.kind not in ("adv", *DESCRIBING) and not (token.kind == "particle" and token.text in ("な", "の")):
                return token.kind == "verb"
        return False

    def _noun(self, token: Token) -> None:
        word = token.word or PLAIN
        self._take(Phrase(token.english or word.english, word=word))

    _slot = _noun

    def _unknown(self, token: Token) -> None:
        if token.english:
            self._take(Phrase(token.english, word=Word("", "noun", "name")))

    def _take(self, phrase: Phrase) -> None:
        """A noun: with what waited for it, or, right behind another noun, a compound with that."""
        if self.noun is not None:
            before = self.noun
            self.noun = None
            compound = replace(phrase, before=(*before.before, before.head, *phrase.before), after=(*before.after, *phrase.after))
            self.noun = compound if before.sense not in PICTURES or phrase.sense in PICTURES else before.followed("of", phrase.noun)
            return
        phrase = phrase.described(*self.before)
        self.before = []
        for owner in self.owners[::-1]:
            phrase = belonging(owner, phrase) if isinstance(owner, Phrase) else attached(owner, phrase)
        self.owners = []
        self.noun = phrase

    def _count(self, token: Token) -> None:
        count = token.number
        assert count is not None
        if count.whole:
            self._take(Phrase(count.english, word=Word("", "noun", "quality")))
        elif self.noun is not None and not self.noun.people:
            many = replace(self.noun, many=count.many or self.noun.many)
            self.noun = many.described(count.english)
        elif count.attached or not count.people:
            self.before.append(count.english)
            if count.many:
                self._plural_ahead()
        else:
            self._take(Phrase(f"{count.english} {'people' if count.many else 'person'}", word=Word("", "noun", "person"), people=True))

    def _plural_ahead(self) -> None:
        """The noun that a number counts is told in the plural."""
        for i in range(self.at, len(self.tokens)):
            token = self.tokens[i]
            if token.kind == "noun" and token.word is not None:
                follower = self.tokens[i + 1] if i + 1 < len(self.tokens) else None
                if follower is not None and (follower.text == "の" or follower.kind == "noun") and token.word.sense not in ANIMATE:
                    continue
                self.tokens[i] = token._replace(english=plural(token.word.english))
                return
            if token.kind not in (*DESCRIBING, "particle", "adv", "noun"):
                return

    def _attr(self, token: Token) -> None:
        assert token.word is not None
        self._describe(token.word.english, Form("plain"))

    def _i(self, token: Token) -> None:
        assert token.word is not None
        self._describe(token.word.english, token.form or Form("plain"))

    def _na(self, token: Token) -> None:
        assert token.word is not None
        follower = self._next()
        form = Form("plain")
        if follower is not None and follower.kind == "particle" and follower.text in ("な", "に", "で", "の"):
            self.at += 1
            form = Form({"に": "adverb", "で": "te"}.get(follower.text, "plain"))
        elif follower is not None and follower.kind in ("particle", "beside"):
            self._take(Phrase(token.word.english, word=token.word))
            return
        self._describe(token.word.english, form)

    def _describe(self, adjective: str, form: Form) -> None:
        """An adjective: of the next noun, of a verb, or what is said of a subject."""
        if form.kind == "adverb" and self._next() is not None:
            self.adverbs.append(adverb(adjective))
            return
        word = f"not {adjective}" if form.negative else adjective
        if self.adverbs:
            word = f"{' '.join(self.adverbs)} {word}"
            self.adverbs = []
        subject = self._subject()
        if subject is not None:
            subject = subject.described(word)
            if self._noun_follows() or form.kind == "te":
                self.owners.append(Phrase(subject.noun, word=Word("", "noun", "body"), where="with"))
            else:
                self.noun = subject
            return
        if self.noun is not None:
            self._close()
        self.before.append(word)

    def _subject(self) -> Phrase | None:
        """What an adjective is said of: the phrase before が, は, or before の if it is a part of something."""
        partial = self.arguments and (self.arguments[-1][1].sense not in ANIMATE or not self._noun_follows())
        if self.noun is None and partial and self.arguments[-1][0] == "が":
            return self.arguments.pop()[1]
        if self.noun is None and self.owners and not self._noun_follows() and isinstance(self.owners[-1], Phrase):
            return None
        owner = self.owners[-1] if self.owners and self.noun is None and not self.before else None
        if isinstance(owner, Phrase) and owner.sense == "body" and not owner.where and self._noun_follows():
            self.owners.pop()
            return owner
        if self.noun is None and self.topic is not None and not self._noun_follows():
            topic, self.topic = self.topic, None
            return topic
        return None

    def _adv(self, token: Token) -> None:
        assert token.word is not None
        if token.word.english in ("and", "or") and self.noun is not None:
            self._coordinate()
        elif token.word.english not in ("and", "or", "but", "also"):
            self.adverbs.append(token.word.english)

    def _beside(self, token: Token) -> None:
        """机の上: a place beside the noun that waits with の, or this very word: 下から."""
        where = small.BESIDE[token.text]
        owner = self.owners[-1] if self.owners else None
        if isinstance(owner, Phrase) and not owner.where and self.noun is None:
            self.owners.pop()
            several = where == "between" and owner.sense in ("thing", "plant", "place") and " and " not in owner.head
            self.noun = replace(owner, where=where, word=replace(owner.word, sense="place"), many=owner.many or several)
        elif self.noun is not None:
            self.noun = replace(self.noun, where=where)
        else:
            self._take(
                Phrase(
                    {"on": "above", "under": "below", "in": "inside", "deep in": "in the back"}.get(where, where.removesuffix(" of")),
                    word=PLACE_NOUN,
                )
            )

    def _ending(self, token: Token) -> None:
        told = small.ENDINGS[token.text]
        noun = self.noun
        if noun is None or not told:
            return
        if told == "s":
            self.noun = replace(noun, many=True)
        elif told == "style":
            self.noun = None
            self.owners.append(
                Phrase(styled(noun), word=Word("", "noun", "style"), where="" if not styled(noun).startswith("in ") else " ")
            )
            self._style_placed()
        elif told == "-like" or told.startswith("-"):
            self.noun = replace(noun, head=noun.head + told)
        else:
            self.noun = replace(
                noun, head=f"{noun.head} {told}", word=replace(noun.word, sense="colour" if told == "colored" else noun.sense)
            )

    def _style_placed(self) -> None:
        """A style at the end of a phrase is a noun itself."""
        follower = self._next()
        owner = self.owners[-1]
        if follower is None and isinstance(owner, Phrase):
            self.owners.pop()
            self.noun = replace(owner, where="")

    def _beginning(self, token: Token) -> None:
        if told := small.BEGINNINGS[token.text]:
            self.before.append(told)

    def _copula(self, token: Token) -> None:
        """だ and です say nothing; what is asked of the painter is no part of the picture."""

    _request = _copula

    def _particle(self, token: Token) -> None:
        text = small.SAME_AS.get(token.text, token.text)
        if text in small.NOTHING:
            return
        if self.noun is None:
            self._after_no_noun(text)
        elif text in ("の", "からの", "への", "での", "との", "までの"):
            self._belongs(text)
        elif text == "や" or text == "か" or (text == "と" and not self._verb_follows()):
            self._coordinate()
        elif text == "は":
            self._close_others()
            self.topic, self.noun = self.noun, None
        elif text == "な":
            noun = self._taken()
            self.before += [*noun.before, noun.head]
            if noun.after:
                self.owners.append(Phrase(" ".join(noun.after), where=" "))
        else:
            self._close_others()
            assert self.noun is not None
            self.arguments.append((text, self.noun))
            self.noun = None

    def _after_no_noun(self, text: str) -> None:
        """A particle behind something else: its meaning is lost, but not what waits."""
        if text in ("と", "や") and self.before:
            self.before.append("and")

    def _belongs(self, text: str) -> None:
        follower = self._next()
        if text == "の" and follower is not None and follower.kind == "verb":
            self.arguments.append(("が", self._taken()))
            return
        if self.others and self.noun is not None and together(self.others, self.noun, self._owned()):
            self._close_others()
        noun = self._taken()
        preposition = {"からの": "from", "への": "to", "での": "", "との": "with", "までの": "to"}.get(text)
        if preposition is None:
            self.owners.append(noun)
        else:
            self.owners.append(Phrase(noun.text if preposition else noun.place, where=preposition or " "))

    def _owned(self) -> Phrase:
        """The next noun of the text, without what stands round it."""
        follower = next((token for token in self.tokens[self.at :] if token.kind in NOMINAL), None)
        return Phrase("", word=follower.word if follower is not None and follower.word is not None else PLAIN)

    def _taken(self) -> Phrase:
        noun, self.noun = self.noun, None
        assert noun is not None
        return noun

    def _coordinate(self) -> None:
        self.others.append(self._taken())

    def _verb_follows(self) -> bool:
        follower = self._next()
        return follower is not None and (follower.kind == "verb" or (follower.kind == "adv" and follower.text in ("一緒に", "共に")))

    def _close_others(self) -> None:
        if self.others and self.noun is not None and together(self.others, self.noun):
            self.noun = joined([*self.others, self.noun])
            self.others = []

    def _phrase(self, token: Token) -> None:
        """A preposition that Japanese puts behind its noun: before a noun, or of a verb."""
        if self.noun is None:
            return
        self._close_others()
        noun, told = self._taken(), small.PHRASES[token.text]
        if told == "full of" and noun.sense in ("thing", "plant", "animal") and not noun.word.has("of"):
            noun = replace(noun, many=True)
        text = told.format(noun.text) if "{}" in told else f"{told} {noun.text}"
        follower = self._next()
        if follower is None or "{}" in told:
            self.ends.append(text)
        elif self._noun_follows() and not token.text.endswith(("に", "て", "から")) and follower.kind != "verb":
            self.owners.append(Phrase(text, where=" "))
        else:
            self.adverbs.append(text)

    def _verb(self, token: Token) -> None:
        assert token.word is not None
        form = token.form or Form("plain")
        if self.noun is not None:
            self._bare_noun()
        clause = Clause(token.word, form, tuple(self.arguments), tuple(self.adverbs))
        self.arguments, self.adverbs = [], []
        self.clauses.append(clause)
        follower = self._next()
        if form.kind in ("te", "stem", "while", "if") and follower is not None:
            return
        if follower is not None and follower.kind == "particle" and follower.text in ("の", "と", "が"):
            self.at += 1
        if form.kind == "request" and self._asked(clause):
            return
        if self._noun_follows():
            self.owners.append(self.clauses)
            self.clauses = []

    def _bare_noun(self) -> None:
        """A noun right before a verb, its particle left out: the object if the verb takes one."""
        token = self.tokens[self.at - 1]
        transitive = token.word is not None and token.word.has("t") and not any(name == "を" for name, _ in self.arguments)
        self.arguments.append(("を" if transitive else "が", self._taken()))

    def _asked(self, clause: Clause) -> bool:
        """〜を描いてください: only the object is meant."""
        done = clause.first("を")
        if done is None or clause.verb.english not in ("paint", "make", "write", "show", "generate", "create", "draw", "build"):
            return False
        self.clauses.pop()
        self.noun = done
        return True

    def _close(self) -> None:
        """A noun without a particle before something that cannot join it: told as it stands."""
        if self.noun is not None:
            self.others.append(self._taken())

    def _end(self) -> str:
        """What is left at the end, in English."""
        if self.noun is None and (self.owners or self.before):
            self._leftovers()
        noun = self.noun
        if noun is not None and self.others:
            noun = joined([*self.others, noun])
        elif noun is None and self.others:
            noun = joined(self.others)
        return " ".join(part for part in (self._sentence(noun), *self.ends) if part)

    def _leftovers(self) -> None:
        """Owners without a noun behind them are told themselves."""
        last = self.owners.pop() if self.owners else None
        if isinstance(last, Phrase):
            self.noun = replace(last, where=last.where.strip())
            for owner in self.owners[::-1]:
                self.noun = belonging(owner, self.noun) if isinstance(owner, Phrase) else attached(owner, self.noun)
            self.owners = []
        elif last is not None:
            self.clauses = last
        if self.before:
            described = Phrase(" ".join(self.before))
            self.noun = described if self.noun is None else self.noun.followed(described.head)
            self.before = []

    def _sentence(self, noun: Phrase | None) -> str:
        if self.clauses:
            subject = self.topic or noun
            rest = self._rest()
            return " ".join(part for part in (said(self.clauses, subject), rest) if part)
        topic = self.topic
        if noun is None:
            alone = [phrase.place if name in ("に", "で") else phrase.text for name, phrase in self.arguments]
            told = " ".join([*([topic.text] if topic else []), *alone, *self.adverbs])
            return told
        told = " ".join(part for part in (noun.text, self._rest()) if part)
        if topic is None:
            return told
        if topic.head in ("background", "foreground"):
            return f"{told} in the {topic.head}"
        return f"{topic.text} {told}" if topic.sense in ("time", "season") else f"{topic.text}, {told}"

    def _rest(self) -> str:
        """Arguments that no verb took."""
        told = []
        for name, phrase in self.arguments:
            preposition = {"から": "from", "へ": "to", "まで": "to", "と": "with", "より": "from"}.get(name)
            told.append(phrase.place if name in ("に", "で") else f"{preposition} {phrase.text}" if preposition else phrase.text)
        return " ".join([*told, *self.adverbs])
