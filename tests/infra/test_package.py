"""What Lambda gets: a template and two zips, made by Lambda's own Python."""

from __future__ import annotations

import ast
import copy
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from chalicelib.settings import Settings
from infra import interpreter
from infra.local import resources
from infra.package import IN_LAMBDA, ROOT, UnfitPackage, _check_ways_in, package, rewrite
from muster.wire import messages as wire
from muster.wire.problems import MEDIA_TYPE, Problem

pytestmark = [pytest.mark.xdist_group("package"), pytest.mark.lambda_python]

API_EVENT = {
    "requestContext": {"httpMethod": "GET", "resourcePath": "/v1/health", "identity": {}},
    "headers": {}, "multiValueHeaders": {}, "pathParameters": None, "queryStringParameters": None,
    "multiValueQueryStringParameters": None, "stageVariables": None, "body": None, "isBase64Encoded": False,
}  # fmt: skip
"""What API Gateway sends (its documentation: "Input format of a Lambda function for proxy integration")."""

NEEDED = [
    f"MUSTER_{name}"
    for name in (
        "CLIENTS_TABLE", "ROUNDS_TABLE", "VERSIONS_TABLE", "MONITORING_TABLE", "BUCKET", "INSPECTION_QUEUE_URL",
        "WORK_QUEUE_URL", "ALERT_TOPIC_ARN",
    )
]  # fmt: skip
"""What the environment must name (`chalicelib.settings`)."""

