"""Options of ``voxid who`` for telephone calls, and what they mean together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from voxid.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from voxid.decision import Decision
    from voxid.diarize.telephone import CallPlan

_PANEL = "Telephone"

Channels = Annotated[
    str | None,
    typer.Option(
        "--channels",
        metavar="NAMES",
        help="Each channel is one speaker, called so: agent,customer.",
        rich_help_panel=_PANEL,
    ),
]
ByChannel = Annotated[
    bool,
    typer.Option(
        "--by-channel", help="Each channel is one speaker: CHANNEL_0, CHANNEL_1.", rich_help_panel=_PANEL
    ),
]
Telephone = Annotated[
    bool,
    typer.Option("--telephone", help="Two voices on one channel, no more, no fewer.", rich_help_panel=_PANEL),
]
Agent = Annotated[
    str | None,
    typer.Option(
        "--agent",
        metavar="NAME",
        help="Verify that the agent's side is NAME: the channel called agent, else the first; of two voices on one "
        "channel the likelier one. The exit code is then that of voxid verify.",
        rich_help_panel=_PANEL,
    ),
]


def plan_call(
    channels: str | None,
    by_channel: bool,
    telephone: bool,
    agent: str | None,
    others: dict[str, Any],
) -> CallPlan | None:
    """Return how a call is to be heard; None: it is no call.

    Args:
        others: options that say something else about channels and voices, by name; they must be unset.

    Raises:
        InputError: ``call_options_contradict``, ``agent_without_call``, ``channels_invalid``.
    """
    asked = [
        name
        for name, on in (("--channels", channels), ("--by-channel", by_channel), ("--telephone", telephone))
        if on
    ]
    if not asked:
        if agent is not None:
            raise InputError(
                "agent_without_call",
                "--agent was given without saying how the call is recorded; add --channels NAMES, --by-channel "
                "or --telephone.",
            )
        return None
    clashing = asked[1:] + [name for name, value in others.items() if value is not None]
    if clashing:
        raise InputError(
            "call_options_contradict",
            f"{asked[0]} and {clashing[0]} say different things about the call; expected one of them; leave one out.",
        )
    from voxid.diarize.telephone import CallPlan

    if telephone:
        return CallPlan(None, agent)
    return CallPlan(tuple(name.strip() for name in channels.split(",")) if channels else (), agent)


def show_agent(decision: Decision, console: Console) -> None:
    """Print whether the agent is who they should be."""
    style = "green" if decision else "red"
    console.print(f"agent: {decision.outcome.value}: {decision.reason}", markup=False, style=style)
