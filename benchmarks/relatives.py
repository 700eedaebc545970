"""How well the embedded relatives do what they are for, judged by what the picture generator knows exactly.

    python benchmarks/relatives.py inpainting                   # needs the drawings (make pictures) and build/judge.safetensors
    python benchmarks/relatives.py depth upscaling --limit 40 --models build/models

Scenes are those that no training picture showed. inpainting: the thing is hidden and another asked for, or half of it. depth: a thing
is asked for in the place and shape of another. upscaling: small pictures of the generator drawn four times as large, against bicubic.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

import kakusan
from kakusan.data.pictures import WORLDS, Pictures, Scene, load_pack
from kakusan.evaluation.judge import Judge, load_judge, truth
from kakusan.formats.model import Model
from kakusan.images import to_pil, to_tensor
from kakusan.pipeline import Pipeline
from kakusan.spans import spans
from kakusan.tasks.depth2img import shown
from kakusan.training.autoencoder import psnr, reconstruct
from kakusan.training.card import write_figures
from kakusan.training.depth import pairs_in_order, rank_correlation
from kakusan.training.diffusion import Sample
from kakusan.training.drawn import drawn
from kakusan.training.inpainting import beside
from kakusan.training.masks import box
from kakusan.training.sheets import save_sheet
from kakusan.training.upscaling import LOW_NOISE

FIRST = 4_000_000
WHICH = ("inpainting", "depth", "upscaling")


def main() -> None:
    """Judge each relative, print and save."""
    args = arguments()
    pack = load_pack(args.pack)
    for name in args.which:
        folder = args.models / f"embedded-{name}"
        model = kakusan.load(folder, device="cpu").model
        known = replace(WORLDS["small"], concepts=tuple(model.settings["concepts"]))
        pictures = Pictures(pack, known, seed=77)
        if name == "inpainting":
            rows = inpainting(model, pictures, load_judge(args.judge), args.limit, args.sheets)
        elif name == "depth":
            rows = depth(model, pictures, Pictures(pack, WORLDS["full"], seed=77), load_judge(args.judge), args.limit, args.sheets)
        else:
            rows = upscaling(model, pictures, args.limit, args.sheets)
        print("\n".join([f"# {name}", *rows]))
        if args.cards:
            write_figures(folder / "README.md", "\n".join(rows))


def inpainting(model: Model, pictures: Pictures, judge: Judge, limit: int, sheets: Path) -> list[str]:
    """Another thing is asked for in a box round the hidden one; half of a thing is to be completed; everything is to be drawn."""
    scenes, others = some(pictures, limit)
    rendered = pictures.render(scenes, 64)
    covers = rendered.masks.sum(1).clamp(0, 1)
    halves = box(64, (0.5, 0, 1, 1)).expand(limit, -1, -1)
    cases = {
        "a box round the thing; another is asked for": (torch.stack([box_round(cover) for cover in covers]), others),
        "the right half; the same is asked for": (halves, scenes),
        "everything; another is asked for": (torch.ones(limit, 64, 64), others),
    }
    rows = ["| hidden | object | background | kept (PSNR, dB) |", "|---|---|---|---|"]
    sheet = [rendered.image[:16]]
    for name, (masks, asked) in cases.items():
        masks = masks[:, None]
        images = in_parts(model, Sample(torch.zeros(limit, 4, 16, 16), beside_of(model, rendered.image, masks)), texts(pictures, asked))
        whole = torch.where(masks > 0.5, images, rendered.image)
        kept = (masks < 0.5).expand_as(images)
        near = f"{psnr(images[kept], rendered.image[kept]):.1f}" if kept.any() else "-"
        rows.append(f"| {name} | {judged(judge, whole, asked, limit)} | {near} |")
        sheet += [torch.where(masks > 0.5, torch.zeros(()), rendered.image)[:16], whole[:16]]
    rebuilt = psnr(reconstruct(model.autoencoder, rendered.image), rendered.image)
    save_sheet(torch.cat(sheet), sheets / "embedded-inpainting.png", columns=16, cell=64)
    return [
        *rows,
        "",
        f"Kept: what was not hidden, as the model itself would draw it ({rebuilt:.1f} dB is the autoencoder's own loss on whole pictures); "
        "kakusan gives those pixels back bit for bit.",
    ]


def depth(model: Model, pictures: Pictures, full: Pictures, judge: Judge, limit: int, sheets: Path) -> list[str]:
    """The order of depths: found in pictures of the generator's whole world, and kept in pictures drawn by the exact depth of others."""
    estimator = model.depth
    assert estimator is not None
    many = [full.render([full.spec(FIRST + i + k) for k in range(50)], 64) for i in range(0, 200, 50)]
    scenes, others = some(pictures, limit)
    rendered = pictures.render(scenes, 64)
    seen = torch.stack([shown(each, (16, 16)) for each in rendered.depth])
    rows = [
        "| asked for | object | background | order of depths kept: rank correlation | pairs of pixels in order |",
        "|---|---|---|---|---|",
    ]
    sheet = [rendered.image[:16], rendered.depth[:16, None].expand(-1, 3, -1, -1) * 2 - 1]
    for name, asked in (("the thing itself", scenes), ("another, in its shape", others)):
        images = in_parts(model, Sample(torch.zeros(limit, 4, 16, 16), seen), texts(pictures, asked))
        with torch.inference_mode():
            kept = in_order(estimator(images), rendered.depth)
        rows.append(f"| {name} | {judged(judge, images, asked, limit)} | {kept} |")
        sheet.append(images[:16])
    with torch.inference_mode():
        order = in_order(torch.cat([estimator(part.image) for part in many]), torch.cat([part.depth for part in many]))
        alone = in_order(estimator(rendered.image), rendered.depth)
    save_sheet(torch.cat(sheet), sheets / "embedded-depth.png", columns=16, cell=64)
    return [
        *rows,
        *(f"| (no model: the depth network on the generator's own pictures) | - | - | {alone} |", ""),
        "The order is read by the depth network itself, so what it gets on the generator's own pictures is the most a model can reach; "
        f"on 200 pictures of its whole world (several things, landscapes): {order.replace(' | ', ' and ')}. The exact depth of a thing "
        "before a plain ground has two values, with which a map of many reaches a rank correlation of sqrt(3 p (1 - p)), 0.87 at most.",
    ]