FUNCTIONS = {"APIHandler", "Tick", "Monitor", "InspectionWorker", "AggregationWorker"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package("x86_64", tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def template(made: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load((made / "template.yaml").read_text())
    return parsed


@pytest.fixture(scope="module")
def unpacked(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what is in the zip, and nothing else."""
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(made / "code.zip") as archive:
        archive.extractall(folder)
    return folder


STAGE = "AWS::ApiGateway::Stage"

TRANSFORM = """
import json, sys
from samtranslator.translator.transform import transform

class NoManagedPolicies:
    def load(self):
        return {}

template = json.load(sys.stdin)
for resource in template["Resources"].values():
    if resource["Type"] == "AWS::Serverless::Function":
        resource["Properties"]["CodeUri"] = "s3://bucket/key"
print(json.dumps(transform(template, {}, NoManagedPolicies())))
"""


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with AWS SAM's transform, and what it needs in another version than the tests do."""
    folder, requirements = tmp_path_factory.mktemp("transform"), ROOT / "tests" / "infra" / "transform-requirements.txt"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps"]
    subprocess.run([*pip, "--target", str(folder), "--requirement", str(requirements)], check=True)
    return folder


def transformed(template: dict[str, Any], transformer: Path) -> dict[str, Any]:
    """What CloudFormation makes of a template first."""
    environment = {**os.environ, "AWS_DEFAULT_REGION": "us-east-1", "PYTHONPATH": str(transformer)}
    command = [sys.executable, "-c", TRANSFORM]
    done = subprocess.run(command, input=json.dumps(template), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def names(path: Path) -> set[str]:
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def bare(folder: Path, code: str) -> str:
    """What Lambda's Python prints that has nothing but an unpacked zip."""
    command = [str(interpreter.find()), "-I", "-c", f"import sys; sys.path.insert(0, {str(folder)!r}); {code}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_server_and_the_wire_format_are_in_the_zips_and_nothing_for_devices_operators_or_tests(made: Path) -> None:
    for path in (made / "light.zip", made / "code.zip"):
        found = names(path)
        wire = {f"muster/wire/{name}.py" for name in ("__init__", "messages", "problems", "tensors", "arrays", "gate")}
        assert wire | {"app.py", "chalicelib/wiring.py", "muster/__init__.py", "muster/aggregation/plan.py"} <= found
        assert "chalicelib/admission/rules/__init__.py" in found, "where a site's rules lie"
        top = {name.split("/")[0] for name in found}
        assert not top & {
            "tests",
            "examples",
            "vendor",
            "torch",
            "boto3",
            "botocore",
            "infra",
            "bench",
            "httpx",
            "cryptography",
        }
        assert not [name for name in found if "/tests/" in name or name.endswith(".pyc")]
        assert {name.split("/")[1] for name in found if name.startswith("muster/")} == set(IN_LAMBDA)


def imported(path: Path) -> set[str]:
    """The wheel's rooms that a file imports from, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom(module=str(module)):
                names |= {module} if module != "muster" else {f"muster.{alias.name}" for alias in node.names}
            case ast.Import(names=aliases):
                names |= {alias.name for alias in aliases}
    return {name.split(".")[1] for name in names if name.startswith("muster.")} - {"__version__"}


def test_functions_import_no_room_that_is_not_in_the_zip() -> None:
    rooms = {Path(name).stem for name in IN_LAMBDA}
    sources = [ROOT / "app.py", *(ROOT / "chalicelib").rglob("*.py")]
    sources += [path for name in rooms for path in (ROOT / "muster" / name).rglob("*.py")]
    assert set().union(*map(imported, sources)) == rooms - {"__init__", "py"}


def test_numpy_is_only_where_it_is_used(made: Path) -> None:
    assert "numpy/__init__.py" in names(made / "code.zip")
    assert not [name for name in names(made / "light.zip") if name.startswith("numpy")]
    assert names(made / "light.zip") < names(made / "code.zip")


def test_the_api_answers_api_gateway_from_its_zip_alone(unpacked: Path) -> None:
    where = {"AWS_REGION": "eu-west-1", **dict.fromkeys(NEEDED, "somewhere")}
    code = f"import os; os.environ.update({where!r}); import json, types, app"
    code += f"; print(json.dumps(app.app({API_EVENT!r}, types.SimpleNamespace(memory_limit_in_mb='512'))))"
    answer = json.loads(bare(unpacked, code).splitlines()[-1])
    assert answer["statusCode"] == 200
    assert json.loads(answer["body"])["status"] == "ok"


def test_the_workers_import_numpy_and_the_rules_from_their_zip_alone(unpacked: Path) -> None:
    code = "import numpy, app, muster.aggregation.rules.krum as krum"
    code += "; print(numpy.ones(3).sum(), krum.__file__, callable(app.tick))"
    total, where, called = bare(unpacked, code).split()
    assert (total, Path(where).is_relative_to(unpacked), called) == ("3.0", True, "True")


def test_a_zip_is_sorted_and_knows_no_time(tmp_path: Path) -> None:
    for number, order in enumerate(("ab", "ba")):
        with zipfile.ZipFile(tmp_path / f"{number}.zip", "w") as archive:
            for name in order:
                archive.writestr(zipfile.ZipInfo(name, (2000 + number, 1, 1, 0, 0, 0)), name * 100, zipfile.ZIP_DEFLATED)
        rewrite(tmp_path / f"{number}.zip", tmp_path / f"new-{number}.zip", lambda name: True)
    assert (tmp_path / "new-0.zip").read_bytes() == (tmp_path / "new-1.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "new-0.zip") as archive:
        assert {name: archive.read(name).decode() for name in archive.namelist()} == {"a": "a" * 100, "b": "b" * 100}


def test_without_lambdas_python_one_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MUSTER_PYTHON", str(tmp_path / "python3.13"))
    with pytest.raises(interpreter.NoInterpreter, match="Install it"):
        package("x86_64", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_library_that_chalice_could_not_find_for_lambda_is_noticed(
    made: Path, template: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "venv").symlink_to(made.parent / "venv")

    def without_numpy(python: Path, project: Path, into: Path) -> dict[str, Any]:
        into.mkdir()
        rewrite(made / "code.zip", into / "deployment.zip", lambda name: not name.startswith("numpy"))
        return copy.deepcopy(template)

    monkeypatch.setattr("infra.package._chalice", without_numpy)
    with pytest.raises(UnfitPackage, match="no wheel"):
        package("x86_64", tmp_path)


# ---- the template


def test_cfn_lint_finds_nothing(made: Path) -> None:
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--regions", "us-east-1", "eu-central-1", "--", "template.yaml"]
    done = subprocess.run(command, cwd=made, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_template_keeps_its_functions_and_tells_them_where_things_are(template: dict[str, Any]) -> None:
    kinds = {name: resource["Type"] for name, resource in template["Resources"].items()}
    assert {name for name, kind in kinds.items() if kind == "AWS::Serverless::Function"} == FUNCTIONS
    ours = {name: said["Type"] for name, said in resources.template()["Resources"].items() if "Type" in said}
    assert {name: kinds[name] for name in ours} == ours, "a resource of ours has the name of one of Chalice's"
    variables = resources.Resolver(template)(template["Globals"]["Function"]["Environment"]["Variables"])
    known = kinds.keys() | template["Parameters"].keys()
    assert {value["Ref"] for value in variables.values() if isinstance(value, dict)} <= known


def environment(template: dict[str, Any]) -> dict[str, str]:
    """What a function of the template is told, with every parameter at its default, and x for what a resource is called."""
    variables = resources.Resolver(template)(template["Globals"]["Function"]["Environment"]["Variables"])
    told = {name: "x" if isinstance(value, dict) else str(value) for name, value in variables.items()}
    return {**told, "AWS_REGION": "x"}


def test_a_parameter_left_alone_leaves_a_setting_at_its_default(template: dict[str, Any]) -> None:
    made = {name: value for name, value in environment(template).items() if value == "x" or name == "MUSTER_ALARM_PREFIX"}
    assert Settings.from_environment(environment(template)) == Settings.from_environment(made)


def test_the_deployments_page_names_every_parameter_with_its_default(template: dict[str, Any]) -> None:
    rows = re.findall(r"^\| `([A-Z]\w+)` \| `?([^|`]+?)`? \|", (ROOT / "docs" / "deploy.md").read_text(), re.MULTILINE)
    said = {name: str(parameter["Default"]) for name, parameter in template["Parameters"].items()}
    words = {"BucketName": "made up", "AdminCidrs": "everywhere", "RequestSeconds": "a sixth of the pace", "SiteRule": "none"}
    assert {**said, **words} == dict(rows)


def test_nothing_is_left_of_chalices_fixed_names(template: dict[str, Any]) -> None:
    assert "muster-work" not in json.dumps(template["Resources"])
    for name, queue in (("InspectionWorker", "InspectionQueue"), ("AggregationWorker", "WorkQueue")):
        (source,) = template["Resources"][name]["Properties"]["Events"].values()
        assert source["Properties"]["Queue"] == {"Fn::Sub": f"${{{queue}.Arn}}"}
        assert source["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        timeout = template["Resources"][name]["Properties"]["Timeout"]
        assert template["Resources"][queue]["Properties"]["VisibilityTimeout"] >= 6 * timeout


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_each_function_has_a_role_of_its_own_a_log_of_its_own_and_is_traced_unless_it_runs_each_minute(
    template: dict[str, Any], name: str
) -> None:
    properties = template["Resources"][name]["Properties"]
    others = [template["Resources"][other]["Properties"] for other in FUNCTIONS - {name}]
    assert properties["Role"] not in [other["Role"] for other in others]
    log = template["Resources"][properties["LoggingConfig"]["LogGroup"]["Ref"]]["Properties"]
    assert log["LogGroupName"]["Fn::Sub"] == "/aws/lambda/" + properties["FunctionName"]["Fn::Sub"]
    assert log["RetentionInDays"] == {"Ref": "LogRetentionDays"}
    assert properties["Tracing"] == ("PassThrough" if name in ("Tick", "Monitor") else "Active")
    assert properties["CodeUri"] == ("light.zip" if name == "Monitor" else "code.zip")


def test_what_a_part_may_hold_fits_into_the_functions_that_sum_it(template: dict[str, Any]) -> None:
    settings = Settings.from_environment(environment(template))
    for name in ("Tick", "AggregationWorker"):
        properties = template["Resources"][name]["Properties"]
        assert properties["MemorySize"] * 2**20 >= 2.5 * settings.part_memory_bytes
        assert properties["Timeout"] == settings.part_seconds
        # A part reads its bytes within half of its time, at 50 MB/s a connection.
        assert settings.part_read_bytes / (settings.part_connections * 50e6) < properties["Timeout"] / 2


@pytest.mark.parametrize("name", ["ClientsTable", "RoundsTable", "VersionsTable", "MonitoringTable"])
def test_every_table_is_on_demand_recoverable_encrypted_and_hard_to_lose(template: dict[str, Any], name: str) -> None:
    table = template["Resources"][name]
    assert (table["DeletionPolicy"], table["UpdateReplacePolicy"]) == ("Retain", "Retain")
    said = table["Properties"]
    assert said["BillingMode"] == "PAY_PER_REQUEST"
    assert said["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert said["SSESpecification"] == {"SSEEnabled": {"Fn::If": ["KeysAreManaged", True, False]}}, "by one key or another"
    assert said["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert said["DeletionProtectionEnabled"] == {"Ref": "DeletionProtection"}


def test_the_bucket_is_closed_versioned_encrypted_and_refuses_weak_requests(template: dict[str, Any]) -> None:
    bucket = template["Resources"]["TensorBucket"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("Retain", "Retain")
    said = bucket["Properties"]
    assert set(said["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(said["PublicAccessBlockConfiguration"]) == 4
    assert said["VersioningConfiguration"] == {"Status": "Enabled"}
    (rule,) = said["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {"BucketKeyEnabled": True, "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    statements = template["Resources"]["TensorBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    plain = [statement for statement in statements if statement["Action"] == "s3:PutObject"]
    assert {(said["Effect"], said["Resource"]["Fn::Sub"]) for said in plain} == {("Deny", "${TensorBucket.Arn}/updates/*")}
    assert {next(iter(said["Condition"]["Null"].items())) for said in plain} == {
        (f"s3:{key}", "false")
        for key in (
            "x-amz-storage-class",
            "x-amz-server-side-encryption",
            "x-amz-server-side-encryption-customer-algorithm",
            "x-amz-acl",
            "x-amz-website-redirect-location",
            "RequestObjectTagKeys",
        )
    }
    rest = [statement for statement in statements if statement not in plain]
    assert {statement["Sid"]: (statement["Effect"], statement["Condition"]) for statement in rest} == {
        "OnlyTls": ("Deny", {"Bool": {"aws:SecureTransport": "false"}}),
        "NoSignatureVersion2": ("Deny", {"StringEquals": {"s3:signatureversion": "AWS"}}),
        "NoOldSignatures": ("Deny", {"NumericGreaterThan": {"s3:signatureAge": "910000"}}),
    }


def test_what_lambda_refuses_for_want_of_concurrency_is_an_error_of_the_api_that_its_alarm_counts(
    template: dict[str, Any],
) -> None:
    said = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["x-amazon-apigateway-gateway-responses"]
    assert said["INTEGRATION_FAILURE"]["statusCode"] == "503"
    assert template["Resources"]["ApiFails"]["Properties"]["MetricName"] == "5XXError"
    assert '"Throttles", "FunctionName", "${APIHandler}"' in json.dumps(template["Resources"]["Dashboard"]).replace("\\", "")


def test_what_has_failed_five_times_lies_in_one_queue_that_an_alarm_watches(template: dict[str, Any]) -> None:
    dead = {"Fn::GetAtt": ["DeadLetters", "Arn"]}
    for queue in ("InspectionQueue", "WorkQueue"):
        redrive = template["Resources"][queue]["Properties"]["RedrivePolicy"]
        assert redrive == {"deadLetterTargetArn": dead, "maxReceiveCount": 5}
    alarm = template["Resources"]["MessagesFailed"]["Properties"]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": ["DeadLetters", "QueueName"]}}]


def test_every_alarm_reaches_the_topic_and_the_topic_takes_it(template: dict[str, Any]) -> None:
    alarms = {n: r["Properties"] for n, r in template["Resources"].items() if r["Type"] == "AWS::CloudWatch::Alarm"}
    assert len(alarms) == 10
    api = template["Resources"]["RestAPI"]["Properties"]
    assert api["Name"] == api["DefinitionBody"]["info"]["title"] == {"Ref": "AWS::StackName"}, "alarms find it by its name"
    for alarm in alarms.values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "AlertTopic"}]
        assert alarm["TreatMissingData"] == (
            "breaching" if alarm["AlarmName"]["Fn::Sub"].endswith("silent") else "notBreaching"
        )
    (statement,) = template["Resources"]["AlertTopicPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert "cloudwatch.amazonaws.com" in statement["Principal"]["Service"]
    assert "KmsMasterKeyId" not in template["Resources"]["AlertTopic"]["Properties"], "alarms could not publish"


@pytest.fixture(scope="module")
def created(made: Path, transformer: Path) -> dict[str, Any]:
    """The template as CloudFormation gets it from AWS SAM."""
    parsed: dict[str, Any] = yaml.safe_load((made / "template.yaml").read_text())
    return transformed(parsed, transformer)


def test_the_resource_policy_opens_devices_routes_to_all_and_operators_to_none(created: dict[str, Any]) -> None:
    body = created["Resources"]["RestAPI"]["Properties"]["Body"]
    allow, deny = body["x-amazon-apigateway-policy"]["Statement"]
    opened = [resource.removeprefix("execute-api:/v/") for resource in allow["Resource"]]

    def fits(pattern: str, asked: str) -> bool:
        return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), asked) is not None

    for path, methods in body["paths"].items():
        for method, said in methods.items():
            if method != "options":
                for_operators, asked = path.startswith("/v1/admin/"), f"{method.upper()}{path}"
                assert any(fits(one, asked) for one in opened) is not for_operators, asked
                assert fits(deny["Resource"], f"execute-api:/v/{asked}") is for_operators, asked
                assert (said.get("security") == [{"sigv4": []}]) is for_operators, asked
    assert deny["Effect"] == "Deny"
    assert deny["Condition"] == {"NotIpAddress": {"aws:SourceIp": {"Ref": "AdminCidrs"}}}


def test_there_is_one_stage_and_throttle_traces_and_firewall_are_its(created: dict[str, Any]) -> None:
    resources = created["Resources"]
    (name,) = [name for name, said in resources.items() if said["Type"] == STAGE]
    stage = resources[name]["Properties"]
    assert (stage["StageName"], stage["TracingEnabled"]) == ("v", True)
    (setting,) = stage["MethodSettings"]
    assert (setting["ResourcePath"], setting["HttpMethod"]) == ("/*", "*")
    assert setting["ThrottlingRateLimit"] == {"Ref": "ApiRequestsPerSecond"}
    guarded = resources["FirewallAssociation"]["Properties"]["ResourceArn"]["Fn::Sub"]
    assert guarded.endswith(f"/restapis/${{RestAPI}}/stages/${{{name}}}")
    assert "StageName" not in {key for said in resources.values() for key in said["Properties"] if said["Type"] != STAGE}


def test_a_template_with_a_second_stage_is_not_packaged(template: dict[str, Any], transformer: Path) -> None:
    second = copy.deepcopy(template)
    del second["Resources"]["RestAPI"]["Properties"]["OpenApiVersion"]
    resources = transformed(second, transformer)["Resources"].values()
    stages = [said["Properties"]["StageName"] for said in resources if "StageName" in said["Properties"]]
    assert sorted(stages) == ["Stage", "v"], "which is why the version is said"
    with pytest.raises(UnfitPackage, match=r"expected OpenApiVersion 2\.0, so that there is one stage, got None"):
        _check_ways_in(second)


def test_every_body_is_text(template: dict[str, Any]) -> None:
    assert template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["x-amazon-apigateway-binary-media-types"] == []


def test_what_would_cost_something_while_idle_is_made_only_when_asked_for(template: dict[str, Any]) -> None:
    conditional = {name: said.get("Condition") for name, said in template["Resources"].items() if "Condition" in said}
    assert conditional.pop("DeploymentsKey") == "KeyIsNew", "a dollar a month, unless SigningKey says none or another"
    assert conditional == {"Firewall": "HasFirewall", "FirewallAssociation": "HasFirewall", "Budget": "HasBudget"}
    assert {template["Parameters"][name]["Default"] for name in ("WafRequestsPerAddress", "MonthlyBudgetDollars")} == {0}


def test_what_the_gateway_itself_refuses_is_a_problem_document_that_a_device_knows(template: dict[str, Any]) -> None:
    kinds = template["Resources"]["RestAPI"]["Properties"]["DefinitionBody"]["x-amazon-apigateway-gateway-responses"]
    documents = {}
    for kind, said in kinds.items():
        document = wire.ProblemDocument.model_validate_json(said["responseTemplates"]["application/json"])
        problem = documents[kind] = Problem.from_urn(document.type)
        assert (document.title, document.status) == (problem.kind.title, problem.kind.status)
        assert said["statusCode"] == str(problem.kind.status)
        assert said["responseParameters"]["gatewayresponse.header.Content-Type"] == f"'{MEDIA_TYPE}'"
        assert ("gatewayresponse.header.Retry-After" in said["responseParameters"]) is (problem.kind.status in (429, 503))
    assert documents["DEFAULT_4XX"] is Problem.FORBIDDEN
    assert documents["DEFAULT_5XX"] is Problem.INTERNAL_ERROR
    assert {documents[kind] for kind in ("THROTTLED", "QUOTA_EXCEEDED", "WAF_FILTERED")} == {Problem.TOO_MANY_REQUESTS}
