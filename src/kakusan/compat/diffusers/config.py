"""Settings as diffusers hands them round: `unet.config.in_channels` and `unet.config["in_channels"]`."""

from typing import Any, NoReturn

from ...errors import KakusanError


class Config(dict[str, Any]):
    """Settings by name, as items and as attributes, which nobody changes in place."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no setting {name!r} here") from None

    def __setattr__(self, name: str, value: object) -> NoReturn:
        self._refuse(name)

    def __setitem__(self, name: str, value: object) -> NoReturn:
        self._refuse(name)

    def __delitem__(self, name: str) -> NoReturn:
        self._refuse(name)

    def __reduce__(self) -> tuple[type["Config"], tuple[dict[str, Any]]]:
        return type(self), (dict(self),)

    def _refuse(self, name: str) -> NoReturn:
        raise KakusanError(
            f"config[{name!r}] cannot be set; make a copy with dict(config), or use from_config(config, {name}=...)",
            f"config[{name!r}] は変更できません。dict(config) で写しを作るか from_config(config, {name}=...) を使ってください",
        )
