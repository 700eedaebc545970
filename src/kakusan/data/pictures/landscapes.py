"""Landscapes made of sky, what stands on the horizon, and ground; every part is a small function of the canvas."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .canvas import Canvas
from .colours import Rgb
from .places import PLACES

Part = Callable[[Canvas, float], None]  # canvas, height of the horizon
Texture = Callable[[Canvas, float], Tensor]  # brightness of the ground (n s s), about 1


@dataclass(frozen=True)
class Landscape:
    """How a place is painted. sky: colours of its upper and lower edge. parts: from far to near, behind the ground."""

    sky: tuple[Rgb, Rgb]
    parts: tuple[Part, ...] = ()
    ground: Rgb | None = None
    texture: Texture | None = None
    hilly: bool = False


def draw_landscape(name: str, canvas: Canvas) -> None:
    """Paint one place over the whole canvas."""
    landscape, horizon = LANDSCAPES[name], PLACES[name].horizon
    end = 1.0 if horizon is None else horizon
    top, bottom = (torch.tensor(colour).view(1, 3, 1, 1) for colour in landscape.sky)
    canvas.image[:] = top + (bottom - top) * (canvas.y / end).clamp(0, 1).unsqueeze(1)
    for part in landscape.parts:
        part(canvas, end)
    if horizon is not None and landscape.ground is not None:
        draw_ground(landscape, landscape.ground, horizon, canvas)
    for part in FOREGROUND.get(name, ()):
        part(canvas, end)


def draw_ground(landscape: Landscape, colour: Rgb, horizon: float, canvas: Canvas) -> None:
    """The ground from the horizon down: darker and nearer towards the viewer."""
    edge = horizon + 0.02 * canvas.waves(7, 4) if landscape.hilly else torch.full((1, 1, 1), horizon)
    near = ((canvas.y - horizon) / (1 - horizon)).clamp(0, 1)  # 1 s 1
    light = 1.12 - 0.3 * near
    if landscape.texture:
        light = light * landscape.texture(canvas, horizon)
    light = light.expand(len(canvas.image), canvas.side, canvas.side)
    ground = torch.tensor(colour).view(1, 3, 1, 1) * light.unsqueeze(1)
    cover = canvas.inside(canvas.y - edge).expand_as(light)
    canvas.lay(ground.clamp(0, 1), cover, ground_depth(canvas.y, horizon))


def ground_depth(y: Tensor, horizon: float) -> Tensor:
    """Depth of the ground, 0 far to 1 near, at a height in the picture."""
    return 0.12 + 0.78 * ((y - horizon) / (1 - horizon)).clamp(0, 1)


def clouds(canvas: Canvas, horizon: float, more: float = 0.0) -> None:
    """White clouds above the horizon."""
    thick = canvas.waves(9, 2) + canvas.waves(21, 3) * 0.5 - 0.75 + more
    canvas.lay((1.0, 1.0, 1.0), (thick * 3).clamp(0, 1) * 0.85 * canvas.inside(horizon - canvas.y))


def many_clouds(canvas: Canvas, horizon: float) -> None:
    """A cloudy sky."""
    clouds(canvas, horizon, more=0.65)


def stars(canvas: Canvas, horizon: float) -> None:
    """Twenty-two stars, a third of them larger, spread by multiples of the golden and the plastic ratio."""
    light = torch.zeros(len(canvas.image), canvas.side, canvas.side)
    for number in range(22):
        x, y = (canvas.shade(1) * 97.3 + number * 0.618034) % 1, (canvas.shade(2) * 53.1 + number * 0.754878) % 1
        light = torch.maximum(light, torch.exp(-(canvas.from_point(x, y) ** 2) * (9000 if number % 3 else 3000)))
    canvas.lay((1.0, 1.0, 0.85), light)


def moon(canvas: Canvas, horizon: float) -> None:
    """A crescent high in the sky."""
    x = 0.15 + 0.7 * canvas.shade(3)
    disc = canvas.inside(0.09 - canvas.from_point(x, 0.16))
    canvas.lay((1.0, 0.95, 0.7), disc * canvas.inside(canvas.from_point(x + 0.05, 0.14) - 0.08))


def nebula(canvas: Canvas, horizon: float) -> None:
    """A violet glow between the stars."""
    canvas.lay((0.5, 0.2, 0.55), (canvas.waves(6, 4) * 0.5).clamp(0, 1) * 0.6)


def low_sun(canvas: Canvas, horizon: float) -> None:
    """The sun half below the horizon."""
    canvas.lay((1.0, 0.9, 0.5), canvas.inside(0.13 - canvas.from_point(0.3 + 0.4 * canvas.shade(1), horizon - 0.04)))


def ridges(canvas: Canvas, horizon: float) -> None:
    """Two rows of mountains, the far one with snow on it."""
    for number, (colour, height) in enumerate((((0.55, 0.62, 0.75), 0.35), ((0.38, 0.5, 0.5), 0.22))):
        peaks = torch.sin(canvas.x * 7 + canvas.shade(1) * 6 + 3 * number).abs() * 0.6
        peaks = peaks + torch.sin(canvas.x * 13 + canvas.shade(2) * 6 + 3 * number).abs() * 0.4
        ridge = horizon - height * (0.45 + 0.55 * peaks)
        cover = canvas.inside(canvas.y - ridge)
        canvas.lay(colour, cover, 0.06 + 0.04 * number)
        if number == 0:
            canvas.lay((0.97, 0.98, 1.0), cover * canvas.inside(ridge + 0.05 - canvas.y))


def skyline(canvas: Canvas, horizon: float) -> None:
    """Two rows of houses with lit windows."""
    for number, colour in enumerate(((0.55, 0.6, 0.7), (0.38, 0.42, 0.52))):
        across = canvas.x * (7 + 2 * number) + canvas.shade(1) * 5 + number
        tall = (torch.sin(across.floor() * 12.9 + canvas.shade(2) * 40) * 43.7585) % 1
        roof = horizon - (0.5 - 0.18 * number) * (0.35 + 0.65 * tall)
        house = canvas.inside(canvas.y - roof) * (across % 1 < 0.92)
        canvas.lay(colour, house, 0.1 + 0.1 * number)
        window = ((across * 3) % 1 > 0.5) & ((canvas.y * 16) % 1 > 0.5)
        canvas.lay((0.98, 0.9, 0.6), window * house * 0.6)


def trunks(canvas: Canvas, horizon: float) -> None:
    """Two rows of tree trunks."""
    for number, colour in enumerate(((0.3, 0.33, 0.2), (0.36, 0.24, 0.14))):
        across = canvas.x * (9 - 3 * number) + canvas.shade(1) * 7 + 0.4 * number
        width = 0.16 - 0.04 * torch.sin(across.floor() * 7)
        cover = canvas.inside((width - ((across % 1) - 0.5).abs()) / (9 - 3 * number)) * (canvas.y < horizon + 0.08 * number)
        canvas.lay(colour, cover, 0.15 + 0.15 * number)


def leaves(canvas: Canvas, horizon: float) -> None:
    """A dark green roof of leaves."""
    canvas.lay((0.1, 0.38, 0.14), ((canvas.waves(14, 3) + 0.9 - canvas.y * 3.2) * 4).clamp(0, 1))


def rays(canvas: Canvas, horizon: float) -> None:
    """Light that falls through water, and sand below."""
    slant = canvas.x + canvas.y * 0.25 * (canvas.shade(1) - 0.5)
    canvas.lay((0.6, 0.9, 1.0), torch.sin(slant * 30 + canvas.shade(2) * 6).clamp(0, 1) * (1 - canvas.y) * 0.35)
    canvas.depth = (0.2 * canvas.y).expand_as(canvas.depth)
    canvas.lay((0.85, 0.75, 0.5), canvas.inside(canvas.y - 0.88 - 0.03 * canvas.waves(10, 3)), 0.9)


def strip_of_sea(canvas: Canvas, horizon: float) -> None:
    """The sea behind a beach."""
    canvas.lay((0.2, 0.6, 0.85), canvas.inside(canvas.y - horizon + 0.12).expand_as(canvas.depth), 0.08)


def lane(canvas: Canvas, horizon: float) -> None:
    """The broken line along a road."""
    canvas.lay((0.95, 0.9, 0.5), canvas.inside(0.012 - (canvas.y - 0.88).abs()) * ((canvas.x * 5 + canvas.shade(5)) % 1 < 0.55))


def tufts(canvas: Canvas, horizon: float) -> Tensor:
    """Grass."""
    return 1 + 0.12 * canvas.waves(60, 5)


def boards(canvas: Canvas, horizon: float) -> Tensor:
    """Wooden boards."""
    return 1 + 0.05 * torch.sin((canvas.y - horizon) * 50).sign() + 0.04 * canvas.waves(25, 5)


def swell(canvas: Canvas, horizon: float) -> Tensor:
    """Waves of the sea."""
    return 1 + 0.14 * torch.sin(canvas.y * 90 + 3 * torch.sin(canvas.x * 9 + canvas.shade(5) * 2 * math.pi))


def dunes(canvas: Canvas, horizon: float) -> Tensor:
    """Ripples of sand."""
    return 1 + 0.07 * torch.sin((canvas.y + 0.04 * torch.sin(canvas.x * 8 + canvas.shade(5) * 2 * math.pi)) * 40)


LANDSCAPES = {
    "grass": Landscape(((0.45, 0.72, 0.97), (0.8, 0.92, 1.0)), (clouds,), (0.35, 0.7, 0.25), tufts, hilly=True),
    "beach": Landscape(((0.4, 0.72, 0.98), (0.8, 0.93, 1.0)), (clouds, strip_of_sea), (0.93, 0.83, 0.6), hilly=True),
    "desert": Landscape(((0.5, 0.76, 0.98), (0.98, 0.92, 0.75)), (), (0.92, 0.75, 0.45), dunes, hilly=True),
    "snow": Landscape(((0.68, 0.8, 0.93), (0.9, 0.95, 1.0)), (), (0.95, 0.97, 1.0), hilly=True),
    "sea": Landscape(((0.45, 0.73, 0.98), (0.85, 0.94, 1.0)), (clouds,), (0.12, 0.45, 0.78), swell),
    "underwater": Landscape(((0.1, 0.55, 0.8), (0.02, 0.18, 0.42)), (rays,)),
    "night": Landscape(((0.03, 0.05, 0.18), (0.12, 0.15, 0.38)), (stars, moon), (0.08, 0.14, 0.16)),
    "space": Landscape(((0.02, 0.02, 0.08), (0.1, 0.04, 0.2)), (nebula, stars)),
    "sunset": Landscape(((0.45, 0.2, 0.5), (1.0, 0.6, 0.25)), (low_sun,), (0.3, 0.17, 0.25)),
    "city": Landscape(((0.6, 0.8, 0.97), (0.9, 0.93, 0.95)), (clouds, skyline), (0.42, 0.43, 0.46)),
    "room": Landscape(((0.93, 0.87, 0.75), (0.93, 0.87, 0.75)), (), (0.62, 0.42, 0.26), boards),
    "table": Landscape(((0.78, 0.82, 0.84), (0.88, 0.9, 0.9)), (), (0.66, 0.44, 0.25), boards),
    "forest": Landscape(((0.2, 0.45, 0.22), (0.35, 0.6, 0.3)), (trunks, leaves), (0.2, 0.34, 0.14), tufts, hilly=True),
    "mountains": Landscape(((0.5, 0.75, 0.97), (0.88, 0.93, 0.98)), (clouds, ridges), (0.42, 0.66, 0.32), hilly=True),
    "sky": Landscape(((0.32, 0.62, 0.95), (0.75, 0.9, 1.0)), (many_clouds,)),
}
FOREGROUND: dict[str, tuple[Part, ...]] = {"city": (lane,)}
