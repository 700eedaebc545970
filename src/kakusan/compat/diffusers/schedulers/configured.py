"""The settings of a scheduler: its constructor's arguments, kept, written, read, and handed from one class to another."""

import inspect
import json
from collections.abc import Mapping
from difflib import get_close_matches
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, Self

from ....errors import FileError, KakusanError
from ....formats.configs import DIFFUSERS
from ....formats.fields import read_json
from ..config import Config
from ..loading import place

DEFAULTED = "_use_default_values"  # diffusers' key for the names of settings that nobody gave: they are not handed on
USUAL_CHOICES: dict[str, tuple[object, ...]] = {
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
    "prediction_type": ("epsilon", "v_prediction", "sample"),
    "timestep_spacing": ("linspace", "leading", "trailing"),
    "final_sigmas_type": ("zero", "sigma_min"),
    "interpolation_type": ("linear", "log_linear"),
    "timestep_type": ("discrete", "continuous"),
    "thresholding": (False, None),
    "use_flow_sigmas": (False, None),
    "use_dynamic_shifting": (False, None),
    "shift_terminal": (None,),
    "solver_p": (None,),
    "variance_type": (None, "fixed_small", "fixed_small_log", "fixed_large", "fixed_large_log"),  # of DDPM, which solvers ignore
}


