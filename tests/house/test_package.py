"""What Lambda gets: a zip with the app, the server, and the wire format that devices share. What pip gets: the whole wheel."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A package made from a copy of the sources, without the libraries: those are another test's business."""
    project, out = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("package")
    shutil.copy(ROOT / "app.py", project)
    for folder in ("chalicelib", ".chalice", "muster", "vendor"):
        shutil.copytree(
            ROOT / folder,
            project / folder,
            symlinks=True,
            ignore=shutil.ignore_patterns("__pycache__", "deployments", "deployed"),
        )
    (project / "requirements.txt").write_text("")
    chalice = [sys.executable, "-c", "import sys; from chalice.cli import main; sys.exit(main())", "package", "--stage", "dev"]
    merged = ["--merge-template", str(ROOT / "infra/resources.yaml"), "--template-format", "yaml"]
    environment = {"PATH": "/usr/bin:/bin", "AWS_DEFAULT_REGION": "us-east-1", "HOME": str(project), "PYTHONPATH": str(project)}
    done = subprocess.run(
        [*chalice, *merged, str(out)], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_the_wire_format_is_in_the_zip(package: Path) -> None:
    with zipfile.ZipFile(package / "deployment.zip") as archive:
        names = set(archive.namelist())
    assert {f"muster/wire/{name}.py" for name in ("__init__", "messages", "problems", "tensors", "arrays", "gate")} <= names
    assert {"app.py", "chalicelib/wiring.py", "muster/__init__.py"} <= names
    assert not [name for name in names if name.startswith(("tests/", "examples/", "vendor/"))]


def test_the_app_imports_from_the_unpacked_zip_and_answers(package: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(package / "deployment.zip") as archive:
        archive.extractall(tmp_path)
    # Only the libraries of requirements.txt come from outside the zip; the wire must not.
    code = "import app, muster, json; print(json.dumps([app.__file__, muster.__file__]))"
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [str(tmp_path / "app.py"), str(tmp_path / "muster/__init__.py")]


def test_the_template_keeps_its_functions_and_tells_them_where_things_are(package: Path) -> None:
    import yaml

    template = yaml.safe_load((package / "sam.yaml").read_text())
    kinds = {name: resource["Type"] for name, resource in template["Resources"].items()}
    functions = {name for name, kind in kinds.items() if kind == "AWS::Serverless::Function"}
    assert functions == {"APIHandler", "Tick", "Monitor", "InspectionWorker", "AggregationWorker"}
    ours = ("AWS::DynamoDB::Table", "AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SNS::Topic")
    assert {name for name, kind in kinds.items() if kind in ours} == {
        "ClientsTable", "RoundsTable", "VersionsTable", "MonitoringTable", "TensorBucket", "AlertTopic",
        "InspectionQueue", "InspectionDeadLetters", "WorkQueue", "WorkDeadLetters",
    }  # fmt: skip
    assert template["Resources"]["Monitor"]["Properties"]["ReservedConcurrentExecutions"] == 1, "one monitor at a time"
    variables = template["Globals"]["Function"]["Environment"]["Variables"]
    assert {value["Ref"] for value in variables.values() if isinstance(value, dict)} <= kinds.keys()


def test_the_wheel_holds_every_folder_of_code() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {".".join(file.parent.relative_to(ROOT).parts) for file in (ROOT / "muster").rglob("__init__.py")}
    assert set(listed) == found