def in_order(found: Tensor, truth: Tensor) -> str:
    """Rank correlation, and pairs in order, as two cells of a table."""
    return f"{rank_correlation(found, truth).mean():.3f} | {pairs_in_order(found, truth).mean():.3f}"


def upscaling(model: Model, pictures: Pictures, limit: int, sheets: Path) -> list[str]:
    """Pictures of 64 pixels as 256, against the same scenes rendered at 256."""
    scenes = [pictures.spec(FIRST + i) for i in range(limit)]
    small, large = pictures.render(scenes, 64).image, pictures.render(scenes, 256).image
    cubic = F.interpolate(small, size=(256, 256), mode="bicubic").clamp(-1, 1)
    rows = ["| way | PSNR, dB |", "|---|---|", f"| bicubic | {psnr(cubic, large):.2f} |"]
    images = {}
    for level in (0, 20):
        noise = torch.randn(small.shape, generator=torch.Generator().manual_seed(0))
        a = LOW_NOISE.alphas_cumprod()[level] if level else 1.0
        low = a**0.5 * small + (1 - a) ** 0.5 * noise
        sample = Sample(torch.zeros(limit, 4, 64, 64), low, torch.full((limit,), level))
        images[level] = in_parts(model, sample, texts(pictures, scenes), size=4)
        rows.append(f"| this model, noise level {level} | {psnr(images[level], large):.2f} |")
    rows.append(f"| its autoencoder alone (the most it can reach) | {psnr(reconstructed(model, large), large):.2f} |")
    save_sheet(torch.cat([cubic[:6], images[0][:6], large[:6]]), sheets / "embedded-upscaling.png", columns=6, cell=256)
    border, beside, cubic_border, cubic_beside = seams(model, pictures.render(scenes[:4], 128).image)
    return [
        *rows,
        "",
        f"{limit} pictures of the generator, 64 to 256 pixels. In windows, from 128 to 512 pixels: neighbouring pixels differ by "
        f"{border:.2f} of 255 on average across the windows' borders and by {beside:.2f} within 8 pixels of them (bicubic: "
        f"{cubic_border:.2f} and {cubic_beside:.2f}).",
    ]


