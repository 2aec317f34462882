"""The wishes in a few hosts, where they can be installed; docs/hosts.md has all hosts."""

import re

import pytest
from hosts import Host, read_hosts
from stage import play
from support.certificates import find_environment_of_machine
from support.effort import Effort
from support.paths import ROOT
from support.preloaded import preloaded_command
from wishes import WISHES

PLAYED = ["mcp-use", "ts-sdk-1", *(["langchain"] if Effort.is_thorough else [])]
"""Names of the hosts that this installs.

The first builds the schemas of tools anew, for an agent of LangChain; the second gives them to its model as they are.
LangChain itself does both halves of this, so once a week is enough.
"""


@pytest.mark.parametrize("host", read_hosts(PLAYED), ids=lambda host: host.name)
def test_the_wishes_come_true_in_a_host(host: Host) -> None:
    if why := host.install(find_environment_of_machine()):
        pytest.skip(why)
    played = play(host, seconds=0.2, command=preloaded_command())
    assert {each.wish.name: each.wrong for each in played if each.wrong} == {}


def test_every_host_has_a_driver_and_a_version() -> None:
    for host in read_hosts():
        assert host.driver.is_file()
        assert all(re.search(r"[^=]==\d|[^@]@\d", package) for package in host.packages), host.name


def test_the_document_has_every_host_and_wish() -> None:
    _, _, text = (ROOT / "docs" / "hosts.md").read_text(encoding="utf-8").partition("## What hosts were seen to do")
    for host in read_hosts():
        assert f"`{host.package[0]}` {host.package[1]}" in text
    assert [wish.name for wish in WISHES] == re.findall(r"^\| (\w+) \|", text, re.MULTILINE)[1:11]
