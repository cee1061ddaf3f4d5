"""Every rule of rules/ agrees with TensorFlow, called and as converted source; every rule file imports."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import tfport.compat  # first: it imports the rule files and publishes them
import tfport.rules
from tfport.proving import prove_rule
from tfport.proving.runner import prove_constants, rules_of

MODULES = [
    importlib.import_module(f"tfport.rules.{found.name}")
    for found in sorted(pkgutil.iter_modules(tfport.rules.__path__), key=lambda m: m.name)
]
RULES = {rule.primary: rule for module in MODULES for rule in rules_of(module) if rule.weights is None}


@pytest.mark.parametrize("name", RULES)
def test_rule(name):
    outcomes = prove_rule(RULES[name])
    assert outcomes
    assert all(o.ok for o in outcomes), "\n" + "\n".join(str(o) for o in outcomes if not o.ok)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_constants(module):
    failed = [str(o) for o in prove_constants(module) if not o.ok]
    assert not failed, "\n" + "\n".join(failed)


def test_each_name_belongs_to_one_rule():
    seen: dict[tuple[str, int], str] = {}
    twice = []
    for rule in RULES.values():
        for name in rule.names:
            for version in (1, 2) if rule.version is None else (rule.version,):
                owner = seen.setdefault((name, version), rule.primary)
                if owner != rule.primary:
                    twice.append(f"{name} (version {version}): {owner} and {rule.primary}")
    assert not twice
