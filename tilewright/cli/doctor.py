"""``tilewright doctor``: what makes this machine a bad place to measure, and what to do about it."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from tilewright.cli.commands import Command, database_option, json_option
from tilewright.cli.output import print_json, print_table

if TYPE_CHECKING:
    from tilewright.measure.findings import Finding

_MARKS = {"good": "ok", "bad": "BAD", "blocked": "STOP", "unknown": "?"}


def gather_findings(db: str) -> "list[Finding]":
    """The findings on this machine."""
    from tilewright.tuning.diagnosis import diagnose

    return diagnose(db)


def _doctor(db: str, as_json: bool) -> int:
    findings = gather_findings(db)
    verdict = _verdict(findings)
    if as_json:
        print_json({"verdict": verdict, "findings": [asdict(finding) for finding in findings]})
    else:
        _print(findings, verdict)
    return 1 if verdict == "blocked" else 0


def _verdict(findings: "Sequence[Finding]") -> str:
    found = {finding.verdict for finding in findings}
    return next((verdict for verdict in ("blocked", "bad") if verdict in found), "good")


def _print(findings: "Sequence[Finding]", verdict: str) -> None:
    rows = [(_MARKS[finding.verdict], finding.name, finding.value) for finding in findings]
    print_table(("", "what", "found"), rows)
    for finding in findings:
        if finding.remedy:
            click.echo(f"{finding.name}: {finding.remedy}")
    remarks = {
        "good": "a good place to measure",
        "bad": "it can be measured here; mend what is BAD where you can",
        "blocked": "nothing can be measured here",
    }
    click.echo(remarks[verdict])


command = Command(
    "doctor",
    callback=_doctor,
    params=[database_option(), json_option()],
    help="What makes this machine a bad place to measure, and what to do about each thing.",
)
