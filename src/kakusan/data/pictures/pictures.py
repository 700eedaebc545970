"""An endless series of captioned pictures: number 7 is the same picture on every machine, at every size, in every batch."""

from collections.abc import Sequence

from .captions import Caption, caption
from .cast import Cast
from .chance import Chance
from .compose import compose
from .pack import Pack
from .render import Rendered, render
from .scene import Scene
from .world import World

CAPTION_STREAM = 1 << 32  # added to the seed, so that captions and scenes draw different numbers


class Pictures:
    """The pictures of a world. seed: another seed, another series."""

    def __init__(self, pack: Pack, world: World, seed: int = 0):
        self.world, self.seed = world, seed
        self.cast = Cast(pack, world)

    def spec(self, index: int) -> Scene:
        """What picture number `index` shows."""
        return compose(index, Chance(self.seed, index), self.world, self.cast)

    def render(self, scenes: Sequence[Scene], size: int) -> Rendered:
        """Scenes as pixels: image (n 3 size size) -1..1, masks (n k size size), depth (n size size)."""
        return render(scenes, size, self.cast)

    def captions(self, scene: Scene, language: str, n: int = 1, templates: str = "train") -> list[str]:
        """n captions of a scene, the same at every call; two of them may be equal."""
        return [said.text for said in self.say(scene, language, n, templates)]

    def say(self, scene: Scene, language: str, n: int = 1, templates: str = "train") -> list[Caption]:
        """Like `captions`, with what each of them leaves out."""
        chance = Chance(self.seed + CAPTION_STREAM, scene.index)
        return [caption(scene, language, chance, templates) for _ in range(n)]