class Configured:
    """`config` holds every setting, given or not; what another class would know and this one does not stays there, unused.

    defaults: the constructor's arguments in order. choices: the values that are known, where they are few.
    adopted: another class's value of a setting of the same name, and what it means here.
    """

    config_name: ClassVar[str] = "scheduler_config.json"
    defaults: ClassVar[Mapping[str, object]] = {}
    choices: ClassVar[Mapping[str, tuple[object, ...]]] = {}
    adopted: ClassVar[Mapping[str, Mapping[object, object]]] = {}

    def __init__(self, *args: object, **settings: object):
        given = self._given(args, settings)
        self._config = Config({**self.defaults, **given, DEFAULTED: [name for name in self.defaults if name not in given]})
        self._check_kinds()
        for name, meanings in self.adopted.items():
            if (value := self._config[name]) in meanings:
                self.register_to_config(**{name: meanings[value]})
        self._check()

    def __init_subclass__(cls) -> None:
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        cls.__signature__ = inspect.Signature([inspect.Parameter(n, kind, default=d) for n, d in cls.defaults.items()])  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> Any:
        config = self.__dict__.get("_config", {})
        if name not in config:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return config[name]

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"

    @property
    def config(self) -> Config:
        """The settings, as items and as attributes."""
        return self._config

    def register_to_config(self, **settings: object) -> None:
        """Replaces or adds settings."""
        self._config = Config({**self._config, **settings})

    @classmethod
    def from_config(cls, config: Mapping[str, Any], return_unused_kwargs: bool = False, **changes: Any) -> Any:
        """A scheduler of this class with another's settings and some changes, without those that were the other's defaults.

        With return_unused_kwargs, a pair: it, and the settings that it does not know.
        """
        if not isinstance(config, Mapping):
            raise KakusanError(
                f"{cls.__name__}.from_config: give settings such as scheduler.config; for files there is from_pretrained",
                f"{cls.__name__}.from_config には scheduler.config のような設定を渡してください。ファイルには from_pretrained を使います",
            )
        defaulted = config.get(DEFAULTED, [])
        handed = {name: value for name, value in config.items() if name not in defaulted and name != DEFAULTED}
        known = {name: value for name, value in {**handed, **changes}.items() if name in cls.defaults}
        scheduler = cls(**known)
        hidden = {name: value for name, value in handed.items() if name not in known}
        if "_class_name" in hidden:
            hidden["_class_name"] = cls.__name__
        scheduler.register_to_config(**hidden)
        unused = {name: value for name, value in changes.items() if name not in cls.defaults}
        return (scheduler, {**unused, **hidden}) if return_unused_kwargs else scheduler

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path | None, subfolder: str | None = None, **options: Any) -> Self:
        """The scheduler of a model, with settings of it changed; for a whole model, its scheduler is in the subfolder "scheduler".

        pretrained_model_name_or_path: a folder, a file, or a name on the hub. Other options than settings are about loading.
        """
        changes = {name: options.pop(name) for name in [*options] if name in cls.defaults}
        scheduler: Self = cls.from_config(cls.load_config(pretrained_model_name_or_path, subfolder, **options), **changes)
        return scheduler

    @classmethod
    def load_config(cls, pretrained_model_name_or_path: str | Path | None, subfolder: str | None = None, **options: Any) -> dict[str, Any]:
        """The settings in a scheduler_config.json, as they are there. Raises FileError if there is none."""
        if pretrained_model_name_or_path is not None and (file := Path(pretrained_model_name_or_path)).is_file():
            return read_json(file)
        folder = place(pretrained_model_name_or_path, options, subfolder)
        if not (folder / cls.config_name).is_file():
            inside = (folder / "scheduler" / cls.config_name).is_file()
            hint = ('; give subfolder="scheduler"', '。subfolder="scheduler" を指定してください') if inside else ("", "")
            raise FileError(f"{folder}: no {cls.config_name}{hint[0]}", f"{folder}: {cls.config_name} がありません{hint[1]}")
        return read_json(folder / cls.config_name)

    def save_pretrained(self, save_directory: str | Path) -> None:
        """Writes scheduler_config.json into a folder, which is made if need be."""
        file = Path(save_directory) / self.config_name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.to_json_string(), encoding="utf-8")
        except OSError as error:
            raise FileError(f"{file}: cannot be written: {error.strerror}", f"{file}: 書き込めません: {error.strerror}") from error

    save_config = save_pretrained

    def to_json_string(self) -> str:
        """What scheduler_config.json holds."""
        kept = {name: value for name, value in self._config.items() if name != DEFAULTED}
        kept |= {"_class_name": type(self).__name__, "_diffusers_version": DIFFUSERS}
        return json.dumps(kept, indent=2, sort_keys=True, default=list) + "\n"  # default: arrays of betas

    @classmethod
    def _given(cls, args: tuple[object, ...], settings: Mapping[str, object]) -> dict[str, object]:
        given = {**dict(zip(cls.defaults, args, strict=False)), **{n: v for n, v in settings.items() if not n.startswith("_")}}
        if len(args) > len(cls.defaults):
            raise KakusanError(
                f"{cls.__name__}: too many arguments; there are {', '.join(cls.defaults)}",
                f"{cls.__name__}: 引数が多すぎます。使えるもの: {', '.join(cls.defaults)}",
            )
        for name in given:
            if name not in cls.defaults:
                near = get_close_matches(name, cls.defaults, 1)
                raise KakusanError(
                    f"{cls.__name__} has no setting {name!r}"
                    + (f"; did you mean {near[0]}?" if near else f"; it has {', '.join(cls.defaults)}"),
                    f"{cls.__name__} に設定 {name!r} はありません。"
                    + (f"{near[0]} のことですか。" if near else f"使えるもの: {', '.join(cls.defaults)}"),
                )
        return given

    def _check_kinds(self) -> None:
        """Texts, numbers and switches are what they are by default; a switch may be None."""
        for name, default in self.defaults.items():
            for kind, wanted in ((bool, (bool, NoneType)), (str, (str,)), (Integral, (Integral,)), (Real, (Real,))):
                if isinstance(default, kind):
                    value = self._config[name]
                    if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
                        raise KakusanError(
                            f"{type(self).__name__}: {name} is {value!r}; it must be of the kind of {default!r}",
                            f"{type(self).__name__}: {name} が {value!r} です。{default!r} のような値にしてください",
                        )
                    break

    def _check(self) -> None:
        for name, known in {**USUAL_CHOICES, **self.choices}.items():
            if name in self.defaults and self._config[name] not in known:
                values = ", ".join(map(repr, known))
                raise KakusanError(
                    f"{type(self).__name__}: {name} is {self._config[name]!r}; it must be one of {values}",
                    f"{type(self).__name__}: {name} が {self._config[name]!r} です。使えるもの: {values}",
                )
        if sum(bool(self._config.get(f"use_{kind}_sigmas")) for kind in ("karras", "exponential", "beta")) > 1:
            raise KakusanError(
                f"{type(self).__name__}: choose one of use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas",
                f"{type(self).__name__}: use_karras_sigmas、use_exponential_sigmas、use_beta_sigmas はどれか一つにしてください",
            )