def seams(model: Model, small: Tensor) -> tuple[float, float, float, float]:
    """Steps (of 255) across windows' borders and beside them, in pictures four times as large as `small` (n 3 h w): drawn, and bicubic."""
    pipe = Pipeline(model)
    large = torch.stack([to_tensor(pipe.upscaled(to_pil(image), seed=1).images[0]) for image in small])
    cubic = F.interpolate(small, scale_factor=4, mode="bicubic").clamp(-1, 1)
    side = small.shape[-1]
    edges = {4 * edge - 1 for span in spans(side, pipe.own_size // 4, pipe.own_size // 16) for edge in span if 0 < edge < side}
    near = {edge + d for edge in edges for d in range(-8, 9)} - edges
    found = []
    for pictures in (large, cubic):
        across, down = (pictures.diff(dim=dim).abs().mean(dim=tuple({0, 1, 2, 3} - {dim})) * 127.5 for dim in (3, 2))
        found += [((across + down) / 2)[sorted(places)].mean().item() for places in (edges, near)]
    return found[0], found[1], found[2], found[3]


def some(pictures: Pictures, limit: int) -> tuple[list[Scene], list[Scene]]:
    """Scenes, and the same with other things in the things' place, in their own colours."""
    scenes, others = ([pictures.spec(first + i) for i in range(limit)] for first in (FIRST, FIRST + limit))
    exchanged = [replace(scene, things=(replace(other.things[0], colour=None),)) for scene, other in zip(scenes, others, strict=True)]
    return scenes, exchanged


def box_round(cover: Tensor, margin: int = 3) -> Tensor:
    """1 in a box (s s) round what covers anything."""
    rows, columns = ((cover > 0.1).any(dim).nonzero().flatten() for dim in (1, 0))
    side = cover.shape[-1]
    edges = (columns[0] - margin, rows[0] - margin, columns[-1] + 1 + margin, rows[-1] + 1 + margin)
    return box(side, [min(max(int(edge) / side, 0.0), 1.0) for edge in edges])


def judged(judge: Judge, images: Tensor, asked: list[Scene], limit: int) -> str:
    """Shares of pictures whose thing and whose background are those asked for, as two cells of a table."""
    found, right = judge.answers(images), truth(asked)
    shares = [sum(a == b for a, b in zip(found[q], right[q], strict=True)) / limit for q in ("object", "background")]
    return " | ".join(f"{part:.3f} ({limit})" for part in shares)


def reconstructed(model: Model, images: Tensor) -> Tensor:
    """Pictures through the autoencoder, a few at a time."""
    return torch.cat([reconstruct(model.autoencoder, part) for part in torch.split(images, 4)])


def beside_of(model: Model, images: Tensor, masks: Tensor) -> Tensor:
    """What an inpainting U-Net sees, in its units."""
    seen = beside(model, images, masks)
    return torch.cat([seen[:, :1], seen[:, 1:] * model.autoencoder.config.scale], 1)


def texts(pictures: Pictures, scenes: list[Scene]) -> list[str]:
    """One caption of each scene that names its background."""
    said = []
    for scene in scenes:
        options = [caption.text for caption in pictures.say(scene, "en", 20) if caption.background]
        said.append(options[0])
    return said


def in_parts(model: Model, sample: Sample, captions: list[str], size: int = 20) -> Tensor:
    """Pictures of captions, some at a time; picture i has seed 1 + i."""
    parts = []
    for start in range(0, len(captions), size):
        rows = slice(start, start + size)
        with torch.inference_mode():
            states = model.text(torch.tensor([model.tokenizer.padded(text) for text in captions[rows]]))
        usual = {name: model.settings["defaults"][name] for name in ("steps", "scale", "schedule")}
        parts.append(drawn(model, model.unet, states, sample.rows(rows), seed=1 + start, **usual))
    return torch.cat(parts)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", nargs="*", choices=WHICH, default=WHICH)
    parser.add_argument("--models", type=Path, default=Path(kakusan.__file__).parent, help="where embedded-inpainting and the others lie")
    parser.add_argument("--pack", type=Path, default=Path("build/pictures/sprites.npz"))
    parser.add_argument("--judge", type=Path, default=Path("build/judge.safetensors"))
    parser.add_argument("--limit", type=int, default=100, help="scenes of each kind")
    parser.add_argument("--sheets", type=Path, default=Path("build"), help="where sheets to look at are written")
    parser.add_argument("--cards", action="store_true", help="write the figures into the models' cards")
    return parser.parse_args()


if __name__ == "__main__":
    main()
