"""What is good and bad about measuring on a machine, and what to do about it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from tilewright.measure.machine_facts import MachineFacts, Watched

Verdict = Literal["good", "bad", "blocked", "unknown"]

_STEAL_LIMIT = 0.01
_BUSY_LIMIT = 0.1  # cores
_THROTTLED_LIMIT = 0.001
_MEMORY_LIMIT = 2 << 30
_STEADY_CLOCKS = ("tsc", "arch_sys_counter", "kvm-clock", "hyperv_clocksource_tsc_page")
_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One property of the machine or of what is installed.

    Attributes:
        name: of the property.
        value: what was found.
        verdict: `bad` disturbs measuring, `blocked` prevents it, `unknown` could not be found out.
        remedy: what to do; empty where there is nothing to be done.
    """

    name: str
    value: str
    verdict: Verdict = "good"
    remedy: str = ""


def machine_findings(facts: MachineFacts) -> list[Finding]:
    """What the facts mean to measuring."""
    return [
        _cores(facts),
        _siblings(facts),
        _governor(facts),
        _turbo(facts),
        _load(facts),
        _quota(facts),
        _throttled(facts),
        _memory(facts),
        _huge_pages(facts),
        _clock(facts),
    ]


def watched_findings(watched: Watched | None) -> Iterator[Finding]:
    """What half a second of the machine's life means to measuring."""
    if watched is None:
        yield Finding("steal time", "not told by this system", "unknown")
        yield Finding("other processes", "not told by this system", "unknown")
        return
    stolen, busy = f"{watched.stolen:.1%}", f"{watched.busy_cores:.2f} cores busy"
    if watched.stolen > _STEAL_LIMIT:
        remedy = "the hypervisor serves other guests: take a dedicated host, or measure when it is quiet"
        yield Finding("steal time", stolen, "bad", remedy)
    else:
        yield Finding("steal time", stolen)
    if watched.busy_cores > _BUSY_LIMIT:
        yield Finding("other processes", busy, "bad", "stop them, or measure when they are done: see `top`")
    else:
        yield Finding("other processes", busy)


def disturbances(facts: MachineFacts) -> tuple[str, ...]:
    """What disturbs measuring here most, a line each; the head of a run shows them."""
    grave = (_load(facts), _quota(facts), _throttled(facts), _governor(facts))
    return tuple(f"{f.name}: {f.value}: {f.remedy}" for f in grave if f.verdict == "bad")


def _cores(facts: MachineFacts) -> Finding:
    value = f"{facts.cores} of {facts.online} granted"
    if facts.cores == 1:
        remedy = "compiling and other work share the core with what is timed: grant two or more"
        return Finding("cores", value, "bad", remedy)
    return Finding("cores", value)


def _siblings(facts: MachineFacts) -> Finding:
    if facts.sibling_sets < facts.cores:
        value = f"{facts.cores} logical cores on {facts.sibling_sets} physical"
        remedy = f"use --threads {facts.sibling_sets} at most, or switch SMT off"
        return Finding("SMT", value, "bad", remedy)
    return Finding("SMT", "no two granted cores are siblings")


def _governor(facts: MachineFacts) -> Finding:
    if facts.governor is None:
        return Finding("frequency governor", "not told by this system", "unknown")
    if facts.governor != "performance":
        remedy = "cpupower frequency-set -g performance"
        return Finding("frequency governor", facts.governor, "bad", remedy)
    return Finding("frequency governor", facts.governor)


def _turbo(facts: MachineFacts) -> Finding:
    if facts.turbo is None:
        return Finding("turbo", "not told by this system", "unknown")
    if facts.turbo:
        remedy = "speed depends on temperature and other cores: switch it off for even samples"
        return Finding("turbo", "on", "bad", remedy)
    return Finding("turbo", "off")


def _load(facts: MachineFacts) -> Finding:
    if facts.load is None:
        return Finding("load", "not told by this system", "unknown")
    value = f"{facts.load:.2f} on {facts.cores} cores"
    if facts.load > facts.cores:
        return Finding("load", value, "bad", "other processes disturb the samples: wait, or stop them")
    return Finding("load", value)


def _quota(facts: MachineFacts) -> Finding:
    if facts.quota_cores is None:
        return Finding("CPU quota", "none")
    value = f"{facts.quota_cores:g} of {facts.cores} cores"
    if facts.quota_cores < facts.cores:
        remedy = "kernels are throttled: raise the limit of the container, or use fewer --threads than it"
        return Finding("CPU quota", value, "bad", remedy)
    return Finding("CPU quota", value)


def _throttled(facts: MachineFacts) -> Finding:
    if facts.throttled is None:
        return Finding("throttling", "none counted")
    value = f"{facts.throttled:.1%} of the periods"
    if facts.throttled > _THROTTLED_LIMIT:
        return Finding(
            "throttling",
            value,
            "bad",
            "throttled samples are dropped, so trials take longer: raise the quota",
        )
    return Finding("throttling", value)


def _memory(facts: MachineFacts) -> Finding:
    sizes = [size for size in (facts.memory_bytes, facts.memory_limit) if size is not None]
    if not sizes:
        return Finding("memory", "not told by this system", "unknown")
    limited = " by the control group" if facts.memory_limit == min(sizes) else ""
    value = f"{min(sizes) / _GIB:.1f} GiB{limited}"
    if min(sizes) < _MEMORY_LIMIT:
        return Finding("memory", value, "bad", "large workloads end as out_of_memory: grant 2 GiB or more")
    return Finding("memory", value)


def _huge_pages(facts: MachineFacts) -> Finding:
    if facts.huge_pages is None:
        return Finding("huge pages", "not told by this system", "unknown")
    if facts.huge_pages == "never":
        remedy = "large arrays miss the TLB: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled"
        return Finding("huge pages", facts.huge_pages, "bad", remedy)
    return Finding("huge pages", facts.huge_pages)


def _clock(facts: MachineFacts) -> Finding:
    if facts.clock is None:
        return Finding("clock source", "not told by this system", "unknown")
    if facts.clock not in _STEADY_CLOCKS:
        remedy = "it is slow to read: boot with clocksource=tsc where the processor allows it"
        return Finding("clock source", facts.clock, "bad", remedy)
    return Finding("clock source", facts.clock)
