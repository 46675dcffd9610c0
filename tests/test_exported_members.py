"""What ``import voxid`` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys
import types
from typing import get_args

import voxid
from voxid.cli.remembering import KeepDays
from voxid.gallery.unknown import DEFAULT_KEEP_DAYS


def test_names_are_sorted_and_few() -> None:
    """The public list is sorted (Capitals first) and short enough to read."""
    assert voxid.__all__ == sorted(voxid.__all__)
    assert len(set(voxid.__all__)) == len(voxid.__all__) <= 30


def test_every_name_is_there() -> None:
    """Each public name is importable, a class or a function, and not a room."""
    for name in voxid.__all__:
        member = getattr(voxid, name)
        assert callable(member), name
        assert not isinstance(member, types.ModuleType), name


def test_every_name_is_offered_for_completion() -> None:
    """dir(voxid) shows names that have not been imported yet."""
    assert set(voxid.__all__) <= set(dir(voxid))


def test_unknown_name_is_an_attribute_error() -> None:
    """A misspelt name fails as in any module."""
    assert not hasattr(voxid, "Galery")


def in_new_process(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_import_alone_loads_no_library() -> None:
    """``import voxid`` loads neither numpy nor onnxruntime: the price is paid on first use."""
    code = "import sys, voxid; print(sorted({'numpy','scipy','onnxruntime','faiss','typer','torch'} & {*sys.modules}))"
    assert in_new_process(code) == "[]"


def test_the_command_line_loads_no_store_before_it_is_used() -> None:
    code = "import sys, voxid.cli.app; print(sorted({'sqlalchemy','onnxruntime','scipy','fastapi'} & {*sys.modules}))"
    assert in_new_process(code) == "[]"


def test_the_help_says_how_long_voices_are_kept() -> None:
    """The command line names the number itself, so as not to load the store for it."""
    assert f"(1 to 365; {DEFAULT_KEEP_DAYS})" in " ".join(str(get_args(KeepDays)[1].help).split())


def test_using_the_library_never_loads_torch() -> None:
    """Touching every public name leaves torch out, also where it is installed."""
    code = "import sys, voxid; [getattr(voxid, n) for n in voxid.__all__]; print('torch' in sys.modules)"
    assert in_new_process(code) == "False"


def test_diarize_is_the_function_whichever_way_it_is_first_imported() -> None:
    """The room and the function share a name; users always get the function."""
    code = "import voxid.diarize; from voxid.diarize import DiarizeOptions; import voxid; print(voxid.diarize.__name__)"
    assert in_new_process(code) == "diarize"
    assert in_new_process("import voxid; print(type(voxid.diarize).__name__)") == "function"
