"""Packages made again, and for another processor: each is a whole build. What is in one, tests/infra/test_package.py says."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
import yaml

from infra.package import package


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package("x86_64", tmp_path_factory.mktemp("package"))


def test_the_same_sources_make_the_same_bytes(made: Path) -> None:
    before = {path.name: path.read_bytes() for path in made.iterdir()}
    assert {path.name: path.read_bytes() for path in package("x86_64", made.parent).iterdir()} == before


def test_each_architecture_gets_its_own_machine_code(made: Path) -> None:
    machine = {}
    for architecture, folder in (("x86_64", made), ("arm64", package("arm64", made.parent))):
        with zipfile.ZipFile(folder / "code.zip") as archive:
            libraries = [name for name in archive.namelist() if name.endswith(".so")]
            machine[architecture] = {archive.read(name)[18] for name in libraries}  # e_machine of an ELF header
        resources = yaml.safe_load((folder / "template.yaml").read_text())["Resources"].values()
        functions = [said["Properties"] for said in resources if said["Type"] == "AWS::Serverless::Function"]
        assert [said["Architectures"] for said in functions] == [[architecture]] * 5
    assert machine == {"x86_64": {0x3E}, "arm64": {0xB7}}
