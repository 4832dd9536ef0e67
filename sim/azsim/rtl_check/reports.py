"""A run as JUnit XML and as a coverage file."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from azsim._atomic import replaced_file
from azsim.rtl_check.coverage import goals
from azsim.rtl_check.runner import Outcome, Verification


def junit_text(run: Verification) -> str:
    """Return a run as JUnit XML: a suite per configuration, a case per scenario."""
    suites = ElementTree.Element("testsuites", name="verify-rtl")
    for outcome in run.outcomes:
        _suite(suites, outcome, run.full)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def _suite(suites: ElementTree.Element, outcome: Outcome, full: bool) -> None:
    label = outcome.job.configuration.label
    scenarios = outcome.result.scenarios
    lost = outcome.failure is not None
    suite = ElementTree.SubElement(
        suites,
        "testsuite",
        name=label,
        tests=str(len(scenarios) + lost + full),
        failures=str(int(outcome.complaint is not None) + (full and bool(outcome.missing))),
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("cycles", outcome.result.cycles), ("seed", outcome.job.seed)):
        ElementTree.SubElement(properties, "property", name=name, value=str(value))
    mismatch = outcome.result.mismatch
    for scenario in scenarios:
        case = ElementTree.SubElement(
            suite, "testcase", classname=label, name=f"{scenario.label} {scenario.name}"
        )
        if mismatch is not None and mismatch.label == scenario.label:
            ElementTree.SubElement(case, "failure", message=str(mismatch))
    if full:
        case = ElementTree.SubElement(suite, "testcase", classname=label, name="coverage goals")
        if outcome.missing:
            text = "not met: " + ", ".join(outcome.missing)
            ElementTree.SubElement(case, "failure", message=text)
    if lost:
        case = ElementTree.SubElement(suite, "testcase", classname=label, name="simulation")
        ElementTree.SubElement(case, "failure", message=str(outcome.failure))


def coverage_text(run: Verification) -> str:
    """Return the functional coverage as JSON: per configuration the count of each goal."""
    content = {
        outcome.job.configuration.label: {
            "cycles": outcome.result.cycles,
            "goals": {
                name: outcome.result.coverage.get(name, 0)
                for name in goals(outcome.job.configuration)
            },
        }
        for outcome in run.outcomes
    }
    return json.dumps({"seed": run.seed, "configurations": content}, indent=1) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a report; it appears whole or not at all.

    Raises:
        ConfigError: it cannot be written.
    """
    with replaced_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
