"""How well the embedded model draws what it is asked: 400 prompts, judged by a network that never saw the model.

    python benchmarks/embedded.py                      # needs the drawings: make pictures
    python benchmarks/embedded.py --model build/model --limit 100

Trains the judge where there is none (build/judge.safetensors, some minutes), states how well it judges real pictures, draws every
prompt, and prints one row for each kind of prompt and each question, with the level of chance. Also writes a sheet to look at.
"""

import argparse
import json
import sys
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import torch

import kakusan
from kakusan.data.pictures import WORLDS, Pictures, World, load_pack
from kakusan.evaluation.judge import Judge, load_judge, save_judge, train_judge, truth
from kakusan.evaluation.prompts import Prompt, judging_prompts
from kakusan.images import to_tensor
from kakusan.training.card import write_figures
from kakusan.training.sheets import save_sheet


def main() -> None:
    """Judge, print, save."""
    args = arguments()
    world = WORLDS[args.world]
    pictures = Pictures(load_pack(args.pack), world, seed=args.seed)
    judge = the_judge(args.judge, pictures, world, args.judge_steps)
    real = shares(*on_real(judge, pictures))
    print("judge on pictures of the generator:", real)
    pipe = kakusan.load(args.model)
    known = replace(world, concepts=tuple(pipe.model.settings.get("concepts", world.concepts)))
    prompts = judging_prompts(Pictures(load_pack(args.pack), known, seed=args.seed), known)
    prompts = prompts[:: max(1, len(prompts) // args.limit)] if args.limit else prompts
    began = time.process_time()
    images = [image for part in batches(prompts, 40) for image in pipe([p.text for p in part], seed=args.first_seed).images]
    seconds = (time.process_time() - began) / len(prompts)
    given = judge.answers(torch.stack([to_tensor(image) for image in images]))
    rows = table(prompts, given, judge)
    print("\n".join(rows))
    said = f"{len(prompts)} prompts, {pipe.defaults.steps} steps of {pipe.defaults.sampler}, {seconds:.2f} CPU seconds a picture"
    print(said)
    args.sheet.parent.mkdir(parents=True, exist_ok=True)
    shown = list(range(0, len(prompts), max(1, len(prompts) // 80)))[:80]
    save_sheet([images[i] for i in shown], args.sheet, columns=10, captions=[prompts[i].text for i in shown], cell=96)
    if args.card:
        write_figures(args.card, "\n".join([*rows, "", f"The judge on real pictures: {real}. {said}."]))
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, "answers": given, "prompts": [vars(p) for p in prompts]}, ensure_ascii=False))


def the_judge(path: Path, pictures: Pictures, world: World, steps: int) -> Judge:
    """The judge from its file, or a new one."""
    if path.exists():
        return load_judge(path)

    def show(step: int, loss: float) -> None:
        if step % 50 == 0:
            print(f"judge: step {step}/{steps}, loss {loss:.3f}", file=sys.stderr, flush=True)

    judge = train_judge(pictures, world, steps, show, first=2_000_000)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_judge(judge, path)
    return judge


def on_real(judge: Judge, pictures: Pictures) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Right and given answers for 1000 pictures of the generator that the judge was not trained on."""
    scenes = [pictures.spec(3_000_000 + i) for i in range(1000)]
    return truth(scenes), judge.answers(pictures.render(scenes, 64).image)


def shares(right: dict[str, list[str]], given: dict[str, list[str]]) -> str:
    """`object 0.99, colour 0.98, ...`"""
    parts = {q: sum(a == b for a, b in zip(right[q], given[q], strict=True)) / len(right[q]) for q in right}
    return ", ".join(f"{q} {share:.3f}" for q, share in parts.items())


def table(prompts: list[Prompt], given: dict[str, list[str]], judge: Judge) -> list[str]:
    """One row for each group and language: share of right answers, and how many were asked."""
    hits: dict[tuple[str, str], dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for i, prompt in enumerate(prompts):
        for question, answer in prompt.answers.items():
            for key in ((prompt.group, prompt.language), ("all", "both")):
                hits[key][question].append(given[question][i] == answer)
    questions = list(judge.questions)
    rows = ["| prompts | language | " + " | ".join(questions) + " |", "|---|---|" + "---|" * len(questions)]
    for (group, language), found in hits.items():
        cells = [f"{sum(found[q]) / len(found[q]):.3f} ({len(found[q])})" if found[q] else "-" for q in questions]
        rows.append(f"| {group} | {language} | " + " | ".join(cells) + " |")
    chance = [f"{1 / len(judge.questions[q]):.3f}" for q in questions]
    return [*rows, "| chance | | " + " | ".join(chance) + " |"]


def batches(prompts: list[Prompt], size: int) -> list[list[Prompt]]:
    """The prompts in parts."""
    return [prompts[i : i + size] for i in range(0, len(prompts), size)]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="a model folder (default: the embedded one)")
    parser.add_argument("--world", default="small", choices=list(WORLDS))
    parser.add_argument("--pack", type=Path, default=Path("build/pictures/sprites.npz"))
    parser.add_argument("--judge", type=Path, default=Path("build/judge.safetensors"))
    parser.add_argument("--judge-steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=77, help="of the stream of scenes that prompts are made of")
    parser.add_argument("--first-seed", type=int, default=1, help="of the pictures")
    parser.add_argument("--limit", type=int, help="ask only about so many prompts")
    parser.add_argument("--sheet", type=Path, default=Path("build/embedded-sheet.png"))
    parser.add_argument("--card", type=Path, help="model card (README.md) whose figures to replace")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
