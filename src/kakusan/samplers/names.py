"""What users may choose from, and how it is called elsewhere; light, for command lines and menus (no torch)."""

from typing import NamedTuple


class Name(NamedTuple):
    """One sampler: its key in `SAMPLERS`, AUTOMATIC1111's label, whether it must be given noise, and one line on it."""

    name: str
    label: str
    needs_noise: bool
    en: str
    ja: str


NAMES = (
    Name("ddim", "DDIM", False, "the classic; eta from 0 (no new noise) to 1 (DDPM)", "定番。eta は 0(新しいノイズなし)から 1(DDPM)まで"),
    Name(
        "ddpm", "DDPM", True, "draws every step from the posterior; wants many steps", "各ステップで事後分布から抽出。多くのステップが必要"
    ),
    Name("plms", "PLMS", False, "multistep of order 4, Stable Diffusion's first default", "4 次の多段法。Stable Diffusion の最初の既定"),
    Name("pndm", "PNDM", False, "plms with a Runge-Kutta start (9 more evaluations)", "ルンゲ=クッタ法で始める plms(評価が 9 回多い)"),
    Name("lms", "LMS", False, "linear multistep of order 4 with exact weights", "重みを厳密に求める 4 次の線形多段法"),
    Name("euler", "Euler", False, "simple and dependable", "単純で安定"),
    Name(
        "euler_ancestral", "Euler a", True, "new noise at every step; soft, varied pictures", "毎ステップで新しいノイズ。柔らかく多様な絵"
    ),
    Name("heun", "Heun", False, "two evaluations a step, order 2", "1 ステップに評価 2 回、2 次"),
    Name("dpm_2", "DPM2", False, "two evaluations a step, at the middle, order 2", "1 ステップに評価 2 回、中点法、2 次"),
    Name("dpm_2_ancestral", "DPM2 a", True, "dpm_2 with new noise at every step", "毎ステップで新しいノイズを加える dpm_2"),
    Name("dpmpp_2m", "DPM++ 2M", False, "good from 15 steps on, one evaluation each", "15 ステップから良好、評価は各 1 回"),
    Name("dpmpp_2s_ancestral", "DPM++ 2S a", True, "two evaluations a step, new noise", "1 ステップに評価 2 回、新しいノイズあり"),
    Name("dpmpp_sde", "DPM++ SDE", True, "two evaluations a step, noise after both", "1 ステップに評価 2 回、両方の後にノイズ"),
    Name("dpmpp_2m_sde", "DPM++ 2M SDE", True, "dpmpp_2m with noise; rich detail", "ノイズを加える dpmpp_2m。細部が豊か"),
    Name("dpmpp_3m_sde", "DPM++ 3M SDE", True, "order 3; best with many steps", "3 次。ステップが多いときに最良"),
    Name("unipc", "UniPC", False, "predictor and corrector; good from 8 steps on", "予測子と修正子。8 ステップから良好"),
    Name("deis", "DEIS", False, "multistep in log sigma; good with few steps", "log sigma の多段法。少ないステップで良好"),
    Name("lcm", "LCM", True, "for consistency models, 1 to 8 steps", "コンシステンシーモデル用、1〜8 ステップ"),
    Name("dpm_fast", "DPM fast", False, "steps of order 3 on its own levels", "3 次のステップ。ノイズ水準は自前"),
    Name("dpm_adaptive", "DPM adaptive", False, "chooses its own number of steps", "ステップ数を自動で決める"),
    Name("restart", "Restart", True, "heun that goes back to more noise now and then", "ときどきノイズの多い所へ戻る heun"),
    Name("euler_cfg_pp", "Euler CFG++", False, "for guidance scales from 0 to 1 or a little above", "ガイダンス 0〜1 前後で使う"),
)
