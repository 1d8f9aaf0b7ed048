"""What can run here: asked of one worker of each environment, for `rnnbench list`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rnnbench.cases import Case
from rnnbench.measuring.options import Options
from rnnbench.measuring.team import Team

__all__ = ["plugin_names", "unsupported"]

_TIMEOUT = 300.0


def unsupported(
    cases: Sequence[Case], *, plugins: Sequence[str], environments: Mapping[str, str]
) -> list[str | None]:
    """Why each case cannot run here, or None; in the order of ``cases``.

    Raises:
        UserError: an environment does not start or a plug-in does not import.
    """
    reasons: dict[Case, str | None] = {}
    team = Team(Options(plugins=tuple(plugins), environments=environments))
    try:
        team.start_first()
        for environment in environments:
            mine = [case for case in cases if case.environment == environment]
            answer = team.worker(environment, 0).ask(
                "check", _TIMEOUT, cases=[case.columns() for case in mine]
            )
            reasons.update(zip(mine, answer["unsupported"], strict=True))
    finally:
        team.close()
    return [reasons[case] for case in cases]


def plugin_names(plugins: Sequence[str], environments: Mapping[str, str]) -> list[str]:
    """Names of the implementations that plug-ins register.

    Raises:
        UserError: an environment does not start or a plug-in does not import.
    """
    team = Team(Options(plugins=tuple(plugins), environments=environments))
    try:
        team.start_first()
        return team.plugin_implementations()
    finally:
        team.close()
