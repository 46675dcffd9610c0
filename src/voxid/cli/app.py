"""The ``voxid`` command: its parts put together, and the last net under errors."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from voxid import __version__
from voxid.cli import (
    audit,
    backup,
    bench,
    compression,
    correct,
    demo,
    evaluation,
    find,
    keys,
    live,
    liveness,
    models,
    people,
    privacy,
    recognition,
    relabel,
    serve,
    simulate,
    spoof,
    training,
    unknown,
    who,
)
from voxid.cli.output import EXIT_INPUT, notes, print_json

EXIT_DEFECT = 70  # EX_SOFTWARE of sysexits.h: none of the designed codes, so that no script takes it for one

app = typer.Typer(
    name="voxid",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    # Locals in a traceback would print audio, names and key material.
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 accepted or done, 1 rejected or unknown, 2 bad input, 3 refused by policy, 4 store damaged.",
)


def _show_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"voxid {__version__}\n")
        raise typer.Exit


@app.callback()
def voxid(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Who is speaking, by name, on your own machine."""


app.command("demo")(demo.demo)
app.command("enroll")(recognition.enroll)
app.command("verify")(recognition.verify)
app.command("identify")(recognition.identify)
app.command("challenge")(liveness.challenge)
app.command("answer")(liveness.answer)
app.command("who")(who.who)
app.command("find")(find.find)
app.command("spoof")(spoof.spoof)
app.command("live")(live.live)
app.command("correct")(correct.correct)
app.command("relabel")(relabel.relabel)
people.app.add_typer(unknown.app, name="unknown")
app.add_typer(people.app, name="people")
app.add_typer(audit.app, name="audit")
app.add_typer(privacy.app, name="privacy")
app.add_typer(evaluation.app, name="evaluate")
app.add_typer(simulate.app, name="simulate")
app.command("train")(training.train)
app.command("calibrate")(evaluation.calibrate)
models.app.command("quantize")(compression.quantize)
models.app.command("prune")(compression.prune)
models.app.command("distill")(compression.distill)
app.add_typer(models.app, name="models")
app.add_typer(keys.app, name="keys")
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("bench")(bench.bench)
app.command("serve")(serve.serve)
app.add_typer(serve.tenants_app, name="tenants")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in arguments
    try:
        # Outside standalone mode a wrong option arrives here as an exception, to be told in JSON.
        code = app(arguments, prog_name="voxid", standalone_mode=not as_json)
    except SystemExit as end:
        code = end.code
    except BrokenPipeError:
        # The reader of our output went away (voxid ... | head): not an error of ours. The null device keeps
        # the interpreter's last flush quiet.
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115
        return 0
    except Exception as error:
        return _report_unexpected(error, as_json)
    return code if isinstance(code, int) else 0


def _report_unexpected(error: Exception, as_json: bool) -> int:
    """Tell a wrong call (from the option parser) in JSON, or a defect of ours as one, and return the code."""
    usage = getattr(error, "format_message", None)
    if usage is not None:
        print_json({"error": "usage", "kind": "InputError", "message": usage()})
        return EXIT_INPUT
    message = f"voxid failed in a way it should not ({type(error).__name__}: {error}); please report this."
    if as_json:
        print_json({"error": "defect", "kind": type(error).__name__, "message": message})
    else:
        import traceback

        notes().print(traceback.format_exc(), markup=False, style="dim")
        notes().print(f"error: {message} [defect]", markup=False, style="red")
    return EXIT_DEFECT
