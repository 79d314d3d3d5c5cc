"""``tilewright log stats``: how many trials there are, and why some failed."""

from typing import Any

from tilewright.cli.commands import Command, database_option, json_option
from tilewright.cli.log.opening import open_store
from tilewright.cli.output import print_json, print_pairs, print_table


def _stats(db: str, as_json: bool) -> None:
    from tilewright.logs.report import summarize_failures, summarize_states

    with open_store(db) as store:
        states, failures = summarize_states(store), summarize_failures(store)
    if as_json:
        print_json({**states, "failures": failures})
        return
    counts = ", ".join(f"{count} {state}" for state, count in states["states"].items()) or "none"
    print_pairs([("trials", f"{states['trials']} of {states['workloads']} workloads"), ("states", counts)])
    if failures:
        print_table(("failures", "state", "message"), [_failure_cells(failure) for failure in failures])


def _failure_cells(failure: dict[str, Any]) -> tuple[str, str, str]:
    cause = failure["state"] if failure["signal"] is None else f"{failure['state']} ({failure['signal']})"
    message = failure["messages"][0] if failure["messages"] else ""
    return str(failure["count"]), cause, " ".join(message.split())[:160]


command = Command(
    "stats",
    callback=_stats,
    params=[json_option(), database_option()],
    help="Count the trials, and the causes of failures, pruned ones too.",
)
