"""The chapter for data scientists: low false positive rates, bounds with their assumptions, packages attacked together."""

from __future__ import annotations

import json
import re

from tckr.html.numbers import rounded_down
from tckr.stages.report.shared_audit import shareable_audit
from tests.stages.report.sample import Sample
from tests.stages.report.sample_bounds import CANARIES, TOGETHER

PACKAGE = "images, soft labels and Student"


def text_of(report) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", report.html).split())


def test_low_rates_stand_over_all_runs_with_their_meaning_at_each_prior(report):
    tables = re.findall(r'<table class="attacks low-fpr stack">(.*?)</table>', report.html, re.DOTALL)
    surfaces = report.data["audit"]["surfaces"]
    assert len(tables) == sum(bool(surface["low_fpr"]) for surface in surfaces.values()) > 0
    for prior in ("1:1", "1:10", "1:100"):
        assert f"PPV at {prior}" in tables[0]
    rows = {row["key"]: row for row in report.data["headline"]}
    found = surfaces["teacher"]["low_fpr"]["0.001"]["tpr"]
    assert rows["tpr_over_runs_at_0.001"]["teacher"]["value"] == found["value"]


def test_each_bound_is_rounded_down(private_report):
    bounds = [surface["mu_lower_bound"] for surface in private_report.data["audit"]["surfaces"].values()]
    bounds = [bound for bound in bounds if bound]
    assert [f"{bound['mu']:.2f}" for bound in bounds] == ["0.02", "0.37", "0.04"], "0.0175 is nearer to 0.02"
    for mu, epsilon in (("0.01", "0.00"), ("0.37", "1.23"), ("0.04", "0.08")):
        assert f"mu at least {mu} (a Gaussian mechanism with this mu has epsilon {epsilon})" in text_of(private_report)


def test_each_bound_says_what_it_assumes(report):
    text = text_of(report)
    bound = report.data["audit"]["surfaces"]["teacher"]["mu_lower_bound"]
    assert f"mu at least {rounded_down(bound['mu'])}" in text
    assert f"it assumes {bound['assumes']}." in text
    canary = next(row for row in report.data["canaries"] if row["mu"]["value"] is not None)
    assert canary["mu"]["text"] in text
    assert "epsilon assumes every canary in or out by a fair coin of its own; nothing of the mechanism." in text


def test_a_package_that_was_attacked_together_says_what_was_found(report):
    rows = {row["name"]: row["together"] for row in report.data["packages"]}
    assert rows[PACKAGE].startswith(f"{PACKAGE}, attacked together (soft labels 30%, Student 70%): AUC 0.571 [0.540, 0.602]")
    assert not rows["Student"]
    assert rows[PACKAGE] in text_of(report)


def test_a_shared_report_has_no_exact_number_of_them():
    exact = Sample().audit()
    shared = shareable_audit(exact)
    teacher = shared.surfaces["teacher"].mu_lower_bound
    assert teacher is not None
    assert teacher.mu < exact.surfaces["teacher"].mu_lower_bound.mu
    assert teacher.mu == round(teacher.mu, 1)
    together = next(package.together for package in shared.packages if package.together)
    assert together.surfaces == {"soft_labels": 0.3, "student": 0.7}
    assert together.test.p_value == together.test.family_p_value == 0.02
    said = json.dumps(shared.model_dump(mode="json"))
    for number in (TOGETHER[PACKAGE].auc.value, CANARIES["teacher"]["mislabelled"].gaussian.mu):
        assert str(number) not in said
