"""A pipeline: named components, read from a model's folder or a single file, moved and written together."""

import inspect
from collections.abc import Mapping
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from ...errors import FileError
from ...formats.fields import read_json, write_json
from ...loading import check_device
from .config import Config
from .loading import FROM_HUB, place
from .switches import Switches

INDEX = "model_index.json"
ABSENT = inspect.Parameter.empty
OPTIONAL = ("safety_checker", "feature_extractor", "image_encoder", "watermarker")
FROM_TRANSFORMERS = ("CLIPTextModel", "CLIPTokenizer", "CLIPImageProcessor", "DPTForDepthEstimation", "DPTImageProcessor")


class DiffusionPipeline(Switches):
    """Components by name. A subclass's constructor takes them by those names and calls `register_modules`."""

    config = Config()

    def register_modules(self, **modules: Any) -> None:
        """Keep components under their names, as attributes that may be replaced."""
        self._names = (*getattr(self, "_names", ()), *(name for name in modules if name not in getattr(self, "_names", ())))
        for name, module in modules.items():
            setattr(self, name, module)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path | None = None, *, torch_dtype: torch.dtype | str | None = None, **options: Any
    ) -> Any:
        """The pipeline of a model's folder, or of a name on the hub; None is the embedded model.

        torch_dtype: float32 unless given. options: revision, variant, token or use_auth_token for the hub; any component by its
        name, instead of the folder's. Raises FileError, naming file and key, on what cannot be read.
        """
        name = pretrained_model_name_or_path
        if (custom := options.pop("custom_pipeline", None)) is not None:
            return _custom(custom).from_pretrained(name, torch_dtype=torch_dtype, **options)
        if cls is DiffusionPipeline:
            folder = place(name, {option: value for option, value in options.items() if option in FROM_HUB})
            return _named(_index(folder), folder).from_pretrained(folder, torch_dtype=torch_dtype, **options)
        wanted = _parameters(cls)
        given = {name: options.pop(name) for name in list(options) if name in wanted or name == "requires_safety_checker"}
        folder = place(name, options)
        index = _index(folder)
        having = _having(folder, options.get("variant"))
        parts = {
            name: given[name] if name in given else _read(name, folder, index, {"torch_dtype": torch_dtype, "variant": having.get(name)})
            for name in wanted
        }
        for name, part in parts.items():
            needed = wanted[name].default is ABSENT if part is ABSENT else name not in (*OPTIONAL, *given)
            if needed and (part is None or part is ABSENT):
                raise FileError(f"{folder / INDEX}: it names no {name}", f"{folder / INDEX}: {name} がありません")
        return cls(**{name: part for name, part in parts.items() if part is not ABSENT})

    @classmethod
    def from_single_file(cls, pretrained_model_link_or_path: str | Path, **options: Any) -> Self:
        """The pipeline of one `.safetensors` or `.ckpt` file of any family; see `single_file.components` for options."""
        from .single_file import components

        return cls(**components(_parameters(cls), pretrained_model_link_or_path, options))

    @classmethod
    def from_pipe(cls, pipeline: "DiffusionPipeline", **components: Any) -> Self:
        """This kind of pipeline out of the components of another, some of them replaced."""
        given = {**pipeline.components, **components}
        return cls(**{name: given[name] for name in _parameters(cls) if name in given})

    @property
    def components(self) -> dict[str, Any]:
        """Every component by its name: `StableDiffusionImg2ImgPipeline(**pipe.components)`."""
        return {name: getattr(self, name) for name in self._names}

    def save_pretrained(self, save_directory: str | Path, **_: Any) -> None:
        """Write a model's folder that diffusers opens. Raises FileError if the disk refuses."""
        folder = Path(save_directory)
        index: dict[str, object] = {"_class_name": type(self).__name__, **self.config}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, component in self.components.items():
                kept = hasattr(component, "save_pretrained")
                index[name] = [_library(component), type(component).__name__] if kept else [None, None]
                if kept:
                    component.save_pretrained(folder / name)
            write_json(folder / INDEX, index)
        except OSError as error:
            raise FileError(f"{folder}: cannot be written ({error.strerror})", f"{folder}: 書き込めません ({error.strerror})") from error

    def to(self, *args: Any, device: Any = None, dtype: torch.dtype | None = None, **_: Any) -> Self:
        """Move every network to a device, a dtype, or both. Raises KakusanError if the device is not there."""
        for arg in args:
            if isinstance(arg, torch.dtype):
                dtype = arg
            elif arg is not None:
                device = arg
        if device is not None:
            check_device(str(torch.device(device)))
        for module in self._networks():
            module.to(device=device, dtype=dtype)
        return self

    def enable_model_cpu_offload(self, gpu_id: int | None = None, device: str | torch.device = "cuda") -> None:
        """Draw on the GPU, if there is one. Everything stays there."""
        if torch.cuda.is_available():
            self.to(device if gpu_id is None else f"cuda:{gpu_id}")

    enable_sequential_cpu_offload = enable_model_cpu_offload

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return next((p.device for module in self._networks() for p in module.parameters()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """What the networks' weights are kept as."""
        return next((p.dtype for module in self._networks() for p in module.parameters()), torch.float32)

    @property
    def _execution_device(self) -> torch.device:
        return self.device

    def _networks(self) -> list[nn.Module]:
        return [part for part in self.components.values() if isinstance(part, nn.Module)]


def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    """What a pipeline's constructor takes: its components."""
    return {name: p for name, p in inspect.signature(cls).parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}


def _index(folder: Path) -> Mapping[str, Any]:
    if not (folder / INDEX).is_file():
        raise FileError(
            f"{folder}: not a model folder: it has no {INDEX}", f"{folder}: モデルフォルダではありません ({INDEX} がありません)"
        )
    return read_json(folder / INDEX)


def _having(folder: Path, variant: str | None) -> dict[str, str]:
    """The variant, for each component that has weights of it. Raises FileError if none has."""
    found = {file.parent.name: variant for file in folder.glob(f"*/*.{variant}[.-]*")} if variant else {}
    if variant and not found:
        raise FileError(
            f"{folder}: there are no weights of variant {variant!r}; leave it out",
            f"{folder}: variant {variant!r} の重みがありません。指定を外してください",
        )
    return found


def _named(index: Mapping[str, Any], folder: Path) -> type[DiffusionPipeline]:
    """The class a folder says it is for."""
    name = str(index.get("_class_name", "StableDiffusionPipeline"))
    found = _class(name)
    if found is None or not issubclass(found, DiffusionPipeline):
        raise FileError(
            f"{folder / INDEX}: {name} is not a pipeline kakusan has", f"{folder / INDEX}: {name} というパイプラインはありません"
        )
    return found


def _custom(place: str | Path) -> type[DiffusionPipeline]:
    """The pipeline class in a Python file, or in the pipeline.py of a folder. Code is only taken from this machine, never from the hub."""
    path = Path(place) / "pipeline.py" if Path(place).is_dir() else Path(place)
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileError(
            f"{place}: no Python file here; custom_pipeline takes the path of one",
            f"{place}: Python ファイルがありません。パスを指定してください",
        )
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    for found in vars(module).values():
        if isinstance(found, type) and issubclass(found, DiffusionPipeline) and found.__module__ == module.__name__:
            return found
    raise FileError(f"{path}: it defines no pipeline", f"{path}: パイプラインのクラスがありません")


def _class(name: str) -> type | None:
    """The class of that name in this package."""
    found = getattr(import_module(__package__ or ""), name, None) if name.isidentifier() else None
    return found if isinstance(found, type) else None


def _read(name: str, folder: Path, index: Mapping[str, Any], options: Mapping[str, Any]) -> Any:
    """A component out of its folder, as the class that the index names; ABSENT where the index says nothing."""
    entry = index.get(name, ABSENT)
    if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[1], str):
        found: Any = _class(entry[1])
        if hasattr(found, "from_pretrained"):
            return found.from_pretrained(folder, subfolder=name, **options)
        if name not in OPTIONAL:
            raise FileError(
                f'{folder / INDEX}: "{name}" is a {entry[1]}, which kakusan does not have; give {name}=...',
                f'{folder / INDEX}: "{name}" の {entry[1]} には対応していません。{name}=... を指定してください',
            )
        return None
    return None if isinstance(entry, list) else entry


def _library(component: object) -> str:
    """Where an index says that a component's class comes from."""
    name = type(component).__name__
    if name == "StableDiffusionSafetyChecker":
        return "stable_diffusion"
    return "transformers" if name in FROM_TRANSFORMERS else "diffusers"
