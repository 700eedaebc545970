"""Whose way of drawing a recipe follows, and what it says of noise besides: a recipe's field `like`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import KakusanError
from ..samplers import named
from .profiles import FEW, PROFILES, Profile, Rng, automatic, profile
from .wording import Wording

RNGS: tuple[Rng, ...] = ("cpu", "cuda")
LABELS = {"cpu": "CPU", "cuda": "NV"}
SAID: Mapping[str, Literal["", "cpu", "cuda"]] = {"CPU": "cpu", "NV": "cuda", "GPU": "cuda"}
"""AUTOMATIC1111's words; its "NV" and "GPU" are the same numbers, computed or drawn on the GPU itself."""
ETA = frozenset(
    {
        *("ddim", "euler_ancestral", "dpm_2_ancestral", "dpmpp_2s_ancestral", "dpm_fast", "dpm_adaptive"),
        *("dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde"),
    }
)
"""Samplers with an eta."""


@dataclass(frozen=True)
class Like:
    """name: a program of `PROFILES`, "" for our own way. rng: where noise is drawn, "" as that program does.

    ensd: added to the seed for a sampler's own noise (AUTOMATIC1111's "eta noise seed delta"). eta: of samplers that have one, None is
    their own. discard: leave out the last level before 0 for every sampler.
    place, of: which picture of how many drawn together, where a program's batch has one seed.
    Raises KakusanError on what is none of these.
    """

    name: str = ""
    rng: Literal["", "cpu", "cuda"] = ""
    ensd: int = 0
    eta: float | None = None
    discard: bool = False
    place: int = 0
    of: int = 1

    def __post_init__(self) -> None:
        profile(self.name)
        if self.rng and self.rng not in RNGS:
            raise KakusanError(f"rng is {self.rng!r}; it must be cpu or cuda", f"rng が {self.rng!r} です。cpu か cuda にしてください")
        if not -(2**63) <= self.ensd < 2**63:
            raise KakusanError(f"ensd is {self.ensd}; it must fit 64 bits", f"ensd が {self.ensd} です。64 ビットに収めてください")
        if self.eta is not None and not (math.isfinite(self.eta) and 0 <= self.eta <= 10):
            raise KakusanError(f"eta is {self.eta}; it must be from 0 to 10", f"eta が {self.eta} です。0 から 10 の間にしてください")
        if not 0 <= self.place < self.of <= 1000:
            raise KakusanError(
                f"picture {self.place} of a batch of {self.of}: they count from 0, and there are at most 1000",
                f"{self.of} 枚のうち {self.place} 番目はありません。0 から数え、最大 1000 枚です",
            )

    @property
    def row(self) -> Profile:
        """What the program does."""
        return PROFILES[self.name]

    @property
    def levelled(self) -> bool:
        """Whether its levels are another program's (`levels`)."""
        return bool(self.name or self.discard)

    def options(self, sampler: str, steps: int) -> dict[str, float | str]:
        """What the sampler is called with."""
        eta = {} if self.eta is None or sampler not in ETA else {"eta": self.eta}
        few = self.row.few.get(sampler, {}) if steps < FEW else {}
        return {**self.row.options.get(sampler, {}), **few, **eta}

    def settings(self) -> dict[str, str]:
        """As lines of a recipe; AUTOMATIC1111's words where it has any."""
        said = {"Like": self.name} if self.name else {}
        if self.rng:
            said["RNG"] = LABELS[self.rng]
        if self.ensd:
            said["ENSD"] = str(self.ensd)
        if self.eta is not None:
            said["Eta"] = repr(float(self.eta))
        if self.discard:
            said["Discard penultimate sigma"] = "True"
        return said | ({"Batch size": str(self.of), "Batch pos": str(self.place)} if self.of > 1 else {})

    @classmethod
    def of_settings(cls, settings: Mapping[str, str]) -> "Like":
        """What `settings` said; what cannot be is left out."""
        name = settings.get("Like", "")
        ensd, of, place = (_whole(settings.get(key, "")) for key in ("ENSD", "Batch size", "Batch pos"))
        there = 0 <= place < of <= 1000 and name in PROFILES and PROFILES[name].slices  # where seeds count up it says nothing
        return cls(
            name=name if name in PROFILES else "",
            rng=SAID.get(settings.get("RNG", ""), ""),
            ensd=ensd if -(2**63) <= ensd < 2**63 else 0,
            eta=_eta(settings.get("Eta", settings.get("Eta DDIM", ""))),
            discard=settings.get("Discard penultimate sigma") == "True",
            place=place if there else 0,
            of=of if there else 1,
        )


OURS = Like()


def asked(
    like: str | Like | None = None, rng: str | None = None, ensd: int | None = None, eta: float | None = None, discard: bool = False
) -> Like | None:
    """What is asked for; None if nothing is. Raises KakusanError on what cannot be."""
    whole = like if isinstance(like, Like) else Like(like or "")
    word = {"nv": "cuda", "gpu": "cuda"}.get((rng or "").lower(), (rng or "").lower())
    given = {"rng": word or None, "ensd": ensd, "eta": eta, "discard": discard or None}
    whole = replace(whole, **{key: value for key, value in given.items() if value is not None})  # type: ignore[arg-type]
    return None if whole == OURS else whole


def worded(like: Like | None, wording: Wording) -> Wording:
    """`wording` in the dialect of the program that is asked for; those that know no weights cut long prompts as well."""
    dialect = None if like is None else like.row.dialect
    return wording if dialect is None else replace(wording, dialect=dialect, cut=dialect == "plain")


def batched(options: Mapping[str, object], sampler: str, wording: Wording, count: int) -> dict[str, object]:
    """The options of a call with what `like` among them brings: schedule, dialect, and how many pictures share a seed.

    sampler, wording: the model's own, if none is among the options.
    """
    like = options.get("like")
    if not isinstance(like, Like):
        return dict(options)
    own = automatic(like.name, named(str(options.get("sampler", sampler))))
    of = count if like.row.slices and like.of == 1 else like.of
    brought = {"wording": worded(like, wording)} | ({"schedule": own} if own else {})
    return brought | dict(options) | {"like": replace(like, of=of)}


def moved(like: Like, i: int) -> tuple[Like, int]:
    """`like` of the picture i further on in a call, and how much its seed grows: by 1 with every full batch."""
    if not like.row.slices or like.of == 1:
        return like, i
    batches, place = divmod(like.place + i, like.of)
    return replace(like, place=place), batches


def _whole(text: str) -> int:
    return int(text) if text.removeprefix("-").isdecimal() and len(text) < 20 else 0


def _eta(text: str) -> float | None:
    try:
        eta = float(text)
    except ValueError:
        return None
    return eta if 0 <= eta <= 10 else None
