"""The official conformance suite, where Node 22 is available."""

import re
import subprocess
from pathlib import Path

import pytest
from support.certificates import find_environment_of_machine
from support.paths import ROOT


def test_the_official_suite_says_what_the_document_says() -> None:
    command, environment = [str(ROOT / "scripts" / "conformance"), "--check"], find_environment_of_machine()
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    if ran.returncode == 77:
        pytest.skip(ran.stderr.strip().splitlines()[-1])
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("expected", sorted((ROOT / "tests" / "conformance").glob("*.yml")), ids=lambda path: path.stem)
def test_every_expected_failure_has_its_reason(expected: Path) -> None:
    entries = [line for line in expected.read_text(encoding="utf-8").splitlines() if line.startswith(" ")]
    assert entries
    assert [line for line in entries if not re.fullmatch(r"  - \S+  # \S.{10,}", line)] == []
