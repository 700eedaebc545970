"""How a reference script is run: checked, made ready, driven with a bar, its files saved and listed."""

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..compat.compvis.script import Ready
from ..images import check_writable
from ..messages import tr
from .interrupts import Interrupts
from .parser import Arguments
from .progress import progress, said_if_slow

if TYPE_CHECKING:
    from ..compat.compvis.pictures import Samples


def run_script(prepare: Callable[[Arguments], Ready], args: Arguments) -> int:
    """Draw, save and list pictures, and return the exit code. Ctrl-C ends it early: finished batches are kept and listed."""
    began = time.monotonic()
    check_writable(args.outdir)
    with said_if_slow(tr("loading the model ...", "モデルを読み込んでいます ...")):
        ready = prepare(args)
        from ..compat.compvis.pictures import Samples
    for note in ready.notes:
        print(f"{tr('note', '注意')}: {note}", file=sys.stderr)
    samples = Samples(args.outdir, not args.skip_save, not args.skip_grid, ready.after, ready.source)
    interrupted = False
    try:
        _drive(ready, samples)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        for file in samples.files:
            print(file)
        sys.stdout.flush()
        for note in ready.after.told(samples.flags):
            print(f"{tr('note', '注意')}: {note}", file=sys.stderr)
    en, ja = ("stopped after", "中断しました。") if interrupted else ("drew", "")
    pictures, seconds = samples.taken, time.monotonic() - began
    print(
        tr(
            f"{en} {pictures} of {ready.pictures} pictures  ({seconds:.1f} s)",
            f"{ja}{ready.pictures} 枚中 {pictures} 枚  ({seconds:.1f} 秒)",
        ),
        file=sys.stderr,
    )
    return 130 if interrupted else 0


def _drive(ready: Ready, samples: "Samples") -> None:
    with Interrupts() as interrupts, progress(ready.pictures) as show:
        for step in ready.steps:
            if interrupts.asked and step.image is None:  # pictures finished in the same batch were still taken
                raise KeyboardInterrupt
            with interrupts.held():
                if step.image is not None:
                    samples.take(step.image)
                show(step)
        with interrupts.held():
            samples.add_grid(ready.columns)
