"""What the documentation quotes of a recorded contest is what the contest's own report says."""

import re

from docs.quoted import contests
from reports.contest import planted
from reports.contest.records import collect
from reports.contest.report.facts import compare
from reports.contest.report.page import markdown


def test_parts_are_those_of_the_report_and_their_links_lead_to_records(tmp_path):
    truth = planted.Truth(gains={"evolution": 0.01}, seeds=(1, 2, 3))
    folder = planted.plant(tmp_path / "lenet5", truth)
    report = markdown(compare(collect(folder)))
    for which in contests.PARTS:
        text = contests.part("lenet5", which, tmp_path)
        for line in text.splitlines():
            words = re.sub(r"\]\([^)]*/cells/", "](cells/", line).removeprefix("- ").lstrip("#")
            assert words in report, which
        links = re.findall(r"\]\(([^)]*)\)", text)
        prefix = "../../reports/results/contest/lenet5/"
        assert all(link.startswith(prefix) for link in links)
        assert all((folder / link.removeprefix(prefix)).is_file() for link in links)
    assert "Warning: " in contests.part("lenet5", "verdict", tmp_path)  # of three seeds
