"""Templates of users' own files, named `file.py:name`."""

import hashlib
import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tilewright.templates.errors import TemplateError

if TYPE_CHECKING:
    from tilewright.templates.template import Template


def load_template_file(path: str, name: str) -> "Template":
    """Run a file as a module of its own and return the template whose name, or function's name, is `name`."""
    file = Path(path).expanduser()
    if not path or not file.is_file():
        raise TemplateError(f"there is no file {path!r}; write a template of your own as 'file.py:name'")
    found = _templates_of(_load_module(file.resolve()))
    for label, template in found.items():
        if name in (label, template.name):
            return template
    names = ", ".join(template.name for template in found.values())
    if not found:
        raise TemplateError(f"{path} defines no template; decorate a function with @template(name)")
    raise TemplateError(f"{path} has no template {name!r}; it has {names}")


def _load_module(file: Path) -> ModuleType:
    """Load a file once, and again when it has changed."""
    module_name = f"tilewright_template_{file.stem}_{hashlib.sha256(str(file).encode()).hexdigest()[:8]}"
    status = file.stat()
    stamp = (status.st_mtime_ns, status.st_size)
    loaded = sys.modules.get(module_name)
    if loaded is not None and getattr(loaded, "__tilewright_stamp__", None) == stamp:
        return loaded
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise TemplateError(f"{file} is not a Python file; its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[module_name]
        if not isinstance(error, Exception) or isinstance(error, TemplateError):
            raise
        raise TemplateError(f"{_place(file, error)}: {type(error).__name__}: {error}") from error
    module.__dict__["__tilewright_stamp__"] = stamp
    return module


def _place(file: Path, error: Exception) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}:{error.lineno}"
    return locate_error(error, str(file)) or str(file)


def locate_error(error: BaseException, file: str) -> str | None:
    """Return `file:line` of the innermost frame of an error that lies in `file`."""
    place, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            place = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def locate_call(error: BaseException, function: object) -> str | None:
    """Return `file:line` of an error inside of a function; else of the function, where it has a source."""
    code = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
    if code is None:
        return None
    return locate_error(error, code.co_filename) or f"{code.co_filename}:{code.co_firstlineno}"


def _templates_of(module: ModuleType) -> dict[str, "Template"]:
    return {
        label: value
        for label, value in vars(module).items()
        if hasattr(value, "source_hash") and value.module == module.__name__
    }
